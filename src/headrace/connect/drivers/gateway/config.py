"""What an engineer writes for a gateway: where it listens, whom it lets in, what messages mean, and every bound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headrace.connect.gateway.limits import Limits, Overload
from headrace.connect.gateway.tls import Files
from headrace.connect.payload.config import PayloadAddress, PayloadSettings, check_address
from headrace.connect.settings import SecretReference, duration
from headrace.model.time import MILLISECOND_NS, SECOND_NS
from headrace.sdk.reach import is_loopback

_DAY_NS: Final = 86_400 * SECOND_NS


def split_listen(text: str) -> tuple[str, int]:
    """`127.0.0.1:1883` or `[::1]:1883` as host and port. Raises: ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"'{text}' is no address to listen on: write host:port, such as 127.0.0.1:1883")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _listen(text: str) -> str:
    split_listen(text)
    return text


Listen = Annotated[str, AfterValidator(_listen)]


class Tls(BaseModel):
    """PEM files; without a certificate the platform's own is shown. Devices are asked for a certificate: of the
    authority of devices, a pinned one, or one of `client_ca`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Annotated[
        Path | None, Field(description="the gateway's certificate, with those between it and the root; else our own")
    ] = None
    key: Annotated[Path | None, Field(description="its private key")] = None
    client_ca: Annotated[Path | None, Field(description="whose certificates devices may show, beside ours")] = None
    client_certificate: Annotated[bool, Field(description="whether every device must show one")] = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("'certificate' and 'key' go together; without both the platform shows its own")
        return self

    @property
    def files(self) -> Files:
        return Files(self.certificate, self.key, self.client_ca, self.client_certificate)


class EnrolmentSettings(BaseModel):
    """Devices that nobody knows may wait in quarantine if they show this key; without it they are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: SecretReference
    waiting_max: Annotated[int, Field(ge=1, le=10_000, description="devices that may wait at one time")] = 100


class LimitSettings(BaseModel):
    """Durations are text in a declaration and nanoseconds here; sizes are bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    connections: Annotated[int, Field(ge=1, le=1_000_000, description="devices connected at one time")] = 20_000
    connections_per_device: Annotated[int, Field(ge=1, le=1000)] = 8
    messages_per_s: Annotated[
        float, Field(gt=0, le=1e6, description="of one device; a faster one is not read for a while")
    ] = 1000.0
    packet_bytes: Annotated[int, Field(ge=128, le=2**28, description="largest packet that is taken")] = 256 * 1024
    unacknowledged: Annotated[
        int, Field(ge=1, le=65_535, description="messages of QoS 1 and 2 of one device that wait for an answer")
    ] = 100
    keep_alive_ns: Annotated[int, duration("1s", "18h"), Field(description="longest silence that is agreed to")] = (
        Field(3600 * SECOND_NS, alias="keep_alive")
    )
    session_expiry_ns: Annotated[
        int, duration("1s", "365d"), Field(description="how long the session of a device that is away is kept")
    ] = Field(7 * _DAY_NS, alias="session_expiry")
    subscriptions: Annotated[int, Field(ge=1, le=10_000, description="of one device")] = 100
    queue: Annotated[int, Field(ge=1, le=1_000_000, description="messages that wait for one device")] = 1000
    queue_bytes: Annotated[int, Field(ge=1024, le=2**32)] = 4 << 20
    retained: Annotated[int, Field(ge=0, le=10_000_000, description="topics with a retained message")] = 100_000
    retained_bytes: Annotated[int, Field(ge=0, le=2**36)] = 64 << 20
    pending_bytes: Annotated[
        int, Field(ge=2**16, le=2**36, description="read and not stored yet, all devices together")
    ] = 64 << 20
    gather_ns: Annotated[
        int, duration("0s", "1s"), Field(description="how far apart calls to the store are, unless many messages wait")
    ] = Field(25 * MILLISECOND_NS, alias="gather")
    overload: Annotated[
        Overload, Field(description="wait: sockets are not read; drop: QoS 0 goes first, and is counted")
    ] = Overload.WAIT


class Settings(BaseModel):
    """One listener. Beyond this machine it wants TLS, or to be told that passwords may be seen by others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[Listen, Field(description="host and port for MQTT")] = "127.0.0.1:1883"
    websocket: Annotated[Listen | None, Field(description="host and port for MQTT over WebSocket")] = None
    tls: Annotated[Tls | None, Field(description="certificates, for both")] = None
    allow_plain: Annotated[bool, Field(description="listen beyond this machine without TLS")] = False
    processes: Annotated[int, Field(ge=1, le=64, description="processes that share the port")] = 1
    enrolment: EnrolmentSettings | None = None
    payload: PayloadSettings = PayloadSettings()
    command_timeout_ns: Annotated[
        int, duration("100ms", "1m"), Field(description="how long a device may take to acknowledge a command")
    ] = Field(4 * SECOND_NS, alias="command_timeout")
    limits: LimitSettings = LimitSettings()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for listen in (self.listen, self.websocket):
            if listen is None or self.tls is not None or self.allow_plain:
                continue
            host, _ = split_listen(listen)
            if not is_loopback(host):
                raise ValueError(
                    f"'{listen}' is reached from other machines, and without 'tls' they can read passwords on the way: "
                    "give a certificate, or say 'allow_plain: true'"
                )
        return self


class Address(PayloadAddress):
    """As any payload's: `device` is the name under which the device was admitted."""


check = check_address


def limits_of(settings: LimitSettings) -> Limits:
    return Limits(
        connections_max=settings.connections,
        connections_per_device_max=settings.connections_per_device,
        keep_alive_s_max=settings.keep_alive_ns // SECOND_NS,
        session_expiry_s_max=settings.session_expiry_ns // SECOND_NS,
        packet_bytes_max=settings.packet_bytes,
        receive_max=settings.unacknowledged,
        subscriptions_max=settings.subscriptions,
        queue_max=settings.queue,
        queue_bytes_max=settings.queue_bytes,
        retained_max=settings.retained,
        retained_bytes_max=settings.retained_bytes,
        messages_per_s=settings.messages_per_s,
        pending_bytes_max=settings.pending_bytes,
        gather_s=settings.gather_ns / SECOND_NS,
        overload=settings.overload,
    )
