"""What the doctor sees of security settings in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.cli.finding import Finding


def security_findings(settings: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """From the answer of the API. What a person has to look at is told, and is no warning."""
    for one in settings:
        if one["judged"] == "differs":
            yield Finding(one["name"], "warn", one["value"], f"advised: {one['advised']} ({one['clause']})")
    look = [one["name"] for one in settings if one["judged"] == "look"]
    advised = sum(one["judged"] == "as-advised" for one in settings)
    found = f"{advised} of {len(settings)} as advised"
    if look:
        found += f"; to be looked at: {', '.join(look)}"
    yield Finding("security", "ok", found)
