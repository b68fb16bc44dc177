"""Points, messages and what came of them, for the tests of payloads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from headrace.connect.payload import Decoded, Message, Payload, PayloadAddress, PayloadSettings, payload_of
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.driver import PointBinding

RECEIVED_NS = 1_767_225_600_000_000_000

F, N, B, T = ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.TEXT


def point(handle: int, kind: ValueKind = F, **address: Any) -> PointBinding:
    return PointBinding(handle, f"acme/p{handle}", kind, PayloadAddress.model_validate(address), 10**9, writable=True)


def bound(*points: PointBinding, by_device: bool = False, **settings: Any) -> Payload:
    made = payload_of(PayloadSettings.model_validate(settings), by_device=by_device)
    assert made.bind(points) == {}
    return made


def message(data: Any, topic: str = "t", origin: str = "broker", retained: bool = False) -> Message:
    payload = data if isinstance(data, bytes) else orjson.dumps(data)
    return Message(origin, topic, payload, RECEIVED_NS, retained)


def samples(batches: Sequence[Batch]) -> list[tuple[int, Any, int, int]]:
    """(handle, value, quality, source ns) of every sample, sorted by handle and then as they came."""
    found = [
        sample
        for batch in batches
        for sample in zip(
            batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), batch.source_ns.tolist(), strict=True
        )
    ]
    return sorted(found, key=lambda sample: sample[0])


def one(payload: Payload, data: Any, **about: Any) -> list[tuple[int, Any, int, int]]:
    """The samples of one message that is understood."""
    decoded = payload.decode([message(data, **about)])
    assert decoded.refused == []
    return samples(decoded.batches)


def why(decoded: Decoded) -> str:
    [(_, error)] = decoded.refused
    return str(error)
