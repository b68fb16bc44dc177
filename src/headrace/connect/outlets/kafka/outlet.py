"""Samples as records: key the path, value JSON, timestamp the source time. Taken when all in-sync replicas have them.

    {"path": "acme/press-3/oil.temperature", "time": "2026-11-25T08:00:00Z", "value": 62.4, "quality": "Good", …}

One key is one partition, so the samples of a point keep their order. At least once: a portion of which one record
failed is sent again. librdkafka has its own threads; each portion is handed over and awaited in one of ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from headrace.connect.cloud_events import of_event
from headrace.connect.outlets.kafka.config import Settings, wants
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, Refused, Unreachable
from headrace.model.events import Event
from headrace.model.time import MILLISECOND_NS, SECOND_NS, format_time
from headrace.sdk.outlet import OutletContext, OutletType, View

EXACT_INTEGER_MAX: Final = 2**53 - 1
_Record = tuple[str, bytes, bytes, int]  # topic, key, value, time in ms


class KafkaOutlet:
    """`TakesEvents`."""

    def __init__(self, settings: Settings, context: OutletContext) -> None:
        self._settings, self._context = settings, context
        self._view = View()
        self._producer: Any = None

    async def open(self, view: View) -> None:
        self._view = view
        reach, servers = self._context.reach, []
        for host, port in map(_host_port, self._settings.brokers):
            servers += [_server(one.host, port) for one in await reach.targets(host, port)]
        # With TLS the name is needed, and its certificate proves it; without, nothing but the judged address does.
        named = await asyncio.to_thread(self._connect, self._settings.brokers if self._settings.tls else servers)
        for host, port in named:
            await reach.targets(host, port)

    async def send(self, batches: Sequence[Batch]) -> int:
        return await asyncio.to_thread(self._deliver, list(self._records(batches)))

    async def send_events(self, events: Sequence[Event]) -> int:
        topic = self._settings.event_topic
        if topic is None:
            return 0
        records = [(topic, one.subject.encode(), of_event(one), one.time_ns // MILLISECOND_NS) for one in events]
        return await asyncio.to_thread(self._deliver, records)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()

    # --- in a thread ----------------------------------------------------------------------------------------------

    def _connect(self, servers: Sequence[str]) -> list[tuple[str, int]]:
        """The brokers that these name: the library calls them by itself. Raises: Unreachable, Refused, ConfigError."""
        try:
            from confluent_kafka import KafkaException, Producer
        except ImportError:
            raise ConfigError("outlets to Kafka need confluent-kafka: pip install 'headrace[kafka]'") from None
        quiet = logging.getLogger("headrace.connect.outlets.kafka.librdkafka")
        quiet.setLevel(logging.CRITICAL + 1)  # a dead broker costs the supervisor's one line
        try:
            self._producer = Producer(self._configuration(servers), logger=quiet)
            known = self._producer.list_topics(timeout=self._settings.timeout_ns / SECOND_NS)
        except KafkaException as error:
            raise _translated(error.args[0], self._name) from None
        return [(str(one.host), int(one.port)) for one in known.brokers.values()]

    def _deliver(self, records: Sequence[_Record]) -> int:
        """How many no broker will ever take. Raises: Unreachable, Refused."""
        from confluent_kafka import KafkaError

        failed: list[Any] = []

        def on_delivery(error: Any, _message: Any) -> None:
            if error is not None:
                failed.append(error)

        producer = self._producer
        given_up = 0
        for topic, key, value, time_ms in records:
            while True:
                try:
                    producer.produce(topic, value, key=key, timestamp=max(time_ms, 0), on_delivery=on_delivery)
                    break
                except BufferError:
                    producer.poll(0.1)
                except Exception as error:
                    reason = error.args[0] if error.args else None
                    if not isinstance(reason, KafkaError) or reason.code() != KafkaError.MSG_SIZE_TOO_LARGE:
                        raise
                    given_up += 1
                    break
        left = producer.flush(self._settings.timeout_ns / SECOND_NS + 1.0)
        fatal = [one for one in failed if one.code() != KafkaError.MSG_SIZE_TOO_LARGE]
        if fatal or left:
            producer.purge()
            raise _translated(fatal[0] if fatal else None, self._name)
        return given_up + len(failed)

    def _configuration(self, servers: Sequence[str]) -> dict[str, Any]:
        settings = self._settings
        said: dict[str, Any] = {
            "bootstrap.servers": ",".join(servers),
            "client.id": f"headrace-{self._context.outlet}",
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 5,
            "message.timeout.ms": settings.timeout_ns // MILLISECOND_NS,
            "socket.connection.setup.timeout.ms": 5_000,
        }
        transport = "SSL" if settings.tls else "PLAINTEXT"
        said["security.protocol"] = transport if settings.user is None else f"SASL_{transport}"
        if settings.ca is not None:
            said["ssl.ca.location"] = str(settings.ca)
        if settings.user is not None and settings.password is not None:
            said |= {
                "sasl.mechanism": settings.mechanism.value,
                "sasl.username": settings.user,
                "sasl.password": self._context.references.read(settings.password),
            }
        return said

    # --- records --------------------------------------------------------------------------------------------------

    def _records(self, batches: Sequence[Batch]) -> Iterator[_Record]:
        points, topic = self._view.points, self._settings.topic
        for batch in batches:
            with_unit = batch.kind in (ValueKind.FLOAT64, ValueKind.INT64)
            for handle, source_ns, value, code in zip(
                batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist(), batch.quality.tolist(),
                strict=True,
            ):  # fmt: skip
                point = points.get(handle)
                if point is None:
                    continue
                said: dict[str, Any] = {
                    "path": point.path,
                    "time": format_time(source_ns),
                    "value": str(value) if _rounds(value) else value,  # NaN becomes null
                    "quality": q.name_of(code),
                }
                if with_unit:
                    said["unit"] = point.unit
                yield topic, point.path.encode(), orjson.dumps(said), source_ns // MILLISECOND_NS

    @property
    def _name(self) -> str:
        return ", ".join(self._settings.brokers)


def _rounds(value: Any) -> bool:
    """Whether JavaScript would round it."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT_INTEGER_MAX


def _translated(error: Any, brokers: str) -> Unreachable | Refused:
    """librdkafka's words in ours: what a person has to mend is Refused."""
    from confluent_kafka import KafkaError

    if error is None:
        return Unreachable(f"the brokers ({brokers}) did not take everything in time")
    mend = {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._SSL,
        KafkaError.INVALID_RECORD,
    }
    kind = Refused if error.code() in mend else Unreachable
    return kind(f"the brokers ({brokers}) say: {error.str()}")


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _server(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


OUTLET: Final = OutletType(name="kafka", title="Kafka", settings=Settings, open=KafkaOutlet, events=True, wants=wants)
