"""Payloads and messages for tests, written by hand through protobuf; and a host with points bound to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.connect.payload import Decoded, Message, Payload, PayloadAddress, PayloadSettings, payload_of
from headrace.connect.sparkplug import schema
from headrace.connect.sparkplug.schema import DataType
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.driver import PointBinding

T0_MS = 1_767_225_600_000
T0_NS = T0_MS * 1_000_000
ORIGIN = "line-1"


def payload(*metrics: dict[str, Any], seq: int | None = None, ms: int | None = T0_MS) -> bytes:
    """Metrics by their protobuf fields."""
    made = schema.Payload()
    if ms is not None:
        made.timestamp = ms
    if seq is not None:
        made.seq = seq
    for fields in metrics:
        made.metrics.add(**fields)
    serialized: bytes = made.SerializeToString()
    return serialized


def message(topic: str, data: bytes, at_ms: int = T0_MS + 5, origin: str = ORIGIN, retained: bool = False) -> Message:
    return Message(origin, f"spBv1.0/{topic}", data, at_ms * 1_000_000, retained)


BD_SEQ = {"name": "bdSeq", "datatype": DataType.INT64, "long_value": 7}
REBIRTH = {"name": "Node Control/Rebirth", "datatype": DataType.BOOLEAN, "boolean_value": False}


def nbirth(*metrics: dict[str, Any], seq: int = 0, bd_seq: int = 7, at_ms: int = T0_MS + 5, **about: Any) -> Message:
    return message(
        "plant/NBIRTH/n1", payload(BD_SEQ | {"long_value": bd_seq}, REBIRTH, *metrics, seq=seq, **about), at_ms
    )


def ndata(*metrics: dict[str, Any], seq: int, at_ms: int = T0_MS + 5, **about: Any) -> Message:
    return message("plant/NDATA/n1", payload(*metrics, seq=seq, **about), at_ms)


def ndeath(bd_seq: int | None = 7, at_ms: int = T0_MS + 5) -> Message:
    metrics = [] if bd_seq is None else [BD_SEQ | {"long_value": bd_seq}]
    return message("plant/NDEATH/n1", payload(*metrics), at_ms)


def device(verb: str, *metrics: dict[str, Any], seq: int | None, at_ms: int = T0_MS + 5, **about: Any) -> Message:
    return message(f"plant/{verb}/n1/d1", payload(*metrics, seq=seq, **about), at_ms)


def point(handle: int, metric: str, kind: ValueKind, *, of: str | None = None, node: str = "n1") -> PointBinding:
    address = PayloadAddress(group="plant", node=node, device=of, metric=metric)
    return PointBinding(handle, f"acme/p{handle}", kind, address, 10**9, writable=True)


def host(*points: PointBinding, **sparkplug: Any) -> Payload:
    settings = PayloadSettings.model_validate({"kind": "sparkplug", "sparkplug": sparkplug})
    made = payload_of(settings)
    assert made.bind(points) == {}
    return made


Sample = tuple[int, Any, int, int]


def samples(batches: Sequence[Batch]) -> list[Sample]:
    """(handle, value, quality, source ns) of every sample, in order."""
    return [
        sample
        for batch in batches
        for sample in zip(
            batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), batch.source_ns.tolist(), strict=True
        )
    ]


def values(decoded: Decoded) -> dict[int, Any]:
    """The last value of each handle."""
    return {handle: value for handle, value, _, _ in samples(decoded.batches)}


def rebirths(decoded: Decoded) -> list[str]:
    """Topics of the rebirth requests among the replies."""
    found = []
    for reply in decoded.replies:
        parsed = schema.Payload.FromString(reply.payload) if "NCMD" in reply.topic else None
        if parsed is not None and [one.name for one in parsed.metrics] == ["Node Control/Rebirth"]:
            found.append(reply.topic)
    return found
