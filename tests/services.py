"""Peers that tests talk to: absent ones skip with a reason, or fail where the build says that all must be present."""

import os

import pytest


def require_service(name: str, found: bool, how: str) -> None:
    """`how` tells a person how to get the service. Set HEADRACE_REQUIRE_SERVICES=1 to fail instead of skipping."""
    if found:
        return
    message = f"{name} is not here: {how}"
    if os.environ.get("HEADRACE_REQUIRE_SERVICES") == "1":
        pytest.fail(message)
    pytest.skip(message)
