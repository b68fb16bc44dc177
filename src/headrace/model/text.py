"""Text of others where a program would act on it: formulas in spreadsheets, control sequences in terminals and logs.

device, browser, sheet ──text──► guarded ─► CSV cell that stays text      unguarded reads it back
                            └──► shown ───► terminal, log: what would steer them is written out (`\\x1b`)

Sources: CWE-1236 (formula elements), CWE-150 (terminal escape sequences), CWE-117 (log lines), UTR 36 §3.1 (bidi).
"""

from __future__ import annotations

import re
from typing import Final

_RISKY: Final = "=+-@\t\r\n＝＋－＠"
"""What spreadsheets take for the beginning of a formula, also in full width."""

_STEERS: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{code: f"\\u{code:04x}" for code in (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))},
}
_STEERS_BUT_LINES: Final = {code: shown for code, shown in _STEERS.items() if code not in (0x09, 0x0A)}
_RAW_IN_JSON: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def guarded(cell: str) -> str:
    """A CSV cell that no spreadsheet runs: an apostrophe before what begins like a formula."""
    risky = cell[:1] in _RISKY if cell else False
    return f"'{cell}" if risky or (cell[:1] == "'" and cell[1:2] and cell[1] in _RISKY + "'") else cell


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] and cell[1] in _RISKY + "'" else cell


def shown(text: str, *, lines: bool = False) -> str:
    """As a person may see it on a terminal; with `lines` line ends and tabs stay."""
    return text if text.isprintable() else text.translate(_STEERS_BUT_LINES if lines else _STEERS)


def shown_json(document: str) -> str:
    """JSON that steers no terminal: the same document, with what JSON leaves as it is written as `\\uXXXX`."""
    return _RAW_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", document)
