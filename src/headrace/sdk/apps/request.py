"""What a route of an app is asked, and what it answers. No HTTP here: `api/` knows that."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.model.errors import AccessError, DataError
from headrace.sdk.access import Action

REPLY_BYTES_MAX: Final = 32 * 1024 * 1024
BODY_BYTES_MAX: Final = 16 * 1024 * 1024

May = Callable[[Action, str], Awaitable[bool]]


async def _nobody(action: Action, path: str) -> bool:
    del action, path
    return False


@dataclass(frozen=True, slots=True)
class Request:
    """`user` is who asks, by name; `language` `en` or `zh`. `may` says whether they have a right on an asset or point.

    An app sees what its manifest was granted, which may be more than who asks may see: what a route shows of a part of
    the plant, it first asks `may` about.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    media_type: str = ""
    user: str = ""
    language: str = "en"
    may: May = _nobody

    def json(self) -> Any:
        """The body as JSON. Raises: DataError."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise DataError(f"the body of {self.method} {self.path} is no JSON") from None

    def fields(self, **wanted: type | tuple[type, ...]) -> dict[str, Any]:
        """Of a JSON object, these fields and no others, of these types; one whose types have `NoneType` may be missing.

        Raises: DataError that names the field.
        """
        found = self.json()
        if not isinstance(found, dict):
            raise DataError(f"the body of {self.method} {self.path} is a JSON object with {', '.join(wanted)}")
        for name in found:
            if name not in wanted:
                raise DataError(f"'{str(name)[:60]}' is no field here; there are {', '.join(wanted)}")
        for name, kind in wanted.items():
            kinds = kind if isinstance(kind, tuple) else (kind,)
            value = found.get(name)
            if isinstance(value, bool) and bool not in kinds:
                raise DataError(f"'{name}' is {_words(kinds)}")
            if isinstance(value, int) and not isinstance(value, bool) and float in kinds:
                value = float(value) if int not in kinds else value
            if not isinstance(value, kinds):
                raise DataError(f"'{name}' is missing" if value is None else f"'{name}' is {_words(kinds)}")
            found[name] = value
        return found

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number of the query. Raises: DataError."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 20 and low <= int(text) <= high):
            raise DataError(f"'{name}' is a whole number from {low} to {high}, not '{text[:30]}'")
        return int(text)

    async def check(self, action: Action, path: str) -> None:
        """Raises: AccessError."""
        if not await self.may(action, path):
            raise AccessError(f"{self.user} may not {action.value} at {path or 'the whole plant'}")


@dataclass(frozen=True, slots=True)
class Reply:
    """What is not plain JSON with status 200. `file` names a download."""

    body: bytes = b""
    media_type: str = "application/json"
    status: int = 200
    file: str = ""

    @classmethod
    def of(cls, answer: Any) -> Reply:
        """Of what a route returned: a `Reply`, None (204) or something that is JSON. Raises: DataError."""
        if isinstance(answer, Reply):
            made = answer
        elif answer is None:
            made = cls(status=204)
        else:
            try:
                made = cls(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode())
            except (TypeError, ValueError, RecursionError) as error:
                raise DataError(f"a route answered what is no JSON: {error}") from None
        if len(made.body) > REPLY_BYTES_MAX:
            raise DataError(f"a route answered {len(made.body):,} bytes; {REPLY_BYTES_MAX:,} is the most")
        if not 200 <= made.status < 300:
            raise DataError("a route says what went wrong by raising an error, not by a status")
        return made


_SAID: Final = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _words(kinds: tuple[type, ...]) -> str:
    return " or ".join(_SAID.get(kind, "left out") for kind in kinds)
