"""What a person has to see to: told once when it begins and once when it ends, however often it is met between."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

_log = logging.getLogger("headrace.audit")

FAILING: Final = "failing"
SPACE: Final = "space"
ALTERED: Final = "altered"
CHECKPOINT: Final = "checkpoint"
ARCHIVE: Final = "archive"
WAITING_MAX: Final = 100


class Troubles:
    """`changes` are (code, text, began?) that nobody has been told of by event yet."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}
        self.changes: deque[tuple[str, str, bool]] = deque(maxlen=WAITING_MAX)

    def begin(self, code: str, text: str, detail: str = "") -> None:
        if code not in self._held:
            _log.error("%s%s", text, f" [{detail}]" if detail else "")
            self.changes.append((code, text, True))
        self._held[code] = text

    def end(self, code: str) -> None:
        if self._held.pop(code, None) is not None:
            _log.warning("audit trail: %s is over", code)
            self.changes.append((code, "", False))

    def texts(self) -> tuple[str, ...]:
        return tuple(self._held.values())

    def __contains__(self, code: str) -> bool:
        return code in self._held
