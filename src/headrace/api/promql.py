"""A deliberately small PromQL: what a panel over points needs, and a clear no to the rest.

    point{path="acme/press-1/oil.temperature"}            the newest value of the last five minutes
    avg_over_time(point{asset=~"acme/line-1/.*"}[5m])     also min, max, sum, count and last
    1 + 1                                                 numbers, by which Grafana tests a data source

Source: Prometheus documentation, "Querying basics" and "Operators".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from headrace.model.errors import DataError
from headrace.model.time import DAY_NS, MINUTE_NS, parse_duration_ns

METRIC: Final = "point"
LOOKBACK_NS: Final = 5 * MINUTE_NS
FUNCTIONS: Final = ("avg", "min", "max", "sum", "count", "last")
QUERY_LENGTH_MAX: Final = 8_000
RANGE_NS_MAX: Final = 10 * 366 * DAY_NS

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
      | (?P<number>(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?(?![\w.]))
      | (?P<duration>(?:\d++(?:ms|[smhdwy]))++(?!\w))
      | (?P<name>[A-Za-z_:][\w:]*)
      | (?P<sign>=~|!~|!=|==|[{}()\[\],=+\-*/%^<>@])
    )""",
    re.VERBOSE,
)
_ESCAPES: Final = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
}
_HEX: Final = {"x": 2, "u": 4, "U": 8}
_SUPPORTED: Final = (
    f'supported are {METRIC}{{path="…"}}, also by asset, name, unit, site, area and line, and '
    + ", ".join(f"{name}_over_time" for name in FUNCTIONS)
    + f" of {METRIC}{{…}}[5m]"
)


@dataclass(frozen=True, slots=True)
class Matcher:
    """`operator` is =, !=, =~ or !~; a regular expression must match the whole value."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Series:
    """`function` over the `range_ns` before each step; `named` tells whether the metric's name is kept."""

    matchers: tuple[Matcher, ...]
    function: str = "last"
    range_ns: int = LOOKBACK_NS
    named: bool = True


@dataclass(frozen=True, slots=True)
class Number:
    value: float


def parse(text: str) -> Series | Number:
    """Raises: DataError that says what is not understood and what would be."""
    if len(text) > QUERY_LENGTH_MAX:
        raise DataError(f"the query has {len(text)} characters; at most {QUERY_LENGTH_MAX} are read")
    return _Parser(text).whole()


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The value of `match[]`. Raises: DataError."""
    found = parse(text)
    if not isinstance(found, Series) or found.function != "last" or found.range_ns != LOOKBACK_NS:
        raise DataError(f"'{text[:100]}' is no selector, such as {METRIC}{{asset=~\"acme/.*\"}}")
    return found.matchers


def duration_ns(text: str) -> int:
    """A duration of Prometheus: `1h30m`, `2w`, `1y`. Raises: DataError."""
    plain = re.sub(r"(?<!\d)(\d{1,9})y", lambda found: f"{int(found[1]) * 365}d", text)
    plain = re.sub(r"(?<!\d)(\d{1,9})w", lambda found: f"{int(found[1]) * 7}d", plain)
    return parse_duration_ns(plain)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._tokens: list[tuple[str, str]] = []
        while self._at < len(text.rstrip()):
            found = _TOKEN.match(text, self._at)
            if found is None:
                raise DataError(f"'{text[self._at : self._at + 30].strip()}' is not understood; {_SUPPORTED}")
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind]))
            self._at = found.end()
        self._tokens.append(("end", ""))
        self._at = 0

    def whole(self) -> Series | Number:
        found: Series | Number = self._number() if self._peek()[0] == "number" else self._series()
        kind, token = self._peek()
        if kind != "end":
            self._refuse(token)
        return found

    def _number(self) -> Number:
        value = float(self._next()[1])
        while self._peek()[1] in ("+", "-", "*", "/") and self._tokens[self._at + 1][0] == "number":
            sign, other = self._next()[1], float(self._next()[1])
            if sign == "/" and other == 0:
                return Number(float("nan"))
            value = {"+": value + other, "-": value - other, "*": value * other, "/": value / (other or 1)}[sign]
        return Number(value)

    def _series(self) -> Series:
        kind, token = self._peek()
        if kind == "name" and self._tokens[self._at + 1][1] == "(":
            function = token.removesuffix("_over_time")
            if not token.endswith("_over_time") or function not in FUNCTIONS:
                self._refuse(f"{token}(…)")
            self._next(), self._next()
            matchers = self._selector()
            self._expect("[", f"{token} needs a range, such as {METRIC}{{…}}[5m]")
            kind, written = self._next()
            range_ns = duration_ns(written) if kind == "duration" else 0
            if not 0 < range_ns <= RANGE_NS_MAX:
                raise DataError(f"'{written}' is no range; write [30s], [5m] or [1h]")
            self._expect("]", "the range is not closed by ]")
            self._expect(")", f"{token}( is not closed")
            return Series(matchers, function, range_ns, named=function == "last")
        matchers = self._selector()
        if self._peek()[1] == "[":
            raise DataError(f"a range needs a function around it, such as avg_over_time({METRIC}{{…}}[5m])")
        return Series(matchers)

    def _selector(self) -> tuple[Matcher, ...]:
        matchers = []
        kind, token = self._peek()
        if kind == "name":
            self._next()
            if token != METRIC:
                hint = "(…)" if self._peek()[1] == "(" or token in ("sum", "avg", "min", "max", "count", "by") else ""
                self._refuse(f"{token}{hint}")
        elif token != "{":
            self._refuse(token)
        if self._peek()[1] == "{":
            self._next()
            while self._peek()[1] != "}":
                matchers.append(self._matcher())
                if self._peek()[1] == ",":
                    self._next()
                elif self._peek()[1] != "}":
                    raise DataError(f"between matchers of {METRIC}{{…}} there is a comma, not '{self._peek()[1]}'")
            self._next()
        return tuple(matchers)

    def _matcher(self) -> Matcher:
        kind, label = self._next()
        if kind == "end":
            raise DataError(f"{METRIC}{{ is not closed by }}")
        if kind != "name":
            raise DataError(f"'{label}' is no label; a matcher is label=\"value\"")
        _, operator = self._next()
        if operator not in ("=", "!=", "=~", "!~"):
            raise DataError(f"after '{label}' there is one of = != =~ !~, not '{operator}'")
        kind, value = self._next()
        if kind != "string":
            raise DataError(f"the value of '{label}' is not in quotes")
        return Matcher(label, operator, _unquoted(value))

    def _expect(self, token: str, otherwise: str) -> None:
        if self._next()[1] != token:
            raise DataError(otherwise)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _next(self) -> tuple[str, str]:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _refuse(self, token: str) -> None:
        what = f"'{token}' is not part of the PromQL that Headrace speaks" if token else "the query is empty"
        raise DataError(f"{what}; {_SUPPORTED}. For more, use SQL")


def _unquoted(text: str) -> str:
    """Go's string literals. Raises: DataError."""
    body = text[1:-1]
    if text[0] == "`" or "\\" not in body:
        return body
    parts, at = [], 0
    while at < len(body):
        if body[at] != "\\":
            parts.append(body[at])
            at += 1
            continue
        mark = body[at + 1]
        if mark in _ESCAPES:
            parts.append(_ESCAPES[mark])
            at += 2
            continue
        digits = body[at + 2 : at + 2 + _HEX.get(mark, 0)]
        if mark not in _HEX or not re.fullmatch(f"[0-9a-fA-F]{{{_HEX[mark]}}}", digits) or int(digits, 16) > 0x10FFFF:
            raise DataError(f"'\\{mark}' is no escape in a string; write a backslash as \\\\")
        parts.append(chr(int(digits, 16)))
        at += 2 + _HEX[mark]
    return "".join(parts)
