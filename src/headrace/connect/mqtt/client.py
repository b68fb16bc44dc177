"""One session with an MQTT server, 3.1.1 or 5. It never reconnects: whoever owns it does that.

    connect ──► subscribe ──► receive ──► … durable … ──► acknowledge          QoS 1, 2: said only when asked to
        └─────► publish ──────────────────────────────────► returns            QoS 0: when it is with the system
                   at most `in_flight_max`, or what the server allows               QoS 1: when the server has it

Whatever ends the session ends every call that waits, with the same error: Unreachable (silence, a cut line, a server
that is full), Refused (credentials, rights, a server that says so), Garbled (no MQTT).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from typing import Any, Self

from headrace.connect.calling import call
from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode, encode_publish
from headrace.connect.mqtt.line import BUSY, ClientOptions, Line
from headrace.connect.mqtt.packets import NO_PROPERTIES, Properties, Property, Subscription, Version
from headrace.connect.mqtt.reasons import ConnectReturn, Reason, reason_name
from headrace.model.errors import DataError, Garbled, Refused, Unreachable
from headrace.sdk.clock import Clock

__all__ = ["ClientOptions", "MqttClient"]


class MqttClient:
    """Use as `async with MqttClient(options, clock) as client`, or `connect` and `close`."""

    def __init__(self, options: ClientOptions, clock: Clock) -> None:
        self.options = options
        self.client_id, self.session_present = options.client_id, False
        self.server: Properties = NO_PROPERTIES
        """What the server's CONNACK says of it (v5)."""
        self._clock = clock
        self._line = Line(options, clock)
        self._beating: asyncio.Task[None] | None = None
        self._slots = asyncio.Semaphore(1)

    @property
    def name(self) -> str:
        return f"{self.options.host}:{self.options.port}"

    # --- opening and closing --------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Raises: Unreachable, Refused, Garbled."""
        options = self.options
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(options.connect_timeout_s):
                server_name = (options.server_name or options.host) if options.tls is not None else None
                sock = await call(options.reach, options.host, options.port)
                await loop.create_connection(
                    lambda: self._line, sock=sock, ssl=options.tls, server_hostname=server_name
                )
                connack = await self._line.introduce(self._introduction())
        except TimeoutError:
            raise Unreachable(f"{self.name} does not answer within {options.connect_timeout_s:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise Refused(f"the certificate of {self.name} is not trusted: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise Refused(f"no TLS with {self.name}: {error.reason or error}") from None
        except OSError as error:
            raise Unreachable(f"{self.name} cannot be reached: {error.strerror or error}") from None
        self._check(connack)
        self.server, self.session_present = connack.properties, connack.session_present
        self.client_id = self.server.get(Property.ASSIGNED_CLIENT_IDENTIFIER, options.client_id)
        in_flight_max = min(options.in_flight_max, self.server.get(Property.RECEIVE_MAXIMUM, p.PACKET_ID_MAX))
        self._slots = asyncio.Semaphore(in_flight_max)
        keep_alive_s = self.server.get(Property.SERVER_KEEP_ALIVE, options.keep_alive_s)
        if keep_alive_s:
            self._beating = asyncio.create_task(self._line.beat(keep_alive_s), name=f"keep alive {self.name}")

    async def close(self) -> None:
        """Say goodbye and let go of the socket; never raises. What was not acknowledged stays so."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        await self._line.hang_up()

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _introduction(self) -> p.Connect:
        options, properties = self.options, dict[int, Any]()
        if options.version is Version.V5:
            properties = {
                Property.RECEIVE_MAXIMUM: min(options.receive_max, p.PACKET_ID_MAX),
                Property.MAXIMUM_PACKET_SIZE: options.packet_bytes_max,
            }
            if options.session_expiry_s:
                properties[Property.SESSION_EXPIRY_INTERVAL] = options.session_expiry_s
        clean = options.clean_start
        if options.version is Version.V311:
            clean = clean and not options.session_expiry_s
        return p.Connect(
            options.client_id, options.version, clean, options.keep_alive_s, options.user, options.password,
            options.will, properties,
        )  # fmt: skip

    def _check(self, connack: p.Connack) -> None:
        reason = connack.reason
        if not reason:
            return
        if self.options.version is Version.V311:
            said, busy = ConnectReturn(reason).name.replace("_", " ").lower(), reason == 3
        else:
            said, busy = reason_name(reason), reason in BUSY
        why = connack.properties.get(Property.REASON_STRING)
        raise (Unreachable if busy else Refused)(
            f"{self.name} refuses the connection: {said}{f', {why}' if why else ''}; check user, password and client id"
            if not busy
            else f"{self.name} takes no connection now: {said}"
        )

    # --- what a session is for ------------------------------------------------------------------------------------

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> Sequence[int]:
        """The reason of each, in order: from 0x80 on it was refused. Raises: Unreachable, Refused, Garbled."""
        packet = p.Subscribe(0, tuple(subscriptions))
        answer: p.Suback = await self._ask(packet)
        if len(answer.reasons) != len(subscriptions):
            raise Garbled(f"{self.name} answers {len(answer.reasons)} of {len(subscriptions)} subscriptions")
        return answer.reasons

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """Raises: Unreachable, Refused, Garbled."""
        await self._ask(p.Unsubscribe(0, tuple(filters)))

    async def receive(self) -> Sequence[p.Publish]:
        """Everything that has come, at least one, in order. Raises: Unreachable, Refused, Garbled once all is taken."""
        return await self._line.take()

    def acknowledge(self, messages: Iterable[p.Publish]) -> None:
        """Tell the server that these are safe; QoS 0 needs none. In the order in which they came [MQTT-4.6.0-2].

        A line that is lost meanwhile is told by `receive`: the server sends them again.
        """
        self._line.acknowledge(messages)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
    ) -> None:
        """QoS 0 returns when the system has it, QoS 1 when the server has. Call it from many tasks to keep several in
        flight. Raises: DataError for what MQTT or this server cannot take; Refused, Unreachable, Garbled.
        """
        if qos not in (0, 1):
            raise DataError("a message is published with QoS 0 or 1")
        version, server = self.options.version, self.server
        if qos > server.get(Property.MAXIMUM_QOS, 2) or retain > server.get(Property.RETAIN_AVAILABLE, 1):
            raise DataError(f"{self.name} takes no message with QoS {qos}{' that is retained' if retain else ''}")
        if not qos:
            await self._line.writable()
            self._line.write(self._sized(encode_publish(topic, payload, version, retain=retain, properties=properties)))
            return
        async with self._slots:
            await self._line.writable()
            packet_id, answer = self._line.expect()
            try:
                data = encode_publish(
                    topic, payload, version, qos=1, retain=retain, packet_id=packet_id, properties=properties
                )
                self._line.write(self._sized(data))
                acknowledged: p.Puback = await self._answer(answer)
            finally:
                self._line.forget(packet_id)
        if acknowledged.reason >= Reason.UNSPECIFIED_ERROR:
            raise Refused(f"{self.name} refuses a message on '{topic}': {reason_name(acknowledged.reason)}")

    def _sized(self, data: bytes) -> bytes:
        most = self.server.get(Property.MAXIMUM_PACKET_SIZE)
        if most is not None and len(data) > most:
            raise DataError(f"a packet of {len(data)} bytes; {self.name} takes at most {most}")
        return data

    async def _ask(self, packet: p.Subscribe | p.Unsubscribe) -> Any:
        packet.packet_id, answer = self._line.expect()
        try:
            self._line.write(self._sized(encode(packet, self.options.version)))
            return await self._answer(answer)
        finally:
            self._line.forget(packet.packet_id)

    async def _answer(self, answer: asyncio.Future[Any]) -> Any:
        try:
            async with asyncio.timeout(self.options.answer_timeout_s):
                return await answer
        except TimeoutError:
            error = Unreachable(f"{self.name} does not answer within {self.options.answer_timeout_s:g} s")
            self._line.fail(error)
            raise error from None
