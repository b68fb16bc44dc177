"""JSON and raw messages to batches, by what points declare.

    bind    points ──(device, topic)──► layouts, and one route a topic
    decode  message ──route──► document or bytes ──take──► layouts … end of the call ──► one batch a kind and layout
    command value ──► a scalar, or the smallest JSON document that holds it where the point says

Devices that are declared from one template share a layout, so their messages of one wake-up become one column.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
import orjson

from headrace.connect.payload.config import ByteOrder, Encoding, PayloadKind, PayloadSettings
from headrace.connect.payload.contract import Decoded, Message, Publish
from headrace.connect.payload.documents import parse
from headrace.connect.payload.layouts import Layout, Reading
from headrace.connect.payload.named import NamedLayout
from headrace.connect.payload.pointer import parse_pointer, put
from headrace.connect.payload.raw import RawLayout, check_value, encode_raw, words_of
from headrace.connect.payload.routing import Routes, fewest
from headrace.model import quality as q
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.errors import DataError, Refused
from headrace.model.time import SOURCE_AHEAD_MAX_NS
from headrace.sdk.driver import PointBinding

_Source = tuple[str | None, str]


_Target = tuple[Layout | NamedLayout | RawLayout, int]
"""Where a topic's messages go, and as what: the row of a layout, or the handle of a raw point."""


class MappedPayload:
    """Points whose addresses are JSON or raw, resolved against the settings (see `config.resolve`)."""

    def __init__(self, settings: PayloadSettings, *, by_device: bool) -> None:
        self._settings, self._by_device = settings, by_device
        self._words = words_of(settings.raw)
        self._clear()

    def _clear(self) -> None:
        self._routes: Routes[_Target] = Routes(by_origin=self._by_device)
        self._layouts: dict[object, Layout | NamedLayout | RawLayout] = {}
        self._owned: dict[str, list[tuple[Sequence[PointBinding], _Target]]] = defaultdict(list)

    def bind(self, points: Iterable[PointBinding]) -> None:
        self._clear()
        sources: dict[_Source, list[PointBinding]] = defaultdict(list)
        for point in points:
            sources[point.address.device if self._by_device else None, point.address.topic].append(point)
        for source, members in sources.items():
            json = [point for point in members if self._kind(point) is PayloadKind.JSON]
            self._bind_json(source, json)
            self._bind_raw(source, [point for point in members if self._kind(point) is PayloadKind.RAW])

    def filters(self) -> list[str]:
        return fewest(self._routes.filters)

    # --- compiling ------------------------------------------------------------------------------------------------

    def _bind_json(self, source: _Source, points: Sequence[PointBinding]) -> None:
        plain: dict[object, list[tuple[Reading, PointBinding]]] = defaultdict(list)
        named: dict[object, list[tuple[Reading, PointBinding]]] = defaultdict(list)
        twins: dict[object, int] = defaultdict(int)
        for point in points:
            layout = self._settings.formats.get(point.address.format or "", self._settings.json_format)
            reading = Reading.of(point, layout)
            if reading.name is None:
                plain[reading.shared].append((reading, point))
            else:  # a name that two points ask for: the second has a layout of its own
                twins[reading.shared, reading.name] += 1
                named[reading.shared, twins[reading.shared, reading.name]].append((reading, point))
        for shared, members in plain.items():
            members.sort(key=lambda member: (member[1].kind, member[0].value))
            shape = [(reading, point.kind) for reading, point in members]
            pointers = tuple((reading.value, kind) for reading, kind in shape)
            wide = self._layout((shared, pointers), lambda shape=shape: Layout(shape, self._words))
            bound = [point for _, point in members]
            self._add(source, bound, (wide, wide.add([point.handle for point in bound])))
        for key, members in named.items():
            reading = members[0][0]
            long = self._layout(key, lambda reading=reading: NamedLayout(reading, self._words))
            bound = [point for _, point in members]
            self._add(source, bound, (long, long.add(bound)))

    def _bind_raw(self, source: _Source, points: Sequence[PointBinding]) -> None:
        for point in points:
            kind, (encoding, order) = point.kind, self._raw_of(point)
            key = kind, encoding, order
            layout = self._layout(key, lambda key=key: RawLayout(key[0], key[1], key[2], self._words))
            self._add(source, [point], (layout, point.handle))

    def _layout(self, key: object, make: Callable[..., Any]) -> Any:
        found = self._layouts.get(key)
        if found is None:
            found = self._layouts[key] = make()
        return found

    def _add(self, source: _Source, points: Sequence[PointBinding], target: _Target) -> None:
        owner, topic = source
        self._routes.add(topic, owner, target)
        if owner is not None:
            self._owned[owner].append((points, target))

    def _kind(self, point: PointBinding) -> PayloadKind:
        kind: PayloadKind = point.address.kind_under(self._settings.kind)
        return kind

    def _raw_of(self, point: PointBinding) -> tuple[Encoding, ByteOrder]:
        raw, address = self._settings.raw, point.address
        return address.encoding or raw.encoding, address.order or raw.order

    # --- reading --------------------------------------------------------------------------------------------------

    def decode(self, messages: Sequence[tuple[int, Message]], into: Decoded) -> None:
        """Adds to `into`; messages come with their places in the call.

        A retained message without a source time tells what was last so, and not when: it is dated when it came and its
        samples are UncertainLastUsableValue.
        """
        retained = [one for one in messages if one[1].retained]
        if not retained:
            into.batches += self._decode(messages, into)
            return
        into.batches += [_last_usable(batch) for batch in self._decode(retained, into)]
        into.batches += self._decode([one for one in messages if not one[1].retained], into)

    def _decode(self, messages: Iterable[tuple[int, Message]], into: Decoded) -> list[Batch]:
        find, remembered, bytes_max = self._routes.find, self._routes.remembered, self._settings.bytes_max
        touched: dict[Layout | NamedLayout | RawLayout, None] = {}
        for place, message in messages:
            targets = remembered.get((message.origin, message.topic))
            if targets is None:
                targets = find(message.origin, message.topic)
            if not targets:
                into.ignored += 1
                continue
            payload = message.payload
            try:
                if len(payload) > bytes_max:
                    raise DataError(
                        f"it has {len(payload)} bytes; {bytes_max} are possible (payload setting 'bytes_max')"
                    )
                document: Any = _NOT_YET
                for layout, row in targets:
                    touched[layout] = None
                    if isinstance(layout, RawLayout):
                        layout.take(row, payload, message.received_ns)
                        continue
                    if document is _NOT_YET:
                        document = parse(payload)
                    layout.take(row, document, message.received_ns)
            except DataError as error:
                said = f"'{message.topic}' from {message.origin}: {error.message}"
                into.refused.append((place, DataError(said)))
        return [batch for layout in touched for batch in layout.batches()]

    def gone(self, origin: str, now_ns: int) -> list[Batch]:
        """Bad samples for the points of a device, dated after its newest ones so that nobody takes them for older."""
        handles: dict[ValueKind, list[int]] = defaultdict(list)
        newest_ns = 0
        for points, (layout, row) in self._owned.get(origin, ()):
            for point in points:
                handles[point.kind].append(point.handle)
            if not isinstance(layout, RawLayout) and row < len(layout.newest_ns):
                newest_ns = max(newest_ns, int(layout.newest_ns[row]))
        sane = newest_ns <= now_ns + SOURCE_AHEAD_MAX_NS
        time_ns = max(now_ns, newest_ns + 1) if sane else now_ns
        return [Batch.bad(kind, column, time_ns, q.BAD_NO_COMMUNICATION) for kind, column in handles.items()]

    # --- writing --------------------------------------------------------------------------------------------------

    def command(self, point: PointBinding, value: Value) -> Publish:
        """Raises: DataError; Refused where no topic takes commands."""
        address = point.address
        check_value(point, value)
        if address.command is None:
            raise Refused(f"'{point.path}' takes no commands: say with 'command' which topic they are published to")
        origin = address.device if self._by_device else None
        if self._kind(point) is PayloadKind.RAW:
            encoding, order = self._raw_of(point)
            try:
                payload = encode_raw(value, encoding, order, self._settings.raw)
            except DataError as error:
                raise DataError(f"'{point.path}': {error.message}") from None
            return Publish(address.command, payload, origin=origin)
        layout = self._settings.formats.get(address.format or "", self._settings.json_format)
        where = next(one for one in (address.command_value, address.value, layout.value) if one is not None)
        document = put(parse_pointer(where), value)
        if address.name is not None and layout.key is not None and isinstance(document, dict):
            document = {**put(parse_pointer(layout.key), address.name), **document}
        try:
            return Publish(address.command, orjson.dumps(document), origin=origin)
        except orjson.JSONEncodeError:
            raise DataError(f"'{point.path}': the text is no Unicode that could be sent") from None


_NOT_YET: Final = object()


def _last_usable(batch: Batch) -> Batch:
    undated = (batch.source_ns == batch.received_ns) & q.is_good(batch.quality)
    if not undated.any():
        return batch
    return batch.with_quality(np.where(undated, np.uint32(q.UNCERTAIN_LAST_USABLE_VALUE), batch.quality))
