"""Text to tokens, each with its place. None of the patterns can take long: they never look back.

mean(oil.temperature, 10min) > 15[K]
name ( name           , span ) op number [unit]
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Final

from headrace.model.expressions.problems import LENGTH_MAX, ExpressionError
from headrace.model.time import DAY_NS, HOUR_NS, MICROSECOND_NS, MILLISECOND_NS, MINUTE_NS, SECOND_NS
from headrace.model.units import CODE_LENGTH_MAX

WORDS: Final = frozenset({"and", "or", "not", "true", "false"})
TEXT_LITERAL_MAX: Final = 1_000
INT_MAX: Final = (1 << 63) - 1


class Kind(Enum):
    NUMBER = "a number"
    SPAN = "a duration"
    TEXT = "a text"
    NAME = "a name"
    POINT = "a point in backquotes"
    UNIT = "a unit in brackets"
    SIGN = "a sign"  # operators, brackets, and the words of WORDS
    END = "the end"


@dataclass(frozen=True, slots=True)
class Token:
    """`value` is what it means: float or int, ns, text, name, UCUM code, or the sign itself."""

    kind: Kind
    start: int
    end: int
    value: float | int | str


_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SPAN_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|min|s|m|h|d)(?![a-zA-Z])")
_SPAN_NS: Final = {
    "ns": 1,
    "us": MICROSECOND_NS,
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "m": MINUTE_NS,
    "min": MINUTE_NS,
    "h": HOUR_NS,
    "d": DAY_NS,
}
_SPAN_ANY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|min|s|m|h|d)")
_CHAINED = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:ns|us|ms|min|s|m|h|d)[0-9]")
_WORD = re.compile(r"[\w.]*")
_NAME = re.compile(r"[^\W\d]\w*(?:\.\w+)*")
_SIGNS: Final = ("==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "^", "<", ">", "(", ")", ",")
_INSTEAD: Final = {
    "=": "==",
    "&": "and",
    "|": "or",
    "!": "not",
    "'": '"',
    "“": '"',
    "”": '"',
    "‘": '"',
    "’": '"',
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "×": "*",
    "·": "*",
    "÷": "/",
    "−": "-",
    "–": "-",
    "、": ",",
    "。": ".",
}
_ESCAPES: Final = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}


def tokens(text: str) -> list[Token]:
    """All of them, END last. Raises: ExpressionError."""
    if len(text) > LENGTH_MAX:
        raise ExpressionError(
            f"an expression has up to {LENGTH_MAX:,} characters, this has {len(text):,}; "
            "make calculated points of its parts",
            LENGTH_MAX,
            len(text),
        )
    found, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token = _token(text, at)
        found.append(token)
        at = token.end
    found.append(Token(Kind.END, len(text), len(text), ""))
    return found


def _token(text: str, at: int) -> Token:
    char = text[at]
    if char in "0123456789":
        return _number(text, at)
    if char == '"':
        return _text(text, at)
    if char == "`":
        end = text.find("`", at + 1)
        if end < 0:
            raise ExpressionError("this backquote opens a point's name that nothing closes; add `", at, len(text))
        return Token(Kind.POINT, at, end + 1, unicodedata.normalize("NFC", text[at + 1 : end]))
    if char == "[":
        return _unit(text, at)
    name = _NAME.match(text, at)
    if name is not None:
        word = unicodedata.normalize("NFC", name[0])
        return Token(Kind.SIGN if word in WORDS else Kind.NAME, at, name.end(), word)
    for sign in _SIGNS:
        if text.startswith(sign, at):
            return Token(Kind.SIGN, at, at + len(sign), sign)
    instead = _INSTEAD.get(char) or unicodedata.normalize("NFKC", char)
    hint = f"; write {instead}" if instead != char and instead.isprintable() else ""
    if char == ".":
        hint = "; a number begins with a digit, a name with a letter"
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    raise ExpressionError(f"{shown} means nothing here{hint}", at, at + (text[at : at + 2] in ("&&", "||")) + 1)


def _number(text: str, at: int) -> Token:
    if _SPAN_PART.match(text, at) or _CHAINED.match(text, at):
        return _span(text, at)
    match = _NUMBER.match(text, at)
    assert match is not None
    end = match.end()
    if end < len(text) and (text[end].isalnum() or text[end] in "_."):
        rest = _word_end(text, end)
        raise ExpressionError(
            f"'{text[at:rest][:40]}' is no number; write a unit in brackets, such as 15[kPa], "
            "a duration such as 30s, 10min or 1h30min, and a point whose name begins with a digit in backquotes",
            at,
            rest,
        )
    if match[1] or match[2]:
        value: float | int = float(match[0])
    elif len(match[0]) > 19 or int(match[0]) > INT_MAX:
        value = float(match[0])
    else:
        value = int(match[0])
    if value == float("inf"):
        raise ExpressionError("this number is too large; the largest is about 1.8e308", at, end)
    return Token(Kind.NUMBER, at, end, value)


def _word_end(text: str, at: int) -> int:
    found = _WORD.match(text, at)
    assert found is not None
    return found.end()


def _span(text: str, at: int) -> Token:
    total, end = Fraction(0), at
    while (match := _SPAN_ANY.match(text, end)) is not None:
        if len(match[1]) > 30:
            raise ExpressionError("this duration has too many digits", at, match.end())
        total += Fraction(match[1]) * _SPAN_NS[match[2]]
        end = match.end()
    if end < len(text) and (text[end].isalnum() or text[end] == "_"):
        raise ExpressionError("this is no duration; write 500ms, 30s, 10min, 1h30min or 7d", at, _word_end(text, end))
    return Token(Kind.SPAN, at, end, round(total))


def _text(text: str, at: int) -> Token:
    parts, place = [], at + 1
    while place < len(text) and text[place] != '"':
        if text[place] != "\\":
            parts.append(text[place])
            place += 1
            continue
        meant = _ESCAPES.get(text[place + 1 : place + 2])
        if meant is None:
            raise ExpressionError(
                '\\ is followed by ", \\, n or t; write \\\\ for one \\', place, min(place + 2, len(text))
            )
        parts.append(meant)
        place += 2
    if place >= len(text):
        raise ExpressionError('this " opens a text that nothing closes; add "', at, len(text))
    if len(parts) > TEXT_LITERAL_MAX:
        raise ExpressionError(f"a text has up to {TEXT_LITERAL_MAX:,} characters", at, place + 1)
    return Token(Kind.TEXT, at, place + 1, "".join(parts))


def _unit(text: str, at: int) -> Token:
    depth, place = 0, at
    while place < len(text) and place - at <= CODE_LENGTH_MAX + 2:
        depth += (text[place] == "[") - (text[place] == "]")
        place += 1
        if depth == 0:
            return Token(Kind.UNIT, at, place, text[at + 1 : place - 1].strip())
    raise ExpressionError("this [ opens a unit that nothing closes; add ]", at, min(place, len(text)))
