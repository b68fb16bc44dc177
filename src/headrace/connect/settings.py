"""Kinds of settings that more than one driver or gateway declares: durations with a span, and where a secret is.

Settings(BaseModel):
    timeout_ns: Annotated[int, duration("100ms", "5m")] = Field(5 * SECOND_NS, alias="timeout")
    password: SecretReference | None = None        # env:NAME or file:/path, never the secret: sdk/references.py
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from headrace.model.errors import DataError
from headrace.model.time import parse_duration_ns


def duration(shortest: str, longest: str) -> BeforeValidator:
    """A duration as text (`500ms`, `1h`) within a span; the field holds nanoseconds."""
    low_ns, high_ns = parse_duration_ns(shortest), parse_duration_ns(longest)

    def parse(value: Any) -> int:
        if not isinstance(value, str):
            raise ValueError("write a number and a unit, such as 500ms, 10s or 1h")
        try:
            duration_ns = parse_duration_ns(value)
        except DataError as error:
            raise ValueError(error.message) from None
        if not low_ns <= duration_ns <= high_ns:
            raise ValueError(f"'{value}' is out of range; {shortest} to {longest} are possible")
        return duration_ns

    return BeforeValidator(parse)


def _secret_reference(text: str) -> str:
    scheme, colon, rest = text.partition(":")
    if not colon or not rest or scheme not in ("env", "file"):
        raise ValueError("a password is never written here; refer to it with env:NAME or file:/path/to/secret")
    return text


SecretReference = Annotated[str, AfterValidator(_secret_reference)]
