"""One connection's messages, whatever their kind: each goes to whom its topic says.

spBv1.0/…  ──► SparkplugHost   once a point or the settings say that Sparkplug is spoken here
all others ──► MappedPayload   JSON and raw, by declared topics
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.connect.payload.config import PayloadKind, PayloadSettings, resolve
from headrace.connect.payload.contract import Decoded, Message, Publish
from headrace.connect.payload.mapped import MappedPayload
from headrace.model.batch import Batch, Value
from headrace.model.errors import ConfigError, Refused
from headrace.sdk.driver import BrowseNode, PointBinding

if TYPE_CHECKING:
    from headrace.connect.sparkplug.host import SparkplugHost

_NAMESPACE = "spBv1.0/"


class MixedPayload:
    """`Payload`. `by_device`: origins are devices that have proved who they are; a point names the one it trusts."""

    def __init__(self, settings: PayloadSettings, *, by_device: bool) -> None:
        self._settings = settings
        self._mapped = MappedPayload(settings, by_device=by_device)
        self._host: SparkplugHost | None = None
        self._points: dict[int, PointBinding] = {}
        if settings.kind is PayloadKind.SPARKPLUG:
            self._open_host()

    @property
    def clean_start(self) -> bool:
        return self._host is not None

    def bind(self, points: Sequence[PointBinding]) -> Mapping[int, ConfigError]:
        misfits: dict[int, ConfigError] = {}
        mapped: list[PointBinding] = []
        sparkplug: list[PointBinding] = []
        self._points = {}
        for point in points:
            try:
                address = resolve(point.address, self._settings)
            except ConfigError as error:
                misfits[point.handle] = ConfigError(f"'{point.path}': {error.message}")
                continue
            resolved = dataclasses.replace(point, address=address)
            self._points[point.handle] = resolved
            is_sparkplug = address.kind_under(self._settings.kind) is PayloadKind.SPARKPLUG
            (sparkplug if is_sparkplug else mapped).append(resolved)
        self._mapped.bind(mapped)
        if sparkplug or self._host is not None:
            self._open_host().bind(sparkplug)
        return misfits

    def filters(self) -> Sequence[str]:
        return [*(self._host.filters() if self._host is not None else ()), *self._mapped.filters()]

    def topic_of(self, point: PointBinding) -> str | None:
        known = self._points.get(point.handle)
        if known is None:
            return None
        address = known.address
        if address.metric is not None:
            return f"{_NAMESPACE}{address.group}/+/{address.node}/#"
        return str(address.topic)

    def decode(self, messages: Sequence[Message]) -> Decoded:
        decoded = Decoded()
        if self._host is None:
            self._mapped.decode(list(enumerate(messages)), decoded)
            return decoded
        ours: list[tuple[int, Message]] = []
        others: list[tuple[int, Message]] = []
        for place, message in enumerate(messages):
            (ours if message.topic.startswith(_NAMESPACE) else others).append((place, message))
        if ours:
            self._host.decode(ours, decoded)
        if others:
            self._mapped.decode(others, decoded)
        return decoded

    def gone(self, origin: str, now_ns: int) -> Sequence[Batch]:
        batches = self._mapped.gone(origin, now_ns)
        return batches if self._host is None else [*batches, *self._host.gone(origin, now_ns)]

    def command(self, point: PointBinding, value: Value, now_ns: int) -> Publish:
        known = self._points.get(point.handle)
        if known is None:
            raise Refused(f"'{point.path}' is not served: its address and the connection's settings do not go together")
        if known.address.metric is not None:
            return self._open_host().command(known, value, now_ns)
        return self._mapped.command(known, value)

    def tick(self, now_ns: int) -> Decoded:
        decoded = Decoded()
        if self._host is not None:
            self._host.tick(now_ns, decoded)
        return decoded

    def will(self, now_ns: int) -> Publish | None:
        return None if self._host is None else self._host.will(now_ns)

    def opening(self, now_ns: int) -> Sequence[Publish]:
        return () if self._host is None else self._host.opening(now_ns)

    def closing(self, now_ns: int) -> Sequence[Publish]:
        return () if self._host is None else self._host.closing(now_ns)

    def browse(self, parent: Mapping[str, Any] | None) -> Iterator[BrowseNode]:
        if self._host is None:
            raise Refused("JSON and raw messages do not say what they offer: only Sparkplug births can be browsed")
        return self._host.browse(parent)

    def counters(self) -> Mapping[str, int]:
        return {} if self._host is None else self._host.counters()

    def _open_host(self) -> SparkplugHost:
        if self._host is None:
            from headrace.connect.sparkplug.host import SparkplugHost  # loads protobuf: only who speaks it pays

            self._host = SparkplugHost(self._settings.sparkplug, self._settings.bytes_max)
        return self._host
