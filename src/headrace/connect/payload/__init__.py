"""What the bytes of a publish mean: JSON by declared mapping, Sparkplug B, raw scalars. `contract.py` is the seam.

config.py    what an engineer declares          mixed.py   each message to its kind
mapped.py    JSON and raw: routes, commands     layouts.py, named.py, raw.py   messages -> columns
documents.py bytes -> JSON or a refusal         columns.py, times.py, status.py   values, times, qualities
Sparkplug B is in `connect/sparkplug/`.
"""

from __future__ import annotations

from headrace.connect.payload.config import PayloadAddress, PayloadSettings, check_address
from headrace.connect.payload.contract import Decoded, Message, Payload, Publish
from headrace.connect.payload.mixed import MixedPayload


def payload_of(settings: PayloadSettings, *, by_device: bool = False) -> Payload:
    """The payload of one connection or gateway.

    With `by_device` origins are devices that the gateway has admitted: a point that names its `device` takes only
    messages of that origin, and commands go to it alone. Without, `device` only fills in topics.
    """
    return MixedPayload(settings, by_device=by_device)


__all__ = [
    "Decoded",
    "Message",
    "Payload",
    "PayloadAddress",
    "PayloadSettings",
    "Publish",
    "check_address",
    "payload_of",
]
