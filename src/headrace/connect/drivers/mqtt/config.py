"""What an engineer declares for a broker: how to reach it, and how its messages are laid out.

connections:
  floor:
    driver: mqtt
    settings: {host: broker.acme.example, tls: true, user: headrace, password: "env:BROKER_PASSWORD"}
points:
  acme/press-3/oil.temperature: {address: {topic: plant/press-3/state, value: /oil/temperature}, …}
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.connect.payload.config import PayloadAddress, PayloadKind, PayloadSettings, check_address
from headrace.connect.settings import SecretReference, duration
from headrace.model.time import DAY_NS, SECOND_NS

PORT_DEFAULT: Final = 1883
PORT_TLS_DEFAULT: Final = 8883


class MqttVersion(StrEnum):
    V5 = "5"
    V311 = "3.1.1"


class Settings(BaseModel):
    """One session with one broker. Durations are text (`5s`) in a declaration and nanoseconds here."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    host: str = Field(min_length=1, description="name or address of the broker")
    port: int = Field(0, ge=0, le=65_535, description="1883, or 8883 with TLS, unless given")
    version: MqttVersion = Field(MqttVersion.V5, description="3.1.1 for brokers that speak no MQTT 5")
    client_id: str | None = Field(
        None, min_length=1, max_length=256, description="one of its own that is kept across restarts unless given"
    )
    user: str | None = Field(None, min_length=1, description="account at the broker")
    password: SecretReference | None = Field(None, description="where its password is: env:NAME or file:/path")
    tls: bool = Field(False, description="encrypt, and check the broker's certificate")
    ca: Path | None = Field(None, description="certificates that vouch for the broker; the system's unless given")
    certificate: Path | None = Field(None, description="our own certificate, where the broker asks for one (PEM)")
    key: Path | None = Field(None, description="its private key (PEM)")
    server_name: str | None = Field(None, description="name in the broker's certificate, where it is not the host")
    qos: int = Field(1, ge=0, le=1, description="1: a message counts as received when its samples are durable")
    session_expiry_ns: Annotated[int, duration("0s", "30d")] = Field(
        DAY_NS, alias="session_expiry", description="how long the broker keeps messages for us while we are away"
    )
    share: str | None = Field(
        None, pattern=r"^[^/+#]+$", description="group of a shared subscription: each message goes to one member"
    )
    keep_alive_ns: Annotated[int, duration("1s", "10m")] = Field(
        30 * SECOND_NS, alias="keep_alive", description="how soon a silent broker is noticed"
    )
    timeout_ns: Annotated[int, duration("100ms", "1m")] = Field(
        5 * SECOND_NS, alias="timeout", description="how long one answer may take"
    )
    read_back_ns: Annotated[int, duration("100ms", "1m")] = Field(
        2 * SECOND_NS, alias="read_back", description="how long a written point may take to tell its new value"
    )
    payload: PayloadSettings = Field(PayloadSettings(), description="how messages are laid out")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("'user' and 'password' go together; leave out both for a broker that asks for none")
        if not self.tls and (self.ca or self.certificate or self.key or self.server_name):
            raise ValueError("'ca', 'certificate', 'key' and 'server_name' are for TLS: say 'tls: true'")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("'certificate' and 'key' go together")
        if self.share is not None and self.payload.kind is PayloadKind.SPARKPLUG:
            raise ValueError("Sparkplug counts messages, so one host hears all of them: leave out 'share'")
        return self

    @property
    def port_used(self) -> int:
        return self.port or (PORT_TLS_DEFAULT if self.tls else PORT_DEFAULT)


Address = PayloadAddress
check = check_address
