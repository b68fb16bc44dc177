"""Work that several machines share over NATS JetStream: samples by partition of their asset, read again from any place.

    publish ─► by partition of the asset ─► <subject>.work.<n>  ─► stream, kept by age and size
    share   ─► leases ─► Partition n ─┬─ pieces from a position ─► whoever works on it ─► tell ─► <subject>.made.<n>
                                      └─ state, with its position ◄──────────────────────┘
    a worker dies ─► its leases end ─► another reads the state, and the stream from there on

Nothing is acknowledged: where to go on is in the state, and both are one. What a worker told after its last state is
told again by the next one, the same for the same points and times. A state is written against the revision that was
read, so a worker that was paused for longer than its lease cannot put an old one over a new one.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headrace.exchange.nats import NatsBus, NatsSettings, messages_of
from headrace.exchange.nats_leases import Leases
from headrace.exchange.numbering import Heard
from headrace.exchange.partitions import Spreader
from headrace.model.batch import Batch
from headrace.model.errors import Conflict, DataError, HeadraceError, Unavailable
from headrace.model.packing import unpack
from headrace.model.time import SECOND_NS
from headrace.sdk.feed import Piece

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

log = logging.getLogger(__name__)

FETCH_MESSAGES: Final = 64
FETCH_WAIT_S: Final = 1.0
LOOK_AFTER: Final = 3
"""Silent fetches before the server is asked whether it has sent what did not come."""
RETRY_S: Final = 1.0
LEAVE_S: Final = 10.0
STATE_S: Final = 20.0
"""How long a state may take on its way: a part of it that is lost is waited for without end otherwise."""
CONSUMER_FORGOTTEN_S: Final = 60.0
"""A reader that is gone; the next one makes its own."""


class Numbers:
    """`Numbering` of one partition: each path gets the next number when it is first heard of."""

    def __init__(self) -> None:
        self.paths: dict[int, str] = {}
        self._handles: dict[str, int] = {}

    def path_of(self, handle: int) -> str:
        return self.paths[handle]

    def handle_of(self, path: str) -> int:
        handle = self._handles.setdefault(path, len(self._handles))
        self.paths[handle] = path
        return handle


class ByAsset:
    """`Numbering` that shows a point as its asset: so all points of an asset are in one partition."""

    def __init__(self, path_of: Callable[[int], str]) -> None:
        self._path_of = path_of

    def path_of(self, handle: int) -> str:
        path = self._path_of(handle)
        return path.rpartition("/")[0] or path

    def handle_of(self, path: str) -> int | None:
        del path
        return None


Work = Callable[["Partition"], Awaitable[None]]
LABEL: Final = "Headrace-Made-By"


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker told. `label` says by what, in words of its own; `paths` what handles mean in it."""

    label: str
    batches: Sequence[Batch]
    paths: Mapping[int, str]


class SharedWork:
    """The stream of one plant. Make one with `connect`; `path_of` says what handles of `publish` mean."""

    def __init__(self, client: Client, settings: NatsSettings, path_of: Callable[[int], str]) -> None:
        self._stream: JetStreamContext = client.jetstream(timeout=settings.publish_timeout_s)
        self._bytes_max = client.max_payload
        self._settings, self._path_of = settings, path_of
        self._spreader = Spreader(ByAsset(path_of), settings.partitions)
        self._created = 0
        self._states: Any = None
        self._places: Any = None

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, settings: NatsSettings, *, name: str, path_of: Callable[[int], str] = str
    ) -> AsyncIterator[SharedWork]:
        """Raises: ConfigError without the extra, or for a stream made with other partitions; Unavailable."""
        async with NatsBus.client_of(settings, name) as client:
            shared = cls(client, settings, path_of)
            await shared._open()
            yield shared

    async def publish(self, batches: Sequence[Batch]) -> None:
        """Durable on return. Raises: Unavailable; DataError for a handle that means nothing."""
        parts = self._spreader.spread(batches)
        sends = [self._send(f"work.{partition}", part, self._path_of) for partition, part in parts.items()]
        for outcome in await asyncio.gather(*sends, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    @property
    def created(self) -> int:
        """When the stream was made, in seconds: sequences of another one mean nothing in it."""
        return self._created

    async def made(self, position: int) -> AsyncIterator[tuple[int, Sequence[Result]]]:
        """What workers told behind a position: pairs of the next position and what came until there. Without end."""
        garbled = 0
        async for at, messages in self._read("made.*", position, lambda: False):
            results: list[Result] = []
            for message in messages:
                numbers = Numbers()
                try:
                    packed = unpack(message.data)
                    heard = Heard(numbers)
                    heard.learn(packed.paths)
                    batches = list(heard.ours(packed.batches))
                except DataError as error:
                    garbled += 1
                    if garbled == 1 or garbled % 1000 == 0:
                        log.error("%d messages of workers cannot be read; the last: %s", garbled, error)
                else:
                    results.append(Result((message.headers or {}).get(LABEL, ""), batches, numbers.paths))
            yield at, results

    async def share(self, group: str, work: Work) -> None:
        """Work on a fair share of the partitions among all of this group, until cancelled."""
        running: dict[int, tuple[Partition, asyncio.Task[None]]] = {}

        async def hold(number: int) -> None:
            one = Partition(self, group, number)
            running[number] = one, asyncio.create_task(_again(work, one), name=f"{group} {number}")

        async def release(number: int) -> None:
            one, task = running.pop(number)
            one.leave()
            await asyncio.wait({task}, timeout=LEAVE_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        leases = Leases(self._stream, self._settings, group, self._settings.partitions, hold, release)
        try:
            await leases.start()
            await asyncio.Event().wait()
        finally:
            await leases.stop()

    async def _send(
        self, subject: str, batches: Sequence[Batch], path_of: Callable[[int], str], label: str = ""
    ) -> None:
        from nats.errors import Error

        try:
            for message in messages_of(batches, path_of, self._bytes_max):
                headers = {LABEL: label} if label else None
                await self._stream.publish(f"{self._settings.subject}.{subject}", message, headers=headers)
        except (Error, TimeoutError) as error:
            raise Unavailable(f"the NATS server did not take it: {error}") from None

    async def _read(
        self, subject: str, at: int, ended: Callable[[], bool]
    ) -> AsyncIterator[tuple[int, Sequence[Any]]]:  # fmt: skip
        """Messages behind a sequence, in order and without a gap; none where nothing came for `FETCH_WAIT_S`."""
        from nats.errors import Error

        consumer, heard, silent = None, 0, 0
        while not ended():
            try:
                if consumer is None:
                    consumer, heard = await self._reader(subject, at), 0
                fetched = await consumer.fetch(FETCH_MESSAGES, timeout=FETCH_WAIT_S)
            except TimeoutError:  # the client's own, or asyncio's, which it lets through at times
                silent += 1
                if silent % LOOK_AFTER == 0 and await _lost_some(consumer, heard):
                    consumer = None
                yield at, ()
                continue
            except Error:  # between two servers; the client connects by itself
                consumer = None
                await asyncio.sleep(RETRY_S)
                continue
            silent = 0
            messages: list[Any] = []
            for message in fetched:
                heard += 1
                if message.metadata.sequence.consumer != heard:  # one was lost on its way: from there again
                    consumer = None
                    break
                sequence = message.metadata.sequence.stream
                if sequence > at:
                    messages.append(message)
                    at = sequence
            yield at, messages

    async def _reader(self, subject: str, at: int) -> Any:
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        name = f"{self._settings.stream}-WORK"
        first = (await self._stream.stream_info(name)).state.first_seq
        if at and first > at + 1:
            log.warning("'%s' goes on behind samples that are kept no more", subject)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=at + 1, ack_policy=AckPolicy.NONE,
            inactive_threshold=CONSUMER_FORGOTTEN_S,
        )  # fmt: skip
        return await self._stream.pull_subscribe(f"{self._settings.subject}.{subject}", stream=name, config=config)

    async def _open(self) -> None:
        from nats.errors import Error
        from nats.js.api import RetentionPolicy, StorageType, StreamConfig

        settings = self._settings
        config = StreamConfig(
            name=f"{settings.stream}-WORK", subjects=[f"{settings.subject}.work.*", f"{settings.subject}.made.*"],
            retention=RetentionPolicy.LIMITS, storage=StorageType.FILE, num_replicas=settings.replicas,
            max_bytes=settings.bytes_max, max_age=settings.age_max_s, description=f"{settings.partitions} partitions",
        )  # fmt: skip
        try:
            try:
                info = await self._stream.add_stream(config)
            except Error:
                info = await self._stream.stream_info(f"{settings.stream}-WORK")
            if info.config.description != config.description:
                raise Conflict(f"the work is shared by {info.config.description}; use that number everywhere")
            self._created = 1 if info.created is None else int(info.created.timestamp())
            self._places = await self._bucket(f"{settings.stream}-places")
            self._states = await self._stream.create_object_store(
                f"{settings.stream}-states", replicas=settings.replicas
            )
        except Error as error:
            raise Unavailable(f"the NATS server keeps no work: {error}") from None

    async def _bucket(self, name: str) -> Any:
        from nats.errors import Error

        try:
            return await self._stream.create_key_value(bucket=name, history=1, replicas=self._settings.replicas)
        except Error:  # another worker made it
            return await self._stream.key_value(name)


class Partition:
    """A part of the work, as long as it is ours. A feed (`sdk.feed.Feed`) and the place of its state."""

    def __init__(self, shared: SharedWork, group: str, number: int) -> None:
        self._shared, self._group, self.number = shared, group, number
        self._numbers = Numbers()
        self._revision = 0
        self._object = ""
        self._leaving = False
        self.garbled = 0

    def paths(self) -> Mapping[int, str]:
        return self._numbers.paths

    def handle_of(self, path: str) -> int:
        """For what is told."""
        return self._numbers.handle_of(path)

    def leave(self) -> None:
        """The feed ends after what it has given."""
        self._leaving = True

    async def tell(self, batches: Sequence[Batch], label: str = "") -> None:
        """Results, and by what they were made; durable on return."""
        await self._shared._send(f"made.{self.number}", batches, self._numbers.path_of, label)

    async def read(self) -> bytes | None:
        """The newest state, whoever wrote it."""
        from nats.errors import Error
        from nats.js.errors import KeyNotFoundError

        try:
            entry = await self._shared._places.get(self._key)
            self._revision, self._object = entry.revision, entry.value.decode()
            async with asyncio.timeout(STATE_S):
                found = await self._shared._states.get(self._object)
        except KeyNotFoundError:
            self._revision, self._object = 0, ""
            return None
        except (Error, TimeoutError) as error:
            raise Unavailable(f"the state of partition {self.number} cannot be read: {error}") from None
        data: bytes = found.data
        return data

    async def write(self, data: bytes) -> None:
        """Durable on return. Raises: Conflict where another worker wrote one since; Unavailable."""
        from nats.errors import Error
        from nats.js.errors import KeyWrongLastSequenceError

        name = f"{self._key}.{self._revision + 1}.{uuid.uuid4().hex[:12]}"
        former = self._object
        try:
            async with asyncio.timeout(STATE_S):
                await self._shared._states.put(name, data)
            self._revision = await self._shared._places.update(self._key, name.encode(), last=self._revision or None)
        except KeyWrongLastSequenceError:
            with suppress(Error):
                await self._shared._states.delete(name)
            raise Conflict(f"another worker has partition {self.number} now") from None
        except (Error, TimeoutError) as error:
            raise Unavailable(f"the state of partition {self.number} cannot be kept: {error}") from None
        self._object = name
        if former:
            with suppress(Error):
                await self._shared._states.delete(former)

    async def pieces(self, position: str, needed_ns: int) -> AsyncIterator[Piece]:
        """From behind a position, which is a sequence of the stream."""
        del needed_ns
        quiet_s = 0.0
        async for at, messages in self._shared._read(f"work.{self.number}", int(position or 0), lambda: self._leaving):
            quiet_s = 0.0 if messages else quiet_s + FETCH_WAIT_S
            batches = [batch for message in messages for batch in self._batches(message.data)]
            yield Piece(batches, str(at), quiet_ns=int(quiet_s * SECOND_NS))

    def _batches(self, message: bytes) -> Sequence[Batch]:
        try:
            packed = unpack(message)
            heard = Heard(self._numbers)  # each message brings its own dictionary
            heard.learn(packed.paths)
            return list(heard.ours(packed.batches))
        except DataError:
            self.garbled += 1
            return []

    @property
    def _key(self) -> str:
        return f"{self._group}.{self.number}"


async def _lost_some(consumer: Any, heard: int) -> bool:
    """Whether a reader is gone, or what it was sent last was lost on its way: a gap that nothing behind it shows."""
    from nats.errors import Error

    try:
        return bool((await consumer.consumer_info()).delivered.consumer_seq != heard)
    except Error:
        return True


async def _again(work: Work, one: Partition) -> None:
    """Until it leaves; whatever fails begins again from its state: the lease is ours, so nobody else would."""
    said = ""
    while not one._leaving:
        try:
            await work(one)
        except Exception as error:
            if str(error) != said:
                ours = isinstance(error, HeadraceError)
                log.warning("partition %d begins again: %s", one.number, error, exc_info=None if ours else error)
            said = str(error)
            await asyncio.sleep(RETRY_S)
