"""Commands to nodes and devices: one metric, by its alias where the birth gave one, else by name. §6.4.22, §6.4.26."""

from __future__ import annotations

import math

from headrace.connect.sparkplug.births import REBIRTH, Offer
from headrace.connect.sparkplug.encoding import encode_value
from headrace.connect.sparkplug.schema import DataType, Payload
from headrace.model.batch import Value
from headrace.model.errors import DataError, Refused
from headrace.model.time import MILLISECOND_NS
from headrace.sdk.driver import PointBinding


def rebirth_payload(now_ns: int) -> bytes:
    """Asks a node for its births. §5.10."""
    payload = Payload(timestamp=now_ns // MILLISECOND_NS)
    payload.metrics.add(name=REBIRTH, timestamp=now_ns // MILLISECOND_NS, datatype=DataType.BOOLEAN, boolean_value=True)
    serialized: bytes = payload.SerializeToString()
    return serialized


def command_payload(point: PointBinding, offer: Offer, value: Value, now_ns: int) -> bytes:
    """Raises: DataError where the value is not of the point's kind or does not fit the metric's type; Refused."""
    if not offer.writable:
        raise Refused(f"'{point.path}': the birth says that '{offer.name}' is read-only")
    if offer.kind is None:
        raise Refused(f"'{point.path}': '{offer.name}' is of a type that is not written to")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"'{point.path}': {value} is no number that could be sent")
    payload = Payload(timestamp=now_ns // MILLISECOND_NS)
    metric = payload.metrics.add(timestamp=now_ns // MILLISECOND_NS, datatype=offer.datatype)
    if offer.alias is not None:
        metric.alias = offer.alias
    else:
        metric.name = offer.name
    try:
        encode_value(metric, DataType(offer.datatype), value)
    except DataError as error:
        raise DataError(f"'{point.path}': {error.message}") from None
    serialized: bytes = payload.SerializeToString()
    return serialized
