"""What an engineer declares for a Kafka-compatible broker.

outlets:
  lake:
    protocol: kafka
    waiting: disk
    settings: {brokers: ["kafka-1.acme.example:9093"], tls: true, user: headrace, password: "env:KAFKA_PASSWORD"}
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.connect.settings import SecretReference, duration
from headrace.model.events import Event
from headrace.model.time import SECOND_NS

Server = Annotated[str, Field(pattern=r"^[^\s,/]+:\d{1,5}$", max_length=260)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class Mechanism(StrEnum):
    SCRAM_512 = "SCRAM-SHA-512"
    SCRAM_256 = "SCRAM-SHA-256"
    PLAIN = "PLAIN"


class Settings(BaseModel):
    """Some brokers of one cluster. Durations are text (`5s`) in a declaration and nanoseconds here."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    brokers: list[Server] = Field(min_length=1, max_length=50, description="host:port of some; they name the others")
    topic: Topic = Field("headrace.samples", description="where samples go, keyed by path")
    event_topic: Topic | None = Field(None, description="where events go, as CloudEvents; nowhere unless given")
    tls: bool = Field(False, description="encrypt, and check the brokers' certificates")
    ca: Path | None = Field(None, description="certificates that vouch for the brokers; the system's unless given")
    user: str | None = Field(None, min_length=1, description="account at the cluster")
    password: SecretReference | None = Field(None, description="where its password is: env:NAME or file:/path")
    mechanism: Mechanism = Field(Mechanism.SCRAM_512, description="how user and password are shown")
    timeout_ns: Annotated[int, duration("1s", "25s")] = Field(
        20 * SECOND_NS, alias="timeout", description="how long the brokers may take to have what was sent"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("'user' and 'password' go together; leave out both for brokers that ask for none")
        if self.mechanism is Mechanism.PLAIN and self.user is not None and not self.tls:
            raise ValueError("'mechanism: PLAIN' shows the password to everybody on the way: say 'tls: true'")
        if self.ca is not None and not self.tls:
            raise ValueError("'ca' is for TLS: say 'tls: true'")
        return self


def wants(settings: Settings, event: Event) -> bool:
    del event
    return settings.event_topic is not None
