"""What the API refuses is the same error at the command."""

from __future__ import annotations

import httpx
import pytest

from headrace.api.errors import TABLE
from headrace.cli.client import Client
from headrace.model.errors import AccessError, ConfigError, DataError, HeadraceError


@pytest.mark.parametrize(("kind", "status", "code"), [(kind, *told) for kind, told in TABLE.items()])
def test_an_error_of_the_api_is_the_same_here(kind: type[HeadraceError], status: int, code: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        answering(status, code).get("/points")
    assert type(caught.value) is (DataError if kind is ConfigError else kind)
    assert str(caught.value) == "what is wrong"


def test_somebody_without_a_token_is_told_so() -> None:
    with pytest.raises(AccessError, match="what is wrong"):
        answering(401, "sign-in-needed").get("/points")


def answering(status: int, code: str) -> Client:
    """A client of a platform that refuses everything so."""
    client = Client("http://localhost", "a token")
    answer = {"error": {"code": code, "message": "what is wrong"}}
    client.http = httpx.Client(
        base_url="http://localhost/api/v1", transport=httpx.MockTransport(lambda _: httpx.Response(status, json=answer))
    )
    return client
