"""Events: something that happened. Source: CloudEvents 1.0.2 §3 (context attributes); `time_ns` is event time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """`type` is dotted and ours (`alarm.raised`, `command.confirmed`, `connection.lost`); `subject` is a path."""

    id: str
    source: str
    type: str
    subject: str
    time_ns: int
    data: Mapping[str, Any] = field(default_factory=dict)
