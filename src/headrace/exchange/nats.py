"""The bus across machines: `sdk.bus.Bus` over NATS JetStream. Needs the extra `nats`, and nats-server 2.10 or newer.

    publish ─► by partition of the point's path ─► headrace.samples.<stored>.<partition> ─► stream, on disk ─► answered
                                                                │
                     BLOCK subscriber: durable consumers, acknowledged after the next step; workers of one name share
                     DROP_OLDEST subscriber: what passes by now, into a queue here that drops and counts

The stream keeps a message until every BLOCK subscriber has acknowledged it (interest retention), and refuses new ones
when it is full: then publishers wait. Run the server with `jetstream { sync_interval: always }`, else what it
acknowledged may be gone after a power cut.

At least once: a publish is sent again under the same Msg-Id until it is answered, and the stream drops the copy; a
message whose reader died is given to another, which may see it a second time, and after later ones. History takes both
the same.

What it promises less than `LocalBus`: a BLOCK subscriber that is slow does not hold the publisher, its messages wait in
the stream until that is full; counters are those of this process; a BLOCK name that has been used before goes on where
it stopped.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from headrace.exchange.nats_queues import DurableQueue, PassingQueue
from headrace.exchange.numbering import Numbering
from headrace.exchange.partitions import PARTITIONS_MAX, Spreader
from headrace.model.batch import Batch
from headrace.model.errors import ConfigError, Conflict, DataError, HeadraceError, Unavailable
from headrace.model.events import Event
from headrace.model.packing import pack, pack_events, used_handles
from headrace.sdk.bus import Overflow, QueueCounters

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

FULL_RETRY_S: Final = 0.2
#: JetStream API errors for a stream that takes no more. Source: nats-server errors.json, 10047, 10077.
_FULL_CODES: Final = frozenset((10047, 10077))
_HEADERS_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """`partitions` is for the life of a stream. `lease_s` is how long a worker that died keeps its partitions.

    `ack_wait_s` is the longest that a subscriber may take between two steps before its messages go to another.
    `user` and `password`, or `credentials` (a file as `nsc` writes it), are as the server wants them.
    """

    servers: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    stream: str = "HEADRACE"
    subject: str = "headrace"
    partitions: int = 16
    replicas: int = 1
    bytes_max: int = 8 << 30
    age_max_s: float = 7 * 86_400.0
    group_forgotten_s: float = 7 * 86_400.0
    lease_s: float = 5.0
    ack_wait_s: float = 60.0
    connect_timeout_s: float = 5.0
    publish_timeout_s: float = 5.0
    publish_tries: int = 5
    in_flight_max: int = 64
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    credentials: str | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.partitions <= PARTITIONS_MAX:
            raise ConfigError(f"a stream has 1 to {PARTITIONS_MAX} partitions, not {self.partitions}")


class NatsBus:
    """Implements `sdk.bus.Bus`. Make one with `connect`."""

    def __init__(self, client: Client, settings: NatsSettings, numbering: Numbering) -> None:
        self._client, self._settings, self._numbering = client, settings, numbering
        self._stream: JetStreamContext = client.jetstream(timeout=settings.publish_timeout_s)
        self._spreader = Spreader(numbering, settings.partitions)
        self._queues: dict[str, DurableQueue[Any] | PassingQueue[Any]] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._source = uuid.uuid4().hex
        self._numbers = itertools.count(1)
        self._in_flight = asyncio.Semaphore(settings.in_flight_max)
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: NatsSettings, numbering: Numbering, *, name: str) -> AsyncIterator[NatsBus]:
        """Raises: ConfigError without the extra, or for a stream made with other partitions; Unavailable."""
        async with cls.client_of(settings, name) as client:
            bus = cls(client, settings, numbering)
            try:
                await bus._make_stream()
                yield bus
            finally:
                await bus._end()

    @staticmethod
    @asynccontextmanager
    async def client_of(settings: NatsSettings, name: str) -> AsyncIterator[Client]:
        """A connection. Raises: ConfigError without the extra; Unavailable."""
        try:
            import nats
            import nats.errors
        except ImportError:
            raise ConfigError("the bus over NATS needs nats-py: pip install 'headrace[nats]'") from None
        try:
            async with asyncio.timeout(settings.connect_timeout_s):  # once connected it comes back by itself
                client = await nats.connect(
                    list(settings.servers),
                    name=name,
                    user=settings.user,
                    password=settings.password,
                    user_credentials=settings.credentials,
                    tls=settings.tls,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.5,
                    error_cb=_quiet,
                )
        except (OSError, nats.errors.Error, TimeoutError) as error:
            raise Unavailable(
                f"no NATS server answers at {', '.join(settings.servers)}: {error or 'in time'}"
            ) from None
        try:
            yield client
        finally:
            await client.close()

    async def publish(self, batches: Sequence[Batch], *, stored: bool = False) -> None:
        """Returns when the stream has it. Raises: Unavailable once closed, or while no server answers; DataError."""
        self._check_open()
        await self._opened()
        sends = [
            self._send(f"{self._settings.subject}.samples.{int(stored)}.{partition}", message)
            for partition, part in self._spreader.spread(batches).items()
            for message in messages_of(part, self._numbering.path_of, self._client.max_payload)
        ]
        await _all(sends)

    async def publish_events(self, events: Sequence[Event]) -> None:
        """As `publish`."""
        self._check_open()
        await self._opened()
        await _all([self._send(f"{self._settings.subject}.events", pack_events([one])) for one in events])

    def subscribe(
        self, name: str, *, capacity: int, overflow: Overflow, stored: bool = True
    ) -> DurableQueue[Batch] | PassingQueue[Batch]:
        """Raises: Conflict for a name in use in this process; Unavailable once closed."""
        subject = f"samples.{'*' if stored else '0'}"
        queue: DurableQueue[Batch] | PassingQueue[Batch]
        queue = self._subscribe(name, subject, self._settings.partitions, capacity, overflow)
        return queue

    def subscribe_events(
        self, name: str, *, capacity: int, overflow: Overflow
    ) -> DurableQueue[Event] | PassingQueue[Event]:
        """As `subscribe`; one worker of a name gets them all."""
        queue: DurableQueue[Event] | PassingQueue[Event] = self._subscribe(name, "events", 0, capacity, overflow)
        return queue

    async def opened(self) -> None:
        """Returns when everybody who has subscribed here is known to the server."""
        await self._opened()

    async def close(self) -> None:
        """No more publishing from here; queues end once they are drained."""
        self._closed = True
        await self._opened()
        for queue in self._queues.values():
            await queue.finish()

    def counters(self) -> dict[str, QueueCounters]:
        return {name: queue.counters for name, queue in self._queues.items()}

    # --- inside ---------------------------------------------------------------------------------------------------

    def _subscribe(self, name: str, subject: str, partitions: int, capacity: int, overflow: Overflow) -> Any:
        self._check_open()
        if name in self._queues:
            raise Conflict(f"the bus has a subscriber '{name}' already")
        kind = DurableQueue if overflow is Overflow.BLOCK else PassingQueue
        queue: Any = kind(
            name,
            capacity,
            self._client,
            self._stream,
            self._settings,
            self._numbering,
            f"{self._settings.subject}.{subject}",
            partitions,
            self._queues.pop,
        )
        self._queues[name] = queue
        task = asyncio.ensure_future(queue.open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return queue

    async def _send(self, subject: str, message: bytes) -> None:
        """Until it is answered: again after silence, under the same id; and as long as the stream is full."""
        from nats.errors import Error
        from nats.js.errors import APIError

        headers = {"Nats-Msg-Id": f"{self._source}-{next(self._numbers)}"}
        last: Exception | None = None
        tries = 0
        async with self._in_flight:
            while tries < self._settings.publish_tries:
                try:
                    await self._stream.publish(subject, message, headers=headers)
                    return
                except APIError as error:
                    if error.err_code in _FULL_CODES and not self._closed:
                        await asyncio.sleep(FULL_RETRY_S)
                        continue
                    last = error
                    await asyncio.sleep(FULL_RETRY_S)
                except (TimeoutError, Error) as error:
                    last = error
                tries += 1
        raise Unavailable(f"the NATS server did not take it in {tries} tries: {last}")

    async def _make_stream(self) -> None:
        from nats.errors import Error
        from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

        settings = self._settings
        wanted = StreamConfig(
            name=settings.stream,
            subjects=[f"{settings.subject}.>"],
            retention=RetentionPolicy.INTEREST,
            discard=DiscardPolicy.NEW,
            storage=StorageType.FILE,
            num_replicas=settings.replicas,
            max_bytes=settings.bytes_max,
            max_age=settings.age_max_s,
            duplicate_window=120.0,
            description=f"{settings.partitions} partitions",
        )
        try:
            info = await self._stream.add_stream(wanted)
        except Error as error:
            try:
                info = await self._stream.stream_info(settings.stream)
            except Error:
                raise Unavailable(f"the NATS server makes no stream '{settings.stream}': {error}") from None
        if info.config.description != wanted.description:
            raise ConfigError(
                f"the stream '{settings.stream}' has {info.config.description}, not {wanted.description}: "
                "use one number everywhere, or another stream"
            )

    async def _opened(self) -> None:
        if self._opening:
            await asyncio.gather(*self._opening)

    async def _end(self) -> None:
        self._closed = True
        for task in list(self._opening):
            task.cancel()
        await asyncio.gather(*(queue.abandon() for queue in list(self._queues.values())), return_exceptions=True)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the bus is closed; nothing more can be published")


def messages_of(batches: Sequence[Batch], path_of: Callable[[int], str], bytes_max: int) -> list[bytes]:
    """Each within what the server takes at once; halved until it is. Raises: DataError."""
    message = pack(batches, {int(handle): path_of(int(handle)) for handle in used_handles(batches)})
    if len(message) <= bytes_max - _HEADERS_BYTES:
        return [message]
    if len(batches) > 1:
        middle = len(batches) // 2
        parts: list[Sequence[Batch]] = [batches[:middle], batches[middle:]]
    else:
        middle = len(batches[0]) // 2
        if not middle:
            raise DataError(f"a sample of {len(message)} bytes is more than the NATS server takes at once")
        parts = [[batches[0].take(slice(0, middle))], [batches[0].take(slice(middle, None))]]
    return [one for part in parts for one in messages_of(part, path_of, bytes_max)]


async def _all(sends: Sequence[Awaitable[None]]) -> None:
    """Raises the first failure, after all have come to an end."""
    results = await asyncio.gather(*sends, return_exceptions=True)
    for result in results:
        if isinstance(result, HeadraceError):
            raise result
        if isinstance(result, BaseException):
            raise result


async def _quiet(error: Exception) -> None:
    """The library logs each reconnect with a trace; whoever waits gets the error."""
    del error
