"""What a message says of a value's quality, to an OPC UA StatusCode.

a declared word (true, "ok", 192 …) ─► good, uncertain or bad      else a number or a name of OPC UA (`BadTimeout`)
nothing, null ─► good            anything else ─► uncertain: the source says something about it that nobody understands
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from headrace.connect.payload.columns import Qualities
from headrace.connect.payload.config import JsonFormat
from headrace.connect.payload.pointer import MISSING
from headrace.model import quality as q

_REMEMBERED_MAX: Final = 1024


class StatusWords:
    """The words of one format."""

    def __init__(self, layout: JsonFormat) -> None:
        self._words = layout.quality_words()
        self._known: dict[tuple[type, Any], int] = {}

    def column(self, given: Sequence[Any]) -> Qualities:
        return np.array([self.status(value) for value in given], np.uint32)

    def status(self, value: Any) -> int:
        if value is MISSING or value is None:
            return q.GOOD
        kind = type(value)
        if kind is dict or kind is list:
            return q.UNCERTAIN
        key = (kind, value)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED_MAX:
                self._known.clear()
            found = self._known[key] = self._look_up(key)
        return found

    def _look_up(self, key: tuple[type, Any]) -> int:
        kind, value = key
        if key in self._words:
            return self._words[key]
        if kind is str:
            by_name = q.code_of(value)
            return q.UNCERTAIN if by_name is None else by_name
        if kind is bool:
            return q.GOOD if value else q.BAD
        if (kind is int or value % 1 == 0) and 0 <= value <= 0xFFFF_FFFF:
            return int(value)
        return q.UNCERTAIN
