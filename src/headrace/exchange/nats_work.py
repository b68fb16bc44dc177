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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
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
RETRY_S: Final = 1.0
LEAVE_S: Final = 10.0
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


class SharedWork:
    """The stream of one plant. Make one with `connect`; `path_of` says what handles of `publish` mean."""

    def __init__(self, client: Client, settings: NatsSettings, path_of: Callable[[int], str]) -> None:
        self._stream: JetStreamContext = client.jetstream(timeout=settings.publish_timeout_s)
        self._bytes_max = client.max_payload
        self._settings, self._path_of = settings, path_of
        self._spreader = Spreader(ByAsset(path_of), settings.partitions)
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
        for partition, part in self._spreader.spread(batches).items():
            await self._send(f"work.{partition}", part, self._path_of)

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

    async def _send(self, subject: str, batches: Sequence[Batch], path_of: Callable[[int], str]) -> None:
        from nats.errors import Error

        try:
            for message in messages_of(batches, path_of, self._bytes_max):
                await self._stream.publish(f"{self._settings.subject}.{subject}", message)
        except Error as error:
            raise Unavailable(f"the NATS server did not take it: {error}") from None

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

    async def tell(self, batches: Sequence[Batch]) -> None:
        """Results; durable on return."""
        await self._shared._send(f"made.{self.number}", batches, self._numbers.path_of)

    async def read(self) -> bytes | None:
        """The newest state, whoever wrote it."""
        from nats.errors import Error
        from nats.js.errors import KeyNotFoundError

        try:
            entry = await self._shared._places.get(self._key)
            self._revision, self._object = entry.revision, entry.value.decode()
            found = await self._shared._states.get(self._object)
        except KeyNotFoundError:
            self._revision, self._object = 0, ""
            return None
        except Error as error:
            raise Unavailable(f"the state of partition {self.number} cannot be read: {error}") from None
        data: bytes = found.data
        return data

    async def write(self, data: bytes) -> None:
        """Durable on return. Raises: Conflict where another worker wrote one since; Unavailable."""
        from nats.errors import Error
        from nats.js.errors import KeyWrongLastSequenceError

        name = f"{self._key}.{self._revision + 1}.{id(self):x}"
        former = self._object
        try:
            await self._shared._states.put(name, data)
            self._revision = await self._shared._places.update(self._key, name.encode(), last=self._revision or None)
        except KeyWrongLastSequenceError:
            with suppress(Error):
                await self._shared._states.delete(name)
            raise Conflict(f"another worker has partition {self.number} now") from None
        except Error as error:
            raise Unavailable(f"the state of partition {self.number} cannot be kept: {error}") from None
        self._object = name
        if former:
            with suppress(Error):
                await self._shared._states.delete(former)

    async def pieces(self, position: str, needed_ns: int) -> AsyncIterator[Piece]:
        """From behind a position, which is a sequence of the stream."""
        from nats.errors import Error, TimeoutError

        del needed_ns
        at, consumer, heard, quiet_s = int(position or 0), None, 0, 0.0
        while not self._leaving:
            try:
                if consumer is None:
                    consumer, heard = await self._reader(at), 0
                messages = await consumer.fetch(FETCH_MESSAGES, timeout=FETCH_WAIT_S)
            except TimeoutError:
                quiet_s += FETCH_WAIT_S
                yield Piece([], str(at), quiet_ns=int(quiet_s * SECOND_NS))
                continue
            except Error:  # between two servers; the client connects by itself
                consumer = None
                await asyncio.sleep(RETRY_S)
                continue
            quiet_s = 0.0
            batches: list[Batch] = []
            for message in messages:
                heard += 1
                if message.metadata.sequence.consumer != heard:  # one was lost on its way: from there again
                    consumer = None
                    break
                sequence = message.metadata.sequence.stream
                if sequence > at:
                    batches += self._batches(message.data)
                    at = sequence
            yield Piece(batches, str(at))

    def _batches(self, message: bytes) -> Sequence[Batch]:
        try:
            packed = unpack(message)
            heard = Heard(self._numbers)  # each message brings its own dictionary
            heard.learn(packed.paths)
            return list(heard.ours(packed.batches))
        except DataError:
            self.garbled += 1
            return []

    async def _reader(self, at: int) -> Any:
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        shared = self._shared
        name = f"{shared._settings.stream}-WORK"
        first = (await shared._stream.stream_info(name)).state.first_seq
        if at and first > at + 1:
            log.warning("partition %d goes on behind samples that are kept no more", self.number)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=at + 1, ack_policy=AckPolicy.NONE,
            inactive_threshold=CONSUMER_FORGOTTEN_S,
        )  # fmt: skip
        return await shared._stream.pull_subscribe(
            f"{shared._settings.subject}.work.{self.number}", stream=name, config=config
        )

    @property
    def _key(self) -> str:
        return f"{self._group}.{self.number}"


async def _again(work: Work, one: Partition) -> None:
    """Until it leaves; what fails begins again from its state."""
    said = ""
    while not one._leaving:
        try:
            await work(one)
        except HeadraceError as error:
            if str(error) != said:
                log.warning("partition %d begins again: %s", one.number, error)
            said = str(error)
            await asyncio.sleep(RETRY_S)
