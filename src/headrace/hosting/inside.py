"""What an app holds in its own process: each ability asks the platform, and waits."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from headrace.model.alarms import AlarmTransition
from headrace.model.assets import Asset
from headrace.model.batch import Value
from headrace.model.commands import Command
from headrace.model.points import Point
from headrace.model.time import SECOND_NS
from headrace.sdk.apps.context import Answer, Cell, Document, Resolved, Rows, Samples, Signature, Statement
from headrace.sdk.apps.translations import Translations
from headrace.sdk.services import AlarmRecord
from headrace.sdk.store import Aggregate, Buckets

Ask = Callable[..., Awaitable[Any]]
"""`await ask("tables.query", sql, values)`: what the platform answers, or raises."""


class Inside:
    """Implements `Context`. `heard` takes what each message of the platform says beside its body."""

    def __init__(
        self, app: str, tenant: str, settings: Mapping[str, Any], texts: Translations, ask: Ask,
        log: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.app, self.tenant, self.settings = app, tenant, settings
        self._texts, self._log = texts, log
        self._now_ns, self._heard_s = time.time_ns(), time.monotonic()
        self.model = _Model(ask)
        self.live, self.history, self.events = _Live(ask), _History(ask), _Events(ask)
        self.alarms, self.commands, self.identifiers = _Alarms(ask), _Commands(ask), _Identifiers(ask)
        self.documents, self.tables, self.http, self.signer = _Documents(ask), _Tables(ask), _Http(ask), _Signer(ask)

    def heard(self, now_ns: int, revision: int) -> None:
        self._now_ns, self._heard_s = now_ns, time.monotonic()
        self.model.revision = revision

    def now_ns(self) -> int:
        return self._now_ns + int((time.monotonic() - self._heard_s) * SECOND_NS)

    def say(self, key: str, language: str = "en", **values: Any) -> str:
        return self._texts.say(key, language, **values)

    def log(self, message: str) -> None:
        self._log(str(message))


class _Ability:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask


class _Model(_Ability):
    revision = 0

    async def assets(self, within: str = "") -> Sequence[Asset]:
        found: Sequence[Asset] = await self._ask("model.assets", within)
        return found

    async def points(self, place: str = "**") -> Sequence[Point]:
        found: Sequence[Point] = await self._ask("model.points", place)
        return found


class _Live(_Ability):
    async def get(self, paths: Sequence[str]) -> Samples:
        found: Samples = await self._ask("live.get", list(paths))
        return found


class _History(_Ability):
    async def samples(self, paths: Sequence[str], start_ns: int, end_ns: int) -> AsyncIterator[Samples]:
        cursor: str | None = ""
        while cursor is not None:
            part, cursor = await self._ask("history.samples", list(paths), start_ns, end_ns, cursor)
            if len(part):
                yield part

    async def buckets(
        self, paths: Sequence[str], start_ns: int, end_ns: int, *, width_ns: int,
        aggregates: Sequence[Aggregate] = (Aggregate.MEAN,), good_only: bool = True,
    ) -> Buckets:  # fmt: skip
        asked = [one.value for one in aggregates]
        found: Buckets = await self._ask("history.buckets", list(paths), start_ns, end_ns, width_ns, asked, good_only)
        return found

    async def latest(self, paths: Sequence[str], at_ns: int) -> Samples:
        found: Samples = await self._ask("history.latest", list(paths), at_ns)
        return found


class _Events(_Ability):
    async def publish(self, type: str, subject: str, data: Mapping[str, Any], *, time_ns: int | None = None) -> None:
        await self._ask("events.publish", type, subject, data, time_ns)


class _Alarms(_Ability):
    async def current(self, within: str = "") -> Sequence[AlarmRecord]:
        found: Sequence[AlarmRecord] = await self._ask("alarms.current", within)
        return found

    async def history(self, start_ns: int, end_ns: int, within: str = "") -> Sequence[AlarmTransition]:
        found: Sequence[AlarmTransition] = await self._ask("alarms.history", start_ns, end_ns, within)
        return found


class _Commands(_Ability):
    async def write(self, path: str, value: Value, reason: str) -> Command:
        found: Command = await self._ask("commands.write", path, value, reason)
        return found


class _Identifiers(_Ability):
    async def resolve(self, identifier: str) -> Resolved:
        found: Resolved = await self._ask("identifiers.resolve", identifier)
        return found


class _Documents(_Ability):
    async def put(self, name: str, data: bytes, media_type: str) -> Document:
        found: Document = await self._ask("documents.put", name, bytes(data), media_type)
        return found

    async def get(self, name: str) -> bytes:
        found: bytes = await self._ask("documents.get", name)
        return found

    async def list(self, prefix: str = "") -> Sequence[Document]:
        found: Sequence[Document] = await self._ask("documents.list", prefix)
        return found

    async def delete(self, name: str) -> None:
        await self._ask("documents.delete", name)


class _Tables(_Ability):
    async def query(self, sql: str, *values: Cell) -> Rows:
        found: Rows = await self._ask("tables.query", sql, list(values))
        return found

    async def write(self, *statements: Statement | str) -> Sequence[int]:
        told = [
            one if isinstance(one, str) else Statement(one.sql, list(one.values), _listed(one.many))
            for one in statements
        ]
        found: Sequence[int] = await self._ask("tables.write", told)
        return found


def _listed(rows: Sequence[Sequence[Cell]] | None) -> list[list[Cell]] | None:
    return None if rows is None else [list(row) for row in rows]


class _Http(_Ability):
    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"",
        timeout_s: float = 30.0,
    ) -> Answer:  # fmt: skip
        found: Answer = await self._ask("http.request", method, url, dict(headers or {}), bytes(body), timeout_s)
        return found


class _Signer(_Ability):
    async def sign(self, data: bytes) -> Signature:
        found: Signature = await self._ask("signer.sign", bytes(data))
        return found

    async def verify(self, data: bytes, signature: Signature) -> bool:
        found: bool = await self._ask("signer.verify", bytes(data), signature)
        return found
