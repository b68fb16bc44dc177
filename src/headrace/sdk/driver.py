"""What a driver is: one session with one device. It never retries, never sleeps and never reads a wall clock.

The session supervisor (`connect/supervisor.py`) owns connect, back-off, one owner a socket, state and counters;
the read planner (`connect/planner.py`) owns rates and deadlines. A driver raises `DeviceError` and is done; the
supervisor closes it, marks its points bad and makes a new one.

Abilities are small and optional. A driver implements `Driver` and any of `Polled`, `Subscribed`, `Acknowledging`,
`Rebindable`, `Writable`, `Browsable`, `Trusting`, `Counting`. Its folder is `connect/drivers/<name>/` and its module
`driver.py` exposes `DRIVER: DriverType`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from headrace.model.batch import Batch, Value, ValueKind
from headrace.sdk.certificates import ListenerCertificates
from headrace.sdk.clock import Clock
from headrace.sdk.devices import DeviceDoor
from headrace.sdk.reach import Reach
from headrace.sdk.references import References
from headrace.sdk.secret_files import PLAIN, SecretFiles


@dataclass(frozen=True, slots=True)
class PointBinding:
    """A point as its driver sees it. `address` is an instance of the driver's own address model.

    `range` is the engineering range (low, high), inclusive; the supervisor flags values outside it.
    """

    handle: int
    path: str
    kind: ValueKind
    address: Any
    interval_ns: int
    writable: bool = False
    range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One round trip. `handles` are the points it answers, in any order; `token` is the driver's own plan."""

    handles: Sequence[int]
    token: Any


Deliver = Callable[[Sequence[Batch]], None]
"""Called on the event loop with batches as they arrive; never blocks, never raises."""

Lost = Callable[[Exception], None]
"""A subscribed session calls this once when it learns that it is over."""

Stored = Callable[[Sequence[Batch]], Awaitable[None]]
"""Returns when the samples survive `kill -9`; they are screened, counted, shown and judged like all others.

Concurrent calls are welcome. Raises: Unavailable while nothing can be stored (then nothing of the call was).
"""


class Driver(Protocol):
    async def connect(self) -> None:
        """Open the session. Raises: Unreachable, Refused, Garbled."""
        ...

    async def close(self) -> None:
        """Release everything; called exactly once, also after a failed connect; never raises."""
        ...


@runtime_checkable
class Polled(Protocol):
    """A driver that answers when asked."""

    def plan(self, points: Sequence[PointBinding]) -> Sequence[ReadRequest]:
        """Cut the points of one interval into round trips; pure, called once per configuration."""
        ...

    async def read(self, request: ReadRequest) -> Sequence[Batch]:
        """One round trip. A point that the device refuses is a bad sample in the answer; a dead session raises.

        Raises: Unreachable, Garbled.
        """
        ...


@runtime_checkable
class Subscribed(Protocol):
    """A driver that is told of changes."""

    async def subscribe(self, points: Sequence[PointBinding], deliver: Deliver, lost: Lost) -> None:
        """Start delivering; a point that the server refuses is delivered once as a bad sample. Raises: DeviceError."""
        ...


@runtime_checkable
class Acknowledging(Protocol):
    """A driver whose peers wait to hear that their samples are safe: a gateway for devices, a client of a broker.

    It stands for many peers, so writes to it are not made to wait for each other.
    """

    async def serve(self, points: Sequence[PointBinding], stored: Stored, lost: Lost) -> None:
        """Take samples until `close`, whatever the points: call `stored`, then acknowledge. Raises: DeviceError."""
        ...


@runtime_checkable
class Rebindable(Protocol):
    """A told driver that can be given other points without its peers noticing."""

    async def rebind(self, points: Sequence[PointBinding]) -> None:
        """From now on these. Raises: DeviceError, which ends the session."""
        ...


@runtime_checkable
class Counting(Protocol):
    """A driver that knows more of itself than the session can see."""

    def counts(self) -> Mapping[str, float]:
        """What is now and what was since it was opened, by name; cheap, never raises."""
        ...


@runtime_checkable
class Writable(Protocol):
    async def write(self, point: PointBinding, value: Value) -> None:
        """Raises: Refused, Unreachable, Garbled; DataError where the value does not fit the address."""
        ...

    async def read_back(self, point: PointBinding) -> Batch:
        """The one sample that the device holds now. Raises: DeviceError."""
        ...


@dataclass(frozen=True, slots=True)
class BrowseNode:
    """Something a device offers. `address` can be pasted into a declaration; `kind` is None for a folder."""

    name: str
    address: Mapping[str, Any]
    kind: ValueKind | None
    has_children: bool = False
    writable: bool = False
    unit: str | None = None
    description: str = ""


@runtime_checkable
class Browsable(Protocol):
    def browse(self, parent: Mapping[str, Any] | None) -> AsyncIterator[BrowseNode]:
        """Children of an address, or the roots. Raises: DeviceError."""
        ...


@runtime_checkable
class Trusting(Protocol):
    """A driver whose peer proves itself by a certificate that an engineer must once trust.

    The supervisor remembers the fingerprint that an engineer trusted and gives it in `DriverContext.trusted`; the
    driver raises `Refused` where the peer shows another certificate.
    """

    async def fingerprint(self) -> str:
        """SHA-256 of the peer's certificate, hex in pairs joined by colons, before any trust. Raises: DeviceError."""
        ...


def fits_any(address: Any, kind: ValueKind, writable: bool) -> None:
    """The default of `DriverType.check`: this driver's addresses can hold any kind."""
    del address, kind, writable


@dataclass(frozen=True, slots=True)
class DriverContext:
    """What a driver is given beside its settings.

    `state_dir` is kept across restarts and shared by all connections of this kind of driver; it may not exist yet.
    A driver keeps there what it must remember, such as its own certificate. `trusted` is the fingerprint of the peer
    that an engineer trusted, None while nobody has (see `Trusting`). `devices` decides who may connect to a driver that
    listens; None where the platform has no register of devices, so that nobody may. `secrets` is how a private key is
    kept, `certificates` what a driver that listens shows, and whose it takes, where its settings do not say. `reach` is
    where it may connect to and listen, `references` reads the secrets that its settings refer to.
    """

    connection: str
    clock: Clock
    state_dir: Path
    trusted: str | None = None
    devices: DeviceDoor | None = None
    secrets: SecretFiles = PLAIN
    certificates: ListenerCertificates | None = None
    reach: Reach = field(default_factory=Reach)
    references: References = field(default_factory=References)


@dataclass(frozen=True, slots=True)
class DriverType:
    """What `connect/drivers/<name>/driver.py` exposes as `DRIVER`.

    `settings` and `address` are pydantic models with `extra="forbid"`; declarations are validated against them,
    and their errors carry file, line and column. `check(address, kind, writable)` then says whether a point of that
    kind and access can live at that address; it raises ConfigError in plain words where it cannot.
    """

    name: str
    title: str
    settings: type[BaseModel]
    address: type[BaseModel]
    open: Callable[[Any, DriverContext], Driver]
    """`open(settings, context)`; does no I/O."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Any, ValueKind, bool], None] = fits_any
