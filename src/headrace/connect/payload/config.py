"""What an engineer declares about payloads: how messages are laid out, and where in them a point is.

    connections:
      floor:
        driver: mqtt
        settings:
          payload: {topic: "devices/{device}/telemetry", json: {time: /ts, time_unit: ms}}
    points:
      a: {address: {device: press-3, value: /oil/temperature}}                                  # JSON
      b: {address: {topic: pump/4/pressure, encoding: text}}                                    # a raw scalar
      c: {address: {group: press-shop, node: line-1, device: press-3, metric: Oil/Temperature}} # Sparkplug B

One connection serves all three. What an address does not say comes from the settings.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headrace.connect.mqtt.topics import why_no_filter, why_no_name
from headrace.connect.payload.pointer import parse_pointer
from headrace.connect.settings import duration
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigError
from headrace.model.time import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS

_SPARKPLUG_ID: Final = re.compile(r"[^+/#\0]{1,256}")


class PayloadKind(StrEnum):
    JSON = "json"
    RAW = "raw"
    SPARKPLUG = "sparkplug"


class TimeUnit(StrEnum):
    """Of a time that is a number. A time that is RFC 3339 text is understood with any of them."""

    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"

    @property
    def ns(self) -> int:
        return {"s": SECOND_NS, "ms": MILLISECOND_NS, "us": MICROSECOND_NS, "ns": 1}[self.value]


class Encoding(StrEnum):
    """How a raw payload holds its one value."""

    TEXT = "text"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


class ByteOrder(StrEnum):
    BIG = "big"
    LITTLE = "little"


def _pointer(text: str) -> str:
    parse_pointer(text)
    return text


def _topic_name(text: str) -> str:
    why = why_no_name(text)
    if why is not None:
        raise ValueError(f"{why}; messages are published to one topic")
    return text


def _topic_filter(text: str) -> str:
    if text.startswith("$share/"):
        raise ValueError("leave '$share' out of topics; a shared subscription is declared in the connection's settings")
    why = why_no_filter(text)
    if why is not None:
        raise ValueError(why)
    return text


def _sparkplug_id(text: str) -> str:
    if not _SPARKPLUG_ID.fullmatch(text):
        raise ValueError(f"'{text[:80]}' is no Sparkplug name: 1 to 256 characters without '+', '/' or '#'")
    return text


Pointer = Annotated[str, AfterValidator(_pointer)]
TopicName = Annotated[str, AfterValidator(_topic_name)]
TopicFilter = Annotated[str, AfterValidator(_topic_filter)]
SparkplugId = Annotated[str, AfterValidator(_sparkplug_id)]
Word = str | int | bool


class JsonFormat(BaseModel):
    """How JSON messages are laid out. All members are RFC 6901 pointers (`/oil/temperature`, `` for the whole).

    `records` leads to an array, each element of which is a record with its own values, time and quality; the other
    pointers then begin in a record. `key` leads to a record's name where each record is one value of one name
    (`{"id": "oil", "v": 62.4}`); an address then says `name: oil`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    records: Pointer | None = Field(
        None, description="array of records in the message; the message is one unless given"
    )
    key: Pointer | None = Field(None, description="name of a record, where a record is one named value")
    value: Pointer = Field("", description="value, for addresses that do not say")
    time: Pointer | None = Field(None, description="source time; when it was received unless given")
    message_time: Pointer | None = Field(None, description="source time of records that have none, from the message")
    time_unit: TimeUnit = Field(TimeUnit.MS, description="of a time that is a number; RFC 3339 text needs none")
    quality: Pointer | None = Field(None, description="quality: an OPC UA StatusCode by number or name, or words below")
    good: tuple[Word, ...] = Field((True,), description="words of the quality that mean good")
    uncertain: tuple[Word, ...] = Field((), description="words of the quality that mean uncertain")
    bad: tuple[Word, ...] = Field((False,), description="words of the quality that mean bad")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.key is not None and self.records is None:
            raise ValueError("'key' names a record, so say where the array of 'records' is ('' if it is the message)")
        if self.message_time is not None and self.records is None:
            raise ValueError("'message_time' is for messages with 'records'; without them it is 'time'")
        words = [(type(word), word) for word in (*self.good, *self.uncertain, *self.bad)]
        if len(set(words)) < len(words):
            raise ValueError("a word of the quality means one thing: it is listed twice in 'good', 'uncertain', 'bad'")
        return self

    def quality_words(self) -> dict[tuple[type, Word], int]:
        """By type too: true is not 1."""
        return {
            (type(word), word): status
            for words, status in ((self.good, q.GOOD), (self.uncertain, q.UNCERTAIN), (self.bad, q.BAD))
            for word in words
        }


class RawFormat(BaseModel):
    """How a message that is one scalar is laid out. Words are compared without case and surrounding space."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoding: Encoding = Field(Encoding.TEXT, description="text for digits and words, else a binary number")
    order: ByteOrder = Field(ByteOrder.BIG, description="byte order of a binary number")
    true: tuple[str, ...] = Field(("true", "on", "1", "yes"), description="words that a bool takes for true")
    false: tuple[str, ...] = Field(("false", "off", "0", "no"), description="words that a bool takes for false")


class SparkplugSettings(BaseModel):
    """Headrace as a Sparkplug host application. Durations are text in a declaration and nanoseconds here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: SparkplugId = Field(
        "headrace", description="host id, unique in the plant; edge nodes wait for it by this name"
    )
    groups: tuple[SparkplugId, ...] = Field((), description="groups to listen to; all of them unless given")
    reorder_timeout_ns: Annotated[int, duration("0s", "1m")] = Field(
        2 * SECOND_NS,
        alias="reorder_timeout",
        description="how long a message out of sequence waits for those before it",
    )
    rebirth_interval_ns: Annotated[int, duration("1s", "1h")] = Field(
        10 * SECOND_NS, alias="rebirth_interval", description="shortest time between two rebirth requests to a node"
    )
    nodes_max: int = Field(10_000, ge=1, le=1_000_000, description="edge nodes that are remembered")
    birth_bytes_max: int = Field(
        64 * 2**20, ge=2**20, le=2**32, description="bytes of births that are remembered, all nodes together"
    )


class PayloadSettings(BaseModel):
    """`kind` is what an address is taken for that does not show it by its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    kind: PayloadKind = Field(PayloadKind.JSON, description="of addresses that do not show it by their keys")
    topic: TopicFilter | None = Field(None, description="of addresses that give none; {device} is filled in")
    command: TopicName | None = Field(None, description="where writes are published; {device} is filled in")
    json_format: JsonFormat = Field(JsonFormat(), alias="json", description="layout of JSON messages")
    formats: dict[str, JsonFormat] = Field({}, description="further layouts of JSON, for addresses that say `format`")
    raw: RawFormat = Field(RawFormat(), description="layout of messages that are one scalar")
    sparkplug: SparkplugSettings = Field(SparkplugSettings(), description="Headrace as a Sparkplug host application")
    bytes_max: int = Field(2**20, ge=64, le=2**28, description="bytes of a message; larger ones are refused")


_JSON_KEYS: Final = ("value", "name", "time", "quality", "format")
_RAW_KEYS: Final = ("encoding", "order")
_SPARKPLUG_KEYS: Final = ("group", "node", "metric")


class PayloadAddress(BaseModel):
    """Where a point is. `device` is who publishes: at the gateway as admitted, in Sparkplug the device id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str | None = Field(None, min_length=1, description="who publishes it; Sparkplug: device id below the node")
    topic: TopicFilter | None = Field(None, description="topic or filter it is published under; {device} is filled in")
    format: str | None = Field(None, description="JSON: one of the connection's `formats`")
    value: Pointer | None = Field(None, description="JSON: pointer to the value, such as /oil/temperature")
    name: str | None = Field(None, description="JSON: the record of this name, where the format has a `key`")
    time: Pointer | None = Field(None, description="JSON: pointer to the source time")
    quality: Pointer | None = Field(None, description="JSON: pointer to the quality")
    encoding: Encoding | None = Field(None, description="raw: text, or a binary number")
    order: ByteOrder | None = Field(None, description="raw: byte order of a binary number")
    group: SparkplugId | None = Field(None, description="Sparkplug: group id")
    node: SparkplugId | None = Field(None, description="Sparkplug: edge node id")
    metric: str | None = Field(None, min_length=1, max_length=1024, description="Sparkplug: name of the metric")
    command: TopicName | None = Field(None, description="where writes are published; {device} is filled in")
    command_value: Pointer | None = Field(None, description="JSON: where in the command the value stands")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        used = {kind: [key for key in keys if getattr(self, key) is not None] for kind, keys in _KEYS_OF.items()}
        kinds = [kind for kind, keys in used.items() if keys]
        if len(kinds) > 1:
            first, second = (f"'{used[kind][0]}' ({kind})" for kind in kinds[:2])
            raise ValueError(f"{first} and {second} do not go together: an address is one of json, raw or sparkplug")
        if kinds == [PayloadKind.SPARKPLUG]:
            missing = [key for key in _SPARKPLUG_KEYS if getattr(self, key) is None]
            if missing:
                raise ValueError(f"a Sparkplug address has group, node and metric; '{missing[0]}' is missing")
            for key in ("topic", "command", "command_value"):
                if getattr(self, key) is not None:
                    raise ValueError(f"'{key}' is not for Sparkplug: group, node and device make the topic")
            if self.device is not None:
                _sparkplug_id(self.device)
        elif self.device is None and self.topic is None:
            raise ValueError("say where it comes from: 'topic', 'device', or Sparkplug's 'group', 'node' and 'metric'")
        return self

    def kind_under(self, default: PayloadKind) -> PayloadKind:
        """What its keys show, else the connection's kind."""
        for kind, keys in _KEYS_OF.items():
            if any(getattr(self, key) is not None for key in keys):
                return kind
        return default


_KEYS_OF: Final = {
    PayloadKind.JSON: _JSON_KEYS,
    PayloadKind.RAW: _RAW_KEYS,
    PayloadKind.SPARKPLUG: _SPARKPLUG_KEYS,
}


def check_address(address: PayloadAddress, kind: ValueKind, writable: bool) -> None:
    """For a driver's `check`: whether such a point can be there whatever the settings. Raises: ConfigError."""
    binary = address.encoding is not None and address.encoding is not Encoding.TEXT
    if binary and kind in (ValueKind.TEXT, ValueKind.BOOL):
        raise ConfigError(
            f"encoding {address.encoding} is a number: declare the point int64 or float64, not {kind.label}"
        )
    is_float = address.encoding in (Encoding.FLOAT32, Encoding.FLOAT64)
    if is_float and kind is ValueKind.INT64:
        raise ConfigError(f"encoding {address.encoding} has fractions: declare the point float64, not int64")
    wild = address.topic is not None and ("+" in address.topic or "#" in address.topic)
    if writable and wild and address.command is None:
        raise ConfigError("many topics feed this point: say with 'command' which topic a write is published to")


def resolve(address: PayloadAddress, settings: PayloadSettings) -> PayloadAddress:
    """The address with what the settings add: topic, command and format filled in. Raises: ConfigError."""
    kind = address.kind_under(settings.kind)
    if kind is PayloadKind.SPARKPLUG:
        if address.metric is None:
            raise ConfigError("a Sparkplug address has group, node and metric")
        return address
    topic = address.topic or settings.topic
    if topic is None:
        raise ConfigError("it has no 'topic', and the connection's payload settings give none for all of its devices")
    command = address.command or settings.command
    if address.command is None and address.device is None and command is not None and "{device}" in command:
        command = None  # the connection's commands are for its devices, and this point names none
    filled = {"topic": _fill(topic, address.device), "command": command and _fill(command, address.device)}
    if kind is PayloadKind.JSON:
        if address.format is not None and address.format not in settings.formats:
            known = ", ".join(sorted(settings.formats)) or "none"
            raise ConfigError(f"there is no format '{address.format}'; the connection has {known}")
        layout = settings.formats[address.format] if address.format is not None else settings.json_format
        if (address.name is not None) != (layout.key is not None):
            raise ConfigError(
                "records of this format have a name: say which with 'name'"
                if layout.key is not None
                else "'name' needs a format whose records have a 'key'"
            )
    return address.model_copy(update=filled)


def _fill(topic: str, device: str | None) -> str:
    if "{device}" not in topic:
        return topic
    if device is None:
        raise ConfigError(f"the topic '{topic}' wants to know which device: say 'device'")
    if any(mark in device for mark in "+#/\0"):
        raise ConfigError(f"'{device}' cannot be part of a topic: it has '+', '#', '/' or NUL")
    return topic.replace("{device}", device)
