"""The edge's store: it stands where the historian stands at a hub, and holds samples until the hub has them.

    append ─► waiting ─► [spool thread: blocks ─► frames ─► fdatasync] ─► acknowledged ─► recent ─► link
    append_events ─► the same, in a log of its own                                           disk ─┘ backlog
    resume(held) ─► plan of a connection, durable            acked(held) ─► trim ─► files go

    <home>/samples/*.spool   blocks (`columns.py`)      names.log    path of every number
    <home>/events/*.spool    JSON                       state.json   what the hub has

All changes of the files happen on one thread. Whoever waits for the disk shares one fdatasync with all who wait.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import numpy as np

from headrace.exchange import columns
from headrace.exchange.spool.frames import Entry
from headrace.exchange.spool.log import FrameLog, Record, Segment
from headrace.exchange.spool.names import Names
from headrace.exchange.spool.ranges import Ranges
from headrace.exchange.spool.settings import Overflow, SpoolSettings
from headrace.exchange.spool.state import Held, Plan, StateFile
from headrace.model.batch import Batch, Handles, ValueKind
from headrace.model.errors import DataError, HeadraceError, Unavailable
from headrace.model.events import Event
from headrace.sdk.clock import Clock
from headrace.sdk.disk import Disk
from headrace.sdk.intake import NO_MARKS, Mark

_logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

BLOCK_SAMPLES: Final = 8_192
_BLOCK_TEXT_BYTES: Final = 1024 * 1024
_GROUP_SAMPLES_MAX: Final = 200_000
_EVENTS: Final = SpoolSettings(bytes_max=64 * 1024**2, segment_bytes=1024**2, overflow=Overflow.DROP_OLDEST)
_EVENT_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """What waits for the hub, about; `used` is the share of its bound. `full` tells why samples are refused now."""

    pending_samples: int
    pending_bytes: int
    oldest_ns: int | None
    used: float
    dropped: int
    damaged_frames: int
    refused: int
    full: str


class Spool:
    """A `SampleStore`; made by `open_spool`. Belongs to one event loop."""

    def __init__(self, directory: Path, settings: SpoolSettings, clock: Clock, disk: Disk, rng: random.Random) -> None:
        """Reads the directory: not on the event loop. Raises: Unavailable, DataError."""
        self._settings, self._clock, self._rng = settings, clock, rng
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = _owned(directory)
        self._state = StateFile(directory, disk, _logger.warning)
        self._state.put(self._state.state)
        self.names = Names(directory, disk, settings.points_max)
        self._samples = FrameLog(directory / "samples", disk, settings, self._dropped)
        self._events = FrameLog(directory / "events", disk, replace(_EVENTS, reserve_bytes=0), lambda _: None)
        plans = self._state.state.plans
        self._plan = plans[-1] if plans else None
        self._held = Held() if self._plan is None else _nothing_yet(self._plan)
        self._thread = ThreadPoolExecutor(1, "spool")
        self._waiting: list[tuple[Sequence[Batch], asyncio.Future[None]]] = []
        self._running: asyncio.Task[None] | None = None
        self._registering = asyncio.Lock()
        self._recent, self._recent_bytes = deque[Entry](), 0
        self._last, self._last_event = self._samples.last, self._events.last
        self._closed, self._refused, self._full = False, 0, ""
        self.appended = 0
        self.grown: Callable[[], None] = lambda: None
        """Called on the event loop whenever something is durable that was not before."""

    # --- as a store ---------------------------------------------------------------------------------------------------

    async def register(self, paths: Sequence[str]) -> Handles:
        """Raises: LimitReached for too many or too long paths; Unavailable."""
        self._check_open()
        async with self._registering:
            new = list(dict.fromkeys(path for path in paths if path not in self.names.numbers))
            if new:
                await self._on_thread(lambda: self.names.add(new))
        return np.array([self.names.numbers[path] for path in paths], np.uint32)

    def paths(self) -> Mapping[int, str]:
        return dict(enumerate(self.names.paths))

    def marks(self) -> Mapping[str, Mark]:
        return {}

    async def append(self, batches: Sequence[Batch], marks: Mapping[str, Mark] = NO_MARKS) -> None:
        """Durable on return. Raises: Unavailable while it is full and its policy is to block, DataError."""
        self._check_open()
        if marks:
            raise DataError("an edge passes on what its own devices say: it keeps no marks of other sources")
        filled = [batch for batch in batches if len(batch)]
        for batch in filled:
            if int(batch.handles.max()) >= len(self.names.paths):
                raise DataError(f"point number {int(batch.handles.max())} is not registered; register its path first")
        if filled:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((filled, done))
            if self._running is None:
                self._running = asyncio.create_task(self._drain(), name="spool")
            await done

    async def append_events(self, events: Sequence[Event]) -> None:
        """Durable on return; they travel ahead of all samples. Raises: Unavailable."""
        self._check_open()
        records: list[Record] = []
        for event in events:
            payload = json.dumps(asdict(event), default=str, ensure_ascii=False).encode()
            if len(payload) > _EVENT_BYTES_MAX:
                payload = json.dumps(asdict(replace(event, data={"cut": f"{len(payload)} bytes"}))).encode()
            records.append((payload, 1, event.time_ns))
        if records:
            self._last_event = max(await self._on_thread(lambda: self._events.append(records)), self._last_event)
            self.grown()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        while self._running is not None:
            await asyncio.wait([self._running])
        await asyncio.to_thread(self._thread.shutdown)
        self._samples.close()
        self._events.close()
        self.names.close()
        self._lock.close()

    # --- for the link -------------------------------------------------------------------------------------------------

    @property
    def dictionary(self) -> str:
        """Which spool the numbers of points belong to."""
        return self._state.state.dictionary

    @property
    def last(self) -> int:
        """The newest frame that the event loop knows of; its thread may be ahead."""
        return self._last

    @property
    def last_event(self) -> int:
        return self._last_event

    async def resume(self, held: Held) -> Plan:
        """The plan of a connection that begins, durable, given what the hub has. Raises: Unavailable."""

        def plan() -> Plan:
            samples, events = self._samples, self._events
            state = self._state.state.next(
                held, (samples.first, samples.last), (events.first, events.last), self._rng
            )  # fmt: skip
            self._state.put(state)
            return state.plans[-1]

        self._plan = await self._on_thread(plan)
        self._held = _nothing_yet(self._plan)
        return self._plan

    def acked(self, held: Held) -> None:
        """The hub has more, of the plan that was made last. `trim` makes use of it."""
        if self._plan is not None and held.epoch == self._plan.epoch:
            self._held = held

    async def trim(self) -> None:
        """Remove the files that the hub needs no more."""
        pending, events = self._pending(), Ranges([(self._held.urgent + 1, self._events.last)])

        def trim() -> None:
            self._samples.trim(pending)
            self._events.trim(events)

        await self._on_thread(trim)

    def recent(self, sequence: int, bytes_max: int) -> list[Entry] | None:
        """Frames from `sequence` on that are still in memory; None where they are not, and `read` has to."""
        if not self._recent or sequence < self._recent[0].sequence:
            return None if sequence <= self._last else []
        found: list[Entry] = []
        size = 0
        for at in range(sequence - self._recent[0].sequence, len(self._recent)):
            found.append(self._recent[at])
            size += len(found[-1].payload)
            if size >= bytes_max:
                break
        return found

    async def read(self, sequence: int, bytes_max: int, reader: str) -> list[Entry]:
        """From disk, in order; see `FrameLog.read`."""
        return await asyncio.to_thread(self._samples.read, sequence, bytes_max, reader)

    async def read_events(self, sequence: int, bytes_max: int) -> list[Entry]:
        return await asyncio.to_thread(self._events.read, sequence, bytes_max, "urgent")

    def status(self) -> SpoolStatus:
        weight, size, oldest_ns = self._samples.backlog(self._pending())
        return SpoolStatus(
            weight,
            size,
            oldest_ns if weight else None,
            min(self._samples.bytes / self._settings.bytes_max, 1.0),
            self._state.state.dropped,
            self._samples.damaged_frames,
            self._refused,
            self._full,
        )

    # --- committing ---------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        try:
            while self._waiting:
                group: list[tuple[Sequence[Batch], asyncio.Future[None]]] = []
                samples = 0
                for waiting in self._waiting:
                    samples += sum(map(len, waiting[0]))
                    if group and samples > _GROUP_SAMPLES_MAX:
                        break
                    group.append(waiting)
                failure: Exception | None = None
                try:
                    entries = await self._on_thread(lambda g=group: self._commit([batches for batches, _ in g]))  # type: ignore[misc]
                    self._remember(entries)
                except Exception as error:  # a bug too: those who wait must learn of it
                    failure = error
                    self._note_refused(error)
                del self._waiting[: len(group)]
                for _, done in group:
                    if not done.done():
                        done.set_result(None) if failure is None else done.set_exception(_again(failure))
                if failure is None:
                    self.grown()
        finally:
            self._running = None

    def _commit(self, group: Sequence[Sequence[Batch]]) -> list[Entry]:
        """On the spool's thread."""
        records: list[Record] = []
        samples = 0
        for part in pieces(group):
            form, block = columns.pack(part)
            count = sum(map(len, part))
            records.append((bytes([form]) + block, count, max(int(batch.received_ns.max()) for batch in part)))
            samples += count
        last = self._samples.append(records)
        self.appended += samples
        return [
            Entry(sequence, weight, newest_ns, payload)
            for sequence, (payload, weight, newest_ns) in enumerate(records, last - len(records) + 1)
        ]

    def _remember(self, entries: Sequence[Entry]) -> None:
        self._full = ""
        for entry in entries:
            self._recent.append(entry)
            self._last = entry.sequence
            self._recent_bytes += len(entry.payload)
        while self._recent_bytes > self._settings.recent_bytes and len(self._recent) > 1:
            self._recent_bytes -= len(self._recent.popleft().payload)

    def _note_refused(self, error: Exception) -> None:
        if isinstance(error, Unavailable):
            self._refused += 1
            self._full = error.message

    def _dropped(self, segment: Segment) -> None:
        """On the spool's thread, before a file goes that the policy gives up."""
        lost = round(segment.share(self._pending()) * segment.weight)
        if not lost:
            return
        state = self._state.state
        if not state.dropped:
            _logger.error("the spool is full: the oldest samples go, as declared; %d so far", lost)
        try:
            self._state.put(replace(state, dropped=state.dropped + lost))
        except Unavailable as error:
            _logger.warning("what the spool dropped cannot be written down: %s", error)

    def _pending(self) -> Ranges:
        first, last = self._samples.first, self._samples.last
        if self._plan is None:
            return Ranges([(first, last)])
        return self._plan.pending(self._held, last).within(first, last)

    async def _on_thread(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the spool is closed; open it again")


def pieces(group: Sequence[Sequence[Batch]]) -> Iterator[list[Batch]]:
    """What becomes a block each: batches of a kind joined, in order, none larger than a block may be."""
    kinds: dict[ValueKind, list[Batch]] = {}
    for batches in group:
        for batch in batches:
            kinds.setdefault(batch.kind, []).append(batch)
    small: list[Batch] = []
    for kind, batches in kinds.items():
        joined = Batch.concat(batches)
        if len(joined) <= BLOCK_SAMPLES and kind is not ValueKind.TEXT:
            if sum(map(len, small)) + len(joined) > BLOCK_SAMPLES:
                yield small
                small = []
            small.append(joined)
            continue
        for begin, end in _cuts(joined):
            yield [joined.take(slice(begin, end))]
    if small:
        yield small


def _cuts(batch: Batch) -> Iterator[tuple[int, int]]:
    begin = 0
    sizes = 4 * np.strings.str_len(batch.values) if batch.kind is ValueKind.TEXT else None
    while begin < len(batch):
        end = min(begin + BLOCK_SAMPLES, len(batch))
        if sizes is not None:
            fitting = int(np.searchsorted(np.cumsum(sizes[begin:end]), _BLOCK_TEXT_BYTES, "right"))
            end = begin + max(fitting, 1)
        yield begin, end
        begin = end


def event_of(payload: bytes) -> Event:
    """Raises: DataError."""
    try:
        fields = json.loads(payload)
        json.dumps(fields, ensure_ascii=False).encode()  # half a character would break whoever keeps it
        data = fields["data"]
        if not isinstance(data, dict):
            raise TypeError("data is no object")
        return Event(
            str(fields["id"]), str(fields["source"]), str(fields["type"]), str(fields["subject"]),
            int(fields["time_ns"]), data,
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"an event cannot be read: {error}") from None


def _nothing_yet(plan: Plan) -> Held:
    return Held(plan.epoch, 0, plan.live_from - 1, plan.urgent_from - 1)


def _again(failure: Exception) -> Exception:
    """Each caller raises its own exception object, for a traceback belongs to one task."""
    return type(failure)(failure.message) if isinstance(failure, HeadraceError) else failure


def _owned(directory: Path) -> BinaryIO:
    """Held until it is closed, or the process ends. Raises: Unavailable where another process has it."""
    lock = (directory / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Unavailable(f"another process uses the spool in {directory}; stop it first") from None
    return lock


async def open_spool(
    directory: Path,
    settings: SpoolSettings,
    clock: Clock,
    *,
    disk: Disk | None = None,
    rng: random.Random | None = None,
) -> Spool:
    """Open or make the spool in `directory`. Raises: Unavailable, DataError."""
    return await asyncio.to_thread(Spool, directory, settings, clock, disk or Disk(), rng or random.SystemRandom())
