"""What outlets that publish to an MQTT broker share: how it is reached, and a session that tells when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.connect.drivers.mqtt.config import PORT_DEFAULT, PORT_TLS_DEFAULT, MqttVersion
from headrace.connect.drivers.mqtt.identity import client_id_of
from headrace.connect.mqtt.client import ClientOptions, MqttClient
from headrace.connect.mqtt.packets import Publish as Packet
from headrace.connect.mqtt.packets import Subscription, Version, Will
from headrace.connect.mqtt.tls import client_context
from headrace.connect.settings import SecretReference, duration
from headrace.model.errors import Refused
from headrace.model.time import SECOND_NS
from headrace.sdk.outlet import OutletContext

AT_ONCE: Final = 200
_REFUSED: Final = 0x80


class BrokerSettings(BaseModel):
    """How a broker is reached. Durations are text (`5s`) in a declaration and nanoseconds here."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    host: str = Field(min_length=1, description="name or address of the broker")
    port: int = Field(0, ge=0, le=65_535, description="1883, or 8883 with TLS, unless given")
    version: MqttVersion = Field(MqttVersion.V5, description="3.1.1 for brokers that speak no MQTT 5")
    client_id: str | None = Field(None, min_length=1, max_length=256, description="one of its own unless given")
    user: str | None = Field(None, min_length=1, description="account at the broker")
    password: SecretReference | None = Field(None, description="where its password is: env:NAME or file:/path")
    tls: bool = Field(False, description="encrypt, and check the broker's certificate")
    ca: Path | None = Field(None, description="certificates that vouch for the broker; the system's unless given")
    certificate: Path | None = Field(None, description="our own certificate, where the broker asks for one (PEM)")
    key: Path | None = Field(None, description="its private key (PEM)")
    server_name: str | None = Field(None, description="name in the broker's certificate, where it is not the host")
    keep_alive_ns: Annotated[int, duration("1s", "10m")] = Field(
        30 * SECOND_NS, alias="keep_alive", description="how soon a silent broker is noticed"
    )
    timeout_ns: Annotated[int, duration("100ms", "25s")] = Field(
        5 * SECOND_NS, alias="timeout", description="how long one answer may take"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("'user' and 'password' go together; leave out both for a broker that asks for none")
        if not self.tls and (self.ca or self.certificate or self.key or self.server_name):
            raise ValueError("'ca', 'certificate', 'key' and 'server_name' are for TLS: say 'tls: true'")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("'certificate' and 'key' go together")
        return self


class BrokerSession:
    """One session; whatever ends it is told by `ended` and by whoever publishes."""

    def __init__(self, settings: BrokerSettings, context: OutletContext) -> None:
        self._settings, self._context = settings, context
        self._client: MqttClient | None = None

    @property
    def client(self) -> MqttClient:
        assert self._client is not None, "opened before it is used"
        return self._client

    async def open(self, will: Will | None) -> None:
        """Raises: Unreachable, Refused, Garbled, ConfigError."""
        options = await asyncio.to_thread(self._options, will)
        client = MqttClient(options, self._context.clock)
        self._client = client
        await client.connect()

    async def listen(self, filters: Sequence[str], qos: int) -> None:
        """Raises: Refused where the broker does not let us hear one of them."""
        reasons = await self.client.subscribe([Subscription(one, qos) for one in filters])
        refused = [one for one, reason in zip(filters, reasons, strict=True) if reason >= _REFUSED]
        if refused:
            raise Refused(f"{self.client.name} does not let us hear {', '.join(refused)}")

    async def hear(self, take: Callable[[Packet], Awaitable[None]] | None) -> None:
        """Lives as long as the session. Raises: what ended it."""
        while True:
            packets = await self.client.receive()
            self.client.acknowledge(packets)
            for packet in packets:
                if take is not None:
                    await take(packet)

    async def publish_all(self, messages: Sequence[tuple[str, bytes]], qos: int, retain: bool) -> None:
        """Returns when the broker has them all (QoS 1), or the system has (QoS 0). Raises: DeviceError, DataError."""
        client = self.client
        if not qos:
            for topic, payload in messages:
                await client.publish(topic, payload, qos=0, retain=retain)
            return
        for at in range(0, len(messages), AT_ONCE):
            part = messages[at : at + AT_ONCE]
            sending = (client.publish(topic, payload, qos=qos, retain=retain) for topic, payload in part)
            results = await asyncio.gather(*sending, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _options(self, will: Will | None) -> ClientOptions:
        """Reads files. Raises: Refused, ConfigError."""
        settings = self._settings
        timeout_s = settings.timeout_ns / SECOND_NS
        return ClientOptions(
            host=settings.host,
            port=settings.port or (PORT_TLS_DEFAULT if settings.tls else PORT_DEFAULT),
            client_id=settings.client_id or client_id_of(self._context.outlet, self._context.state_dir),
            version=Version.V5 if settings.version is MqttVersion.V5 else Version.V311,
            keep_alive_s=max(settings.keep_alive_ns // SECOND_NS, 1),
            user=settings.user,
            password=self._context.references.read(settings.password).encode()
            if settings.password is not None
            else None,
            will=will,
            tls=client_context(settings.ca, settings.certificate, settings.key) if settings.tls else None,
            server_name=settings.server_name,
            connect_timeout_s=timeout_s,
            answer_timeout_s=timeout_s,
            reach=self._context.reach,
        )
