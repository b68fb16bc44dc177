"""What an app can do in a test: a `Context` over a fake plant, held to the manifest as the platform holds it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from headrace.model.alarms import AlarmTransition
from headrace.model.areas import Area
from headrace.model.assets import Asset
from headrace.model.batch import Value
from headrace.model.commands import Command, CommandState
from headrace.model.errors import AccessError, DataError, LimitReached, NotFound, Refused, Unavailable, Unreachable
from headrace.model.events import Event
from headrace.model.places import check_place, lies_at
from headrace.model.points import Point
from headrace.model.time import MINUTE_NS
from headrace.sdk.apps.context import Answer, Cell, Document, Resolved, Rows, Samples, Signature, Statement
from headrace.sdk.apps.manifest import AppManifest, Permissions
from headrace.sdk.apps.sqlite_tables import SqliteTables
from headrace.sdk.apps.translations import Translations
from headrace.sdk.services import AlarmRecord
from headrace.sdk.store import Aggregate, Buckets
from headrace.sdk.testing.fake_history import buckets_of
from headrace.sdk.testing.fake_plant import FakePlant

SAMPLES_A_PART: Final = 100_000
_DOCUMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,7}", re.ASCII)
_EVER_NS: Final = 2**62

HttpAnswer = Callable[[str, str, Mapping[str, str], bytes], Answer]


class KitContext:
    """Implements `Context` and each of its parts. `now` says the time; `http_answer` what hosts answer."""

    def __init__(
        self, manifest: AppManifest, plant: FakePlant, tables: SqliteTables | None, texts: Translations,
        settings: Mapping[str, Any], now: Callable[[], int], tenant: str,
    ) -> None:  # fmt: skip
        self._manifest, self._plant, self._texts, self._now = manifest, plant, texts, now
        self.settings, self.tenant = settings, tenant
        self.published: list[Event] = []
        self.lines: list[tuple[int, str]] = []
        self.http_answer: HttpAnswer | None = None
        self.known: dict[str, Resolved] = {}
        self.files: dict[str, tuple[Document, bytes]] = {}
        granted = manifest.permissions
        self.model = _Model(granted, plant)
        self.live = self.history = _History(granted, plant, now)
        self.events = _Events(self, granted, plant)
        self.alarms = _Alarms(granted, plant)
        self.commands = _Commands(self, granted, plant)
        self.identifiers = _Identifiers(self.known)
        self.documents = _Documents(self, granted)
        self.tables = _Tables(tables)
        self.http = _Http(self, granted)
        self.signer = _Signer(self, granted)

    @property
    def app(self) -> str:
        return self._manifest.name

    def now_ns(self) -> int:
        return self._now()

    def say(self, key: str, language: str = "en", **values: Any) -> str:
        return self._texts.say(key, language, **values)

    def log(self, message: str) -> None:
        self.lines = [*self.lines[-999:], (self._now(), message)]


class _Model:
    def __init__(self, granted: Permissions, plant: FakePlant) -> None:
        self._granted, self._plant = granted, plant

    @property
    def revision(self) -> int:
        return self._plant.revision

    async def assets(self, within: str = "") -> Sequence[Asset]:
        inside = Area((within,))
        found = [one for path, one in self._plant.assets.items() if inside.covers(path) and self._granted.sees(path)]
        return sorted(found, key=lambda one: one.path)

    async def points(self, place: str = "**") -> Sequence[Point]:
        check_place(place)
        found = [
            one for path, one in self._plant.points.items() if lies_at(path, place) and self._granted.sees(path)
        ]  # fmt: skip
        return sorted(found, key=lambda one: one.path)


class _History:
    """Also the newest samples."""

    def __init__(self, granted: Permissions, plant: FakePlant, now: Callable[[], int]) -> None:
        self._granted, self._plant, self._now = granted, plant, now

    async def get(self, paths: Sequence[str]) -> Samples:
        return await self.latest(paths, self._now())

    async def samples(self, paths: Sequence[str], start_ns: int, end_ns: int) -> AsyncIterator[Samples]:
        self._check(paths)
        rows = [row for path in paths for row in self._plant.rows(path, start_ns, end_ns)]
        for at in range(0, len(rows), SAMPLES_A_PART):
            yield self._plant.samples(rows[at : at + SAMPLES_A_PART])

    async def buckets(
        self, paths: Sequence[str], start_ns: int, end_ns: int, *, width_ns: int,
        aggregates: Sequence[Aggregate] = (Aggregate.MEAN,), good_only: bool = True,
    ) -> Buckets:  # fmt: skip
        self._check(paths)
        return buckets_of(self._plant, paths, start_ns, end_ns, width_ns, aggregates, good_only)

    async def latest(self, paths: Sequence[str], at_ns: int) -> Samples:
        self._check(paths)
        return self._plant.samples([row for path in paths for row in self._plant.latest(path, at_ns)])

    def _check(self, paths: Sequence[str]) -> None:
        for path in paths:
            if not self._granted.reads(path):
                raise AccessError(f"the app may not read '{path}'; its manifest says whose samples it reads")
            if path not in self._plant.points:
                raise NotFound(f"there is no point '{path}'")


class _Events:
    def __init__(self, around: KitContext, granted: Permissions, plant: FakePlant) -> None:
        self._around, self._granted, self._plant = around, granted, plant

    async def publish(self, type: str, subject: str, data: Mapping[str, Any], *, time_ns: int | None = None) -> None:
        if not self._granted.tells(type):
            raise AccessError(f"the app may not tell '{type}'; its manifest says what it publishes")
        if subject not in self._plant.assets and subject not in self._plant.points:
            raise NotFound(f"there is no asset or point '{subject}'")
        if not self._granted.sees(subject):
            raise AccessError(f"the app may not tell of '{subject}', which it does not see")
        moment = self._around.now_ns() if time_ns is None else time_ns
        name = f"app/{self._around.app}"
        self._around.published.append(
            Event(f"{name}-{len(self._around.published)}", name, type, subject, moment, dict(data))
        )


class _Alarms:
    def __init__(self, granted: Permissions, plant: FakePlant) -> None:
        self._granted, self._plant = granted, plant

    async def current(self, within: str = "") -> Sequence[AlarmRecord]:
        self._check()
        inside = Area((within,))
        return [one for one in self._plant.alarms if self._seen(one.rule.point, inside)]

    async def history(self, start_ns: int, end_ns: int, within: str = "") -> Sequence[AlarmTransition]:
        self._check()
        inside = Area((within,))
        found = [
            one for one in self._plant.transitions
            if start_ns <= one.time_ns < end_ns and self._seen(one.rule, inside)
        ]  # fmt: skip
        return sorted(found, key=lambda one: one.time_ns)

    def _check(self) -> None:
        if not self._granted.alarms:
            raise AccessError("the app may not see alarms; its manifest would say `alarms = true`")

    def _seen(self, point: str, inside: Area) -> bool:
        return inside.covers(point) and self._granted.sees(point)


class _Commands:
    def __init__(self, around: KitContext, granted: Permissions, plant: FakePlant) -> None:
        self._around, self._granted, self._plant = around, granted, plant

    async def write(self, path: str, value: Value, reason: str) -> Command:
        if not self._granted.writes(path):
            raise AccessError(f"the app may not write '{path}'; its manifest says what it writes")
        point = self._plant.points.get(path)
        if point is None:
            raise NotFound(f"there is no point '{path}'")
        now = self._around.now_ns()
        made = Command(f"fake-{now}", path, value, f"app:{self._around.app}", reason, now, now + MINUTE_NS)
        refused = "" if point.writable else f"'{path}' cannot be written"
        refused = refused or self._plant.write(path, value, reason, now)
        if refused:
            return replace(made, state=CommandState.REFUSED, detail=refused, finished_ns=now)
        return replace(made, state=CommandState.CONFIRMED, read_back=value, finished_ns=now)


class _Identifiers:
    def __init__(self, known: Mapping[str, Resolved]) -> None:
        self._known = known

    async def resolve(self, identifier: str) -> Resolved:
        if not self._known:
            raise Unavailable("this platform resolves no identifiers")
        if identifier not in self._known:
            raise NotFound(f"nothing is known of '{identifier}'")
        return self._known[identifier]


class _Documents:
    def __init__(self, around: KitContext, granted: Permissions) -> None:
        self._around, self._granted = around, granted

    async def put(self, name: str, data: bytes, media_type: str) -> Document:
        if not _DOCUMENT.fullmatch(name):
            raise DataError(f"'{name[:60]}' is no name of a document; write 'reports/2026-11-26.pdf'")
        files = self._around.files
        others = sum(made.size for each, (made, _) in files.items() if each != name)
        if others + len(data) > self._granted.documents_mb * 1_000_000:
            raise LimitReached(f"documents have reached {self._granted.documents_mb} MB, all that was granted")
        made = Document(name, media_type, len(data), hashlib.sha256(data).hexdigest(), self._around.now_ns())
        files[name] = made, bytes(data)
        return made

    async def get(self, name: str) -> bytes:
        return self._held(name)[1]

    async def list(self, prefix: str = "") -> Sequence[Document]:
        return [made for name, (made, _) in sorted(self._around.files.items()) if name.startswith(prefix)]

    async def delete(self, name: str) -> None:
        self._held(name)
        del self._around.files[name]

    def _held(self, name: str) -> tuple[Document, bytes]:
        if name not in self._around.files:
            raise NotFound(f"there is no document '{name[:60]}'")
        return self._around.files[name]


class _Tables:
    def __init__(self, tables: SqliteTables | None) -> None:
        self._tables = tables

    async def query(self, sql: str, *values: Cell) -> Rows:
        return self._held().query(sql, values)

    async def write(self, *statements: Statement | str) -> Sequence[int]:
        return self._held().write(statements)

    def _held(self) -> SqliteTables:
        if self._tables is None:
            raise AccessError("the app has no tables; its manifest would say how many MB: `tables_mb = 200`")
        return self._tables


class _Http:
    def __init__(self, around: KitContext, granted: Permissions) -> None:
        self._around, self._granted = around, granted

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"",
        timeout_s: float = 30.0,
    ) -> Answer:  # fmt: skip
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
        where = f"{parts.hostname}:{port}"
        if not any(_is_host(where, one) for one in self._granted.hosts):
            raise Refused(f"the app may not call {where}; its manifest says which hosts it calls")
        if self._around.http_answer is None:
            raise Unreachable(f"nobody answers at {where} within {timeout_s:g} s")
        return self._around.http_answer(method, url, headers or {}, body)


class _Signer:
    """A key that is the test's."""

    def __init__(self, around: KitContext, granted: Permissions) -> None:
        self._around, self._granted = around, granted
        self._key = Ed25519PrivateKey.generate()

    async def sign(self, data: bytes) -> Signature:
        self._check()
        now = self._around.now_ns()
        return Signature(self._public(), self._key.sign(self._said(data, now)).hex(), now)

    async def verify(self, data: bytes, signature: Signature) -> bool:
        self._check()
        try:
            value = bytes.fromhex(signature.value)
            self._key.public_key().verify(value, self._said(data, signature.time_ns))
        except (InvalidSignature, ValueError):
            return False
        return signature.key == self._public()

    def _check(self) -> None:
        if not self._granted.sign:
            raise AccessError("the app may not sign; its manifest would say `sign = true`")

    def _public(self) -> str:
        return self._key.public_key().public_bytes_raw().hex()

    def _said(self, data: bytes, time_ns: int) -> bytes:
        return f"{self._around.app}\n{self._around.tenant}\n{time_ns}\n".encode() + hashlib.sha256(data).digest()


def _is_host(where: str, granted: str) -> bool:
    if granted.startswith("*."):
        name, _, port = where.rpartition(":")
        wanted, _, wanted_port = granted[2:].rpartition(":")
        return port == wanted_port and name.endswith(f".{wanted}")
    return where == granted
