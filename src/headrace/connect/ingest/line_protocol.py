r"""InfluxDB line protocol to columns.

    cpu,host=h7 usage_idle=93.1,cores=8i,up=t,note="all \"well\"" 1795334400000000000
    └── head ─┘ └───────────────── fields ────────────────────┘ └──── time ────┘

A line without a backslash or a quote, which is nearly every line, is cut by `bytes.split`; numbers stay text until the
slice ends, and are turned together. Other lines go through regular expressions that cannot backtrack. Each field is
judged alone: one that is wrong is refused, and its neighbours stay.

Source: InfluxDB v2 reference, "Line protocol"; a backslash before anything but `,`, `=`, space (in names and tags) or
`"`, `\` (in text) is itself. Newlines may stand in text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from headrace.connect.ingest.series import Place, Series
from headrace.connect.ingest.slices import INT64_MAX, Lane, Slice, check_text
from headrace.model.errors import DataError

#: Times a line may go on after a newline in its text.
CONTINUED_MAX: Final = 64
LINE_BYTES_MAX: Final = 1 << 20
TAGS_MAX: Final = 64

_HEAD = re.compile(rb"(?:\\[, =]|[^ ])++")
_MEASUREMENT = re.compile(rb"(?:\\[, ]|[^, ])++")
_TAG = re.compile(rb",((?:\\[, =]|[^, =])++)=((?:\\[, =]|[^, =])++)")
_NAME = re.compile(rb"((?:\\[, =]|[^, =])++)=")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_PLAIN = re.compile(rb"([^, \"]++)")
_TIME = re.compile(rb"(?: ++(-?[0-9]++)?+)?+")
_WHOLE = re.compile(rb"-?[0-9]++")
_STRING_END = re.compile(rb'(?:[^"\\]|\\.)*+"', re.DOTALL)
_ESCAPED = re.compile(rb"\\([, =])")
_ESCAPED_MEASUREMENT = re.compile(rb"\\([, ])")
_ESCAPED_TEXT = re.compile(rb'\\(["\\])')
_NUMBER_LETTERS: Final = b"0123456789+-.eE"
_FLOAT = re.compile(rb"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?")
_INTEGER = re.compile(rb"-?[0-9]{1,19}i|[0-9]{1,19}u")
_BOOLS: Final = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), True),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), False),
}
_HASH, _SPACE, _RETURN = b"# \r"
OPEN: Final = "a text has no closing quote"
_ENDS_FLOAT: Final = frozenset(b"0123456789.")
_ENDS_INTEGER: Final = frozenset(b"iu")


class LineProtocol:
    """Parses into a slice. `unit_ns` is what a timestamp counts."""

    def __init__(self, series: Series, unit_ns: int) -> None:
        self._series, self._unit_ns = series, unit_ns

    def parse(self, lines: Sequence[bytes], first: int, out: Slice, now_ns: int, *, last: bool) -> int:
        """Fill an empty slice from `lines`, the first of which is number `first`; how many lines were used.

        `now_ns` stands for a time that is not told. Fewer lines than there are where the end is inside
        a text that goes on; with `last` nothing goes on.
        """
        stamps: list[bytes] = []
        at = 0
        while at < len(lines):
            line, number = lines[at], first + at
            if b"\\" not in line and b'"' not in line:
                at += 1
                head, _, rest = line.partition(b" ")
                fields, _, stamp = rest.partition(b" ")
                if fields and head and head[0] != _HASH and b" " not in stamp and line[-1] != _RETURN:
                    stamps.append(stamp)
                    self._add(head, fields, number, out)
                    continue
                whole, used = read_line(line), 0  # blank, a comment, or with more spaces than usual
            else:
                whole, used = _read_on(lines, at, last)
                if used == 0:
                    break
            at += used
            if isinstance(whole, str):
                out.receipt.refuse(number, whole)
            elif whole is not None:
                stamps.append(whole.stamp)
                self._add_whole(whole, number, out)
        _finish(out, stamps, self._unit_ns, now_ns)
        return at

    def _add(self, head: bytes, fields: bytes, number: int, out: Slice) -> None:
        """The common line. One flat loop: its body runs for each sample."""
        known = self._series.fields(head)
        row = len(out.numbers)
        out.numbers.append(number)
        floats, ints = out.floats, out.ints
        for field in fields.split(b","):
            name, _, text = field.partition(b"=")
            try:
                place = known[name]
            except KeyError:
                place = known[name] = self._look_up(head, name)
            if place.__class__ is not int or not text:
                _refuse(place, name, number, out)
            elif text[-1] in _ENDS_FLOAT:
                floats.handles.append(place)
                floats.values.append(text)
                floats.lines.append(row)
            elif text[-1] in _ENDS_INTEGER:
                ints.handles.append(place)
                ints.values.append(text)
                ints.lines.append(row)
            elif text in _BOOLS:
                out.bools.add(place, _BOOLS[text], row)
            else:
                out.receipt.refuse(number, f"'{_shown(text)}' is no value: 1.5, 15i, t, f or \"text\"")

    def _add_whole(self, line: Line, number: int, out: Slice) -> None:
        known = self._series.fields(line.head)
        row = len(out.numbers)
        out.numbers.append(number)
        for name, text, quoted in line.fields:
            if name not in known:
                known[name] = self._look_up(line.head, name)
            place = known[name]
            if not isinstance(place, int):
                _refuse(place, name, number, out)
            elif quoted:
                value = read_text(text)
                if isinstance(value, DataError):
                    out.receipt.refuse(number, f"'{_shown(name)}': {value}")
                else:
                    out.texts.add(place, value, row)
            elif text in _BOOLS:
                out.bools.add(place, _BOOLS[text], row)
            elif text[-1] in _ENDS_FLOAT or text[-1] in _ENDS_INTEGER:
                (out.floats if text[-1] in _ENDS_FLOAT else out.ints).add(place, text, row)
            else:
                out.receipt.refuse(number, f"'{_shown(text)}' is no value: 1.5, 15i, t, f or \"text\"")

    def _look_up(self, head: bytes, name: bytes) -> Place:
        if not name:
            return "a field is name=value"
        named = read_head(head)
        if isinstance(named, str):
            return named
        return self._series.find(*named, _ESCAPED.sub(rb"\1", name).decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line, cut but not understood: `fields` are (name, value, whether it stood in quotes)."""

    head: bytes
    fields: list[tuple[bytes, bytes, bool]]
    stamp: bytes


def read_line(line: bytes) -> Line | str | None:
    """Cut any line: None where it is blank or a comment, else what is wrong, `OPEN` where a text does not end."""
    line = line.strip(b" \r\t")
    if not line or line[0] == _HASH:
        return None
    found = _HEAD.match(line)
    if found is None or found.end() == len(line):
        return "a line is: measurement,tag=value field=value time"
    at = found.end()
    while line[at] == _SPACE:
        at += 1
    fields: list[tuple[bytes, bytes, bool]] = []
    while True:
        name = _NAME.match(line, at)
        if name is None:
            return f"'{_shown(line[at:])}' is no field: name=value"
        quoted = line[name.end() : name.end() + 1] == b'"'
        value = (_STRING if quoted else _PLAIN).match(line, name.end())
        if value is None:
            return OPEN if quoted else f"the field '{_shown(name.group(1))}' has no value"
        fields.append((name.group(1), value.group(1), quoted))
        at = value.end()
        if line[at : at + 1] != b",":
            break
        at += 1
    stamp = _TIME.fullmatch(line, at)
    if stamp is None:
        return f"'{_shown(line[at:])}' is no time: a whole number, after one space"
    return Line(found.group(), fields, stamp.group(1) or b"")


def _read_on(lines: Sequence[bytes], at: int, last: bool) -> tuple[Line | str | None, int]:
    """A line with quotes or backslashes and those that it goes on in, and how many; 0 where the next are needed.

    Of a line that is wrong only itself is lost: what follows is read as lines again.
    """
    logical, end = lines[at], at + 1
    for _ in range(CONTINUED_MAX):
        whole = read_line(logical)
        if whole is not OPEN:
            return whole, 1 if isinstance(whole, str) else end - at
        size, begin = len(logical), end
        while end < len(lines) and size <= LINE_BYTES_MAX and not _STRING_END.match(lines[end]):
            size += len(lines[end]) + 1
            end += 1
        if size > LINE_BYTES_MAX or (end == len(lines) and last):
            return OPEN, 1
        if end == len(lines):
            return None, 0
        end += 1
        logical = b"\n".join((logical, *lines[begin:end]))
    return "its texts go on over too many lines", 1


def read_text(raw: bytes) -> str | DataError:
    """What stands between quotes."""
    try:
        text = _ESCAPED_TEXT.sub(rb"\1", raw).decode()
    except UnicodeDecodeError:
        return DataError("the text is not UTF-8")
    wrong = check_text(text)
    return text if wrong is None else DataError(wrong)


def read_head(head: bytes) -> tuple[str, dict[str, str]] | str:
    """Measurement and tags, or what is wrong."""
    found = _MEASUREMENT.match(head)
    if found is None:
        return "the measurement has no name"
    tags: dict[str, str] = {}
    at = found.end()
    while at < len(head):
        tag = _TAG.match(head, at)
        if tag is None:
            return f"'{_shown(head[at:])}' is no tag: ,name=value"
        name, value = (_ESCAPED.sub(rb"\1", part) for part in tag.groups())
        tags[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        at = tag.end()
        if len(tags) > TAGS_MAX:
            return f"more than {TAGS_MAX} tags"
    return _ESCAPED_MEASUREMENT.sub(rb"\1", found.group()).decode("utf-8", "replace"), tags


def _refuse(place: Place, name: bytes, number: int, out: Slice) -> None:
    if place is None:
        out.receipt.ignored += 1
    else:
        why = place if isinstance(place, str) else f"the field '{_shown(name)}' has no value"
        out.receipt.refuse(number, why)


def _finish(out: Slice, stamps: list[bytes], unit_ns: int, now_ns: int) -> None:
    """Texts of numbers and times to what they say, all at once; one by one only where one of them is wrong."""
    _turn(out, out.floats, float, _FLOAT, _NUMBER_LETTERS, "is no number")
    _turn(out, out.ints, _integer, _INTEGER, b"0123456789-iu", "is no whole number of 64 bits")
    try:
        if b"".join(stamps).translate(None, b"0123456789-"):
            raise ValueError
        times = [int(stamp) * unit_ns if stamp else now_ns for stamp in stamps]
        np.array(times, np.int64)
    except (ValueError, OverflowError):
        told = [_time(stamp, unit_ns, now_ns) for stamp in stamps]
        for row in [row for row, time_ns in enumerate(told) if time_ns is None]:
            out.receipt.refuse(out.numbers[row], f"'{_shown(stamps[row])}' is no time that ns of 64 bits hold")
        for lane in (out.floats, out.ints, out.bools, out.texts):
            lane.keep([told[row] is not None for row in lane.lines])
        times = [time_ns or 0 for time_ns in told]
    out.times_ns = times


def _turn(
    out: Slice, lane: Lane, turn: Callable[[bytes], Any], form: re.Pattern[bytes], letters: bytes, wrong: str
) -> None:
    """The texts of a lane to numbers. `float` and `int` take more than the protocol does, so letters are looked at."""
    texts = lane.values
    try:
        if b"".join(texts).translate(None, letters):
            raise ValueError
        lane.values = list(map(turn, texts))
        if not np.isfinite(np.array(lane.values, np.float64 if turn is float else np.int64)).all():
            raise ValueError
    except (ValueError, OverflowError):
        good = [form.fullmatch(text) is not None and _fits(turn(text)) for text in texts]
        for row in np.flatnonzero(~np.array(good)).tolist():
            out.receipt.refuse(out.numbers[lane.lines[row]], f"'{_shown(texts[row])}' {wrong}")
        lane.values = texts
        lane.keep(good)
        lane.values = [turn(text) for text in lane.values]


def _integer(text: bytes) -> int:
    return int(text[:-1])


def _fits(value: float) -> bool:
    return -INT64_MAX - 1 <= value <= INT64_MAX if isinstance(value, int) else math.isfinite(value)


def _time(stamp: bytes, unit_ns: int, now_ns: int) -> int | None:
    if not stamp:
        return now_ns
    if len(stamp) > 20 or not _WHOLE.fullmatch(stamp):
        return None
    time_ns = int(stamp) * unit_ns
    return time_ns if abs(time_ns) <= INT64_MAX else None


def _shown(text: bytes) -> str:
    return text[:100].decode("utf-8", "replace")
