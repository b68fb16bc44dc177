"""A driver of no device: enough rules to be wrong in every way that a real one can be."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from headrace.sdk.clock import Clock
from headrace.sdk.driver import Driver, DriverType
from headrace.sdk.messenger import Messenger, MessengerContext, MessengerType


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str
    port: int = Field(502, ge=1, le=65535)
    unit: int = Field(1, ge=0, le=255)
    mode: Literal["tcp", "rtu-over-tcp"] = "tcp"

    @field_validator("host")
    @classmethod
    def _host(cls, host: str) -> str:
        if " " in host:
            raise ValueError("a host has no spaces")
        return host


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid")

    table: Literal["coil", "discrete", "input", "holding"]
    address: int = Field(ge=0, le=65535)
    encoding: str = "uint16"
    tags: list[str] = []
    node: str | None = None


def _open(name: str, settings: Any, clock: Clock) -> Driver:
    raise AssertionError("the registry opens no session")


FAKE = DriverType("modbus", "A driver of no device", Settings, Address, _open)
DRIVERS = {"modbus": FAKE}


class PostSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    host: str
    port: int = Field(25, ge=1, le=65535)


class RoomSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: str


def _no_messenger(settings: Any, context: MessengerContext) -> Messenger:
    raise AssertionError("the registry opens no channel")


def _an_email(address: str) -> str:
    return "" if "@" in address else f"'{address}' is no address of mail"


POST = MessengerType("post", "Letters", PostSettings, _no_messenger, "email", check_address=_an_email)
ROOM = MessengerType("room", "A room of many", RoomSettings, _no_messenger, "mobile", group=True)
MESSENGERS = {"post": POST, "room": ROOM}


class FixedClock:
    def __init__(self) -> None:
        self.time_ns = 1_000_000_000

    def now_ns(self) -> int:
        self.time_ns += 1
        return self.time_ns

    def monotonic_s(self) -> float:
        return self.time_ns / 1e9

    async def sleep(self, delay_s: float) -> None:
        return None
