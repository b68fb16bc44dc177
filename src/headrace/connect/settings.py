"""Kinds of settings that more than one driver or gateway declares: durations with a span, where a secret is, and what
may be called.

Settings(BaseModel):
    timeout_ns: Annotated[int, duration("100ms", "5m")] = Field(5 * SECOND_NS, alias="timeout")
    password: SecretReference | None = None        # env:NAME or file:/path, never the secret: sdk/references.py
    url: WebAddress                                # https, or http to this machine alone
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from headrace.model.errors import DataError
from headrace.model.time import parse_duration_ns
from headrace.sdk.reach import is_loopback


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


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018  # raises where it is none
    except ValueError as error:
        raise ValueError(f"'{url}' is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"'{url}' is no URL that begins with https://")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("a URL here has neither user, password nor '#': refer to a secret with 'token'")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("http:// tells everybody on the way: use https://, or http:// to this machine alone")
    return url


WebAddress = Annotated[str, Field(min_length=8, max_length=2_000), AfterValidator(_web_address)]


def _keyless(url: str) -> str:
    if "?" in url:
        raise ValueError("leave out what follows '?': the key is a secret, and is referred to by 'key'")
    return url


KeylessAddress = Annotated[WebAddress, AfterValidator(_keyless)]
