"""A stream of bytes to whole lines with their numbers; what is left of the last one waits for the next bytes.

feed(chunk) ──► (lines, number of the first)     a line beyond the limit is refused and skipped up to its end
"""

from __future__ import annotations

from headrace.connect.ingest.line_protocol import LINE_BYTES_MAX
from headrace.sdk.services import IngestReceipt


class LineCutter:
    """Never holds much more than two lines at their limit; each byte is looked at a bounded number of times."""

    def __init__(self, receipt: IngestReceipt, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._receipt, self._max = receipt, line_bytes_max
        self._parts: list[bytes] = []
        self._size = 0
        self._worth_cutting = 0  # bytes; below it the lines that were given back would only come back again
        self._number = 1
        self._skipping = False

    def feed(self, chunk: bytes, *, last: bool = False) -> tuple[list[bytes], int]:
        """Whole lines, perhaps none; with `last` also one without an end."""
        self._parts.append(chunk)
        self._size += len(chunk)
        first = self._number
        if not last and (self._size < self._worth_cutting or (b"\n" not in chunk and not self._worth_cutting)):
            self._bound_rest()
            return [], first
        lines = b"".join(self._parts).split(b"\n")
        rest = b"" if last and lines[-1] else lines.pop()
        self._parts, self._size, self._worth_cutting = [rest], len(rest), 0
        if lines and self._skipping:
            lines[0], self._skipping = b"", False  # the end of what was refused; it keeps its number
        for at, line in enumerate(lines):
            if len(line) > self._max:
                self._refuse(first + at)
                lines[at] = b""
        self._number += len(lines)
        self._bound_rest()
        return lines, first

    def give_back(self, lines: list[bytes]) -> None:
        """Lines that mean nothing without those that follow. They come again when there is twice as much."""
        if lines:
            whole = b"\n".join((*lines, *self._parts))
            self._parts, self._size = [whole], len(whole)
            self._worth_cutting = 2 * len(whole)
            self._number -= len(lines)

    def _bound_rest(self) -> None:
        if self._size > self._max and not self._worth_cutting:
            if not self._skipping:
                self._refuse(self._number)
            self._parts, self._size, self._skipping = [], 0, True

    def _refuse(self, number: int) -> None:
        self._receipt.refuse(number, f"a line has at most {self._max} bytes")
