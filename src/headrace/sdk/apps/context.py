"""What an app can do: ask. Each ability is a small protocol; behind all stands the platform, which answers for what the
manifest was granted and for nothing else.

    model        assets and points as declared          history     samples and buckets of the past
    live         the newest samples                     events      tell what happened
    alarms       current and past                       commands    setpoints, with all their checks
    identifiers  what an identifier stands for          documents   files of the app's own
    tables       rows of the app's own                  http        hosts that the manifest names
    settings     what was filled in                     signer      signatures of the platform

Everything raises AccessError for what was not granted and Unavailable where the platform is stopping. Times are ns
since 1970, UTC; spans are half-open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace.model.alarms import AlarmTransition
from headrace.model.assets import Asset
from headrace.model.batch import Batch, Value
from headrace.model.commands import Command
from headrace.model.points import Point
from headrace.sdk.services import AlarmRecord
from headrace.sdk.store import Aggregate, Buckets

Cell = None | int | float | str | bytes
"""What a column of a table holds."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Batches and what their handles mean: the dictionary holds for these batches alone."""

    batches: Sequence[Batch]
    paths: Mapping[int, str]

    def __len__(self) -> int:
        return sum(map(len, self.batches))


class Model(Protocol):
    """The part of the plant that was granted. `revision` grows with each change of the plant."""

    @property
    def revision(self) -> int: ...

    async def assets(self, within: str = "") -> Sequence[Asset]:
        """An asset and those below it, by path; all without one."""
        ...

    async def points(self, place: str = "**") -> Sequence[Point]:
        """By path. `place` is a path, or a glob of one (`model/places.py`)."""
        ...


class Live(Protocol):
    async def get(self, paths: Sequence[str]) -> Samples:
        """The newest sample of each; those that have none are left out."""
        ...


class History(Protocol):
    def samples(self, paths: Sequence[str], start_ns: int, end_ns: int) -> AsyncIterator[Samples]:
        """By point and source time, in parts of at most 100,000 samples."""
        ...

    async def buckets(
        self, paths: Sequence[str], start_ns: int, end_ns: int, *, width_ns: int,
        aggregates: Sequence[Aggregate] = (Aggregate.MEAN,), good_only: bool = True,
    ) -> Buckets:  # fmt: skip
        """`handles` of the answer are places in `paths`."""
        ...

    async def latest(self, paths: Sequence[str], at_ns: int) -> Samples:
        """The newest at or before a moment."""
        ...


class Events(Protocol):
    async def publish(self, type: str, subject: str, data: Mapping[str, Any], *, time_ns: int | None = None) -> None:
        """Tell everybody who may see the asset or point `subject`. `type` is one that the manifest names."""
        ...


class Alarms(Protocol):
    async def current(self, within: str = "") -> Sequence[AlarmRecord]: ...

    async def history(self, start_ns: int, end_ns: int, within: str = "") -> Sequence[AlarmTransition]:
        """Oldest first; at most 100,000."""
        ...


class Commands(Protocol):
    async def write(self, path: str, value: Value, reason: str) -> Command:
        """As the app, whose name the audit trail shows: all checks of a write are made. A refusal is an outcome."""
        ...


@dataclass(frozen=True, slots=True)
class Resolved:
    """What an identifier stands for: `subject` is the path of an asset, or '' for what is no asset here."""

    identifier: str
    subject: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


class Identifiers(Protocol):
    async def resolve(self, identifier: str) -> Resolved:
        """Raises: NotFound; Unavailable on a platform that resolves none."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the app's own. `sha256` in hex."""

    name: str
    media_type: str
    size: int
    sha256: str
    changed_ns: int


class Documents(Protocol):
    """Names are `reports/2026-11-26.pdf`: parts of letters, digits, `.`, `-`, `_`, joined by `/`."""

    async def put(self, name: str, data: bytes, media_type: str) -> Document:
        """Durable on return; takes the place of one of that name. Raises: LimitReached beyond what was granted."""
        ...

    async def get(self, name: str) -> bytes:
        """Raises: NotFound."""
        ...

    async def list(self, prefix: str = "") -> Sequence[Document]: ...

    async def delete(self, name: str) -> None:
        """Raises: NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """An answer of a table, in order."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    def __len__(self) -> int:
        return len(self.rows)

    def dicts(self) -> list[dict[str, Cell]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def one(self) -> dict[str, Cell] | None:
        """The first row."""
        return dict(zip(self.columns, self.rows[0], strict=True)) if self.rows else None


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of SQL. With `many` it is executed once for each row of it, so with none it is not."""

    sql: str
    values: Sequence[Cell] = ()
    many: Sequence[Sequence[Cell]] | None = None


class Tables(Protocol):
    """A SQLite database of the app and its tenant alone. Its tables come from `migrations/0001-….sql` of the app's
    folder, which are executed in the order of their numbers before it starts, each once. Values are given apart from
    SQL, always.

    Raises: DataError for what SQLite refuses, with what it said; Conflict where a constraint does (UNIQUE, CHECK, a
    foreign key); LimitReached beyond the size that was granted, or where a statement takes too long.
    """

    async def query(self, sql: str, *values: Cell) -> Rows:
        """Reads. At most 1,000,000 cells."""
        ...

    async def write(self, *statements: Statement | str) -> Sequence[int]:
        """All of them or none, durable on return. How many rows each changed."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Http(Protocol):
    """To the hosts that the manifest names, as far as the platform itself may reach them."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"",
        timeout_s: float = 30.0,
    ) -> Answer:  # fmt: skip
        """Redirects are not followed. Raises: Refused for another host; Unreachable."""
        ...


@dataclass(frozen=True, slots=True)
class Signature:
    """Ed25519 of the platform: `key` (public) and `value` in hex; `time_ns`, when it was made, is signed too."""

    key: str
    value: str
    time_ns: int


class Signer(Protocol):
    """Signatures that say: this platform held these bytes for this app at this time."""

    async def sign(self, data: bytes) -> Signature: ...

    async def verify(self, data: bytes, signature: Signature) -> bool:
        """Whether they are of this platform, for this app and tenant, and of these bytes."""
        ...


class Context(Protocol):
    """`tenant` is for whom it runs; `settings` are checked against the manifest, with defaults filled in."""

    @property
    def app(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def model(self) -> Model: ...
    @property
    def live(self) -> Live: ...
    @property
    def history(self) -> History: ...
    @property
    def events(self) -> Events: ...
    @property
    def alarms(self) -> Alarms: ...
    @property
    def commands(self) -> Commands: ...
    @property
    def identifiers(self) -> Identifiers: ...
    @property
    def documents(self) -> Documents: ...
    @property
    def tables(self) -> Tables: ...
    @property
    def http(self) -> Http: ...
    @property
    def signer(self) -> Signer: ...

    def now_ns(self) -> int:
        """The platform's clock; in a test, the time machine's."""
        ...

    def say(self, key: str, language: str = "en", **values: Any) -> str:
        """A text of `locale/<language>.toml` of the app, `{names}` filled in; English where the language lacks it, the
        key where both do."""
        ...

    def log(self, message: str) -> None:
        """One line to the app's own log, which the console shows; the last 1,000 are kept."""
        ...
