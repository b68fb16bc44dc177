"""Tokens to a tree, in the order in which it is worked out: every node stands behind its parts.

    lowest   or · and · not · == != < <= > >= · + - · * / % · unary - · ^     highest; ^ takes the right side first

Depth is counted as it grows, and long sums are no depth: later passes go over the list and never recurse.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from headrace.model.expressions.lexer import Kind, Token, tokens
from headrace.model.expressions.problems import DEPTH_MAX, NODES_MAX, ExpressionError
from headrace.model.points import PATH_LENGTH_MAX


class Shape(Enum):
    NUMBER = "number"
    TEXT = "text"
    BOOL = "bool"
    SPAN = "duration"
    UNIT = "unit"
    POINT = "point"
    OPERATOR = "operator"  # unary minus is `neg`
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Parsed:
    """One node: `text[start:end]`; `parts` are places in the list. `name` is the point, operator or function.

    `unit` is what stands in brackets behind a number, `unit_at` where; `name_end` ends a function's name.
    """

    shape: Shape
    start: int
    end: int
    name: str = ""
    value: float | int | str | bool = 0
    unit: str | None = None
    unit_at: tuple[int, int] = (0, 0)
    name_end: int = 0
    parts: tuple[int, ...] = ()


_BINARY: Final = {
    "or": 1,
    "and": 2,
    "==": 4,
    "!=": 4,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
    "^": 8,
}
_NOT, _COMPARED, _NEGATED, _POWER = 3, 4, 7, 8


def parse(text: str) -> list[Parsed]:
    """The nodes, the whole expression last. Raises: ExpressionError."""
    parser = _Parser(text)
    parser.expression(0)
    parser.expect_end()
    return parser.nodes


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._depth = 0
        self.nodes: list[Parsed] = []

    def expression(self, lowest: int) -> int:
        """The place of a node that binds at least as tightly as `lowest`."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            token = self._tokens[self._at]
            raise ExpressionError(
                f"brackets and functions go {DEPTH_MAX} deep here; make a calculated point of the inner part",
                token.start,
                token.end,
            )
        left = self._prefixed()
        while True:
            sign = self._peek()
            power = _BINARY.get(str(sign.value), -1) if sign.kind is Kind.SIGN else -1
            if power < max(lowest, 1):
                break
            self._at += 1
            right = self.expression(power if power == _POWER else power + 1)
            left = self._add_operator(str(sign.value), left, right)
            after = self._peek()
            if power == _COMPARED and after.kind is Kind.SIGN and _BINARY.get(str(after.value)) == _COMPARED:
                raise ExpressionError(
                    f"one comparison after the other; write a {sign.value} b and b {after.value} c",
                    after.start,
                    after.end,
                )
        self._depth -= 1
        return left

    def expect_end(self) -> None:
        token = self._peek()
        if token.kind is Kind.END:
            return
        if token.value == ")":
            raise ExpressionError("this ) closes nothing; take it away or open it with (", token.start, token.end)
        if token.kind is Kind.UNIT:
            raise ExpressionError(
                "a unit stands behind a number; to(x, [kPa]) converts a value", token.start, token.end
            )
        raise ExpressionError(f"an operator is missing before {self._shown(token)}", token.start, token.end)

    def _prefixed(self) -> int:
        token = self._peek()
        if token.kind is Kind.SIGN and token.value in ("-", "+"):
            self._at += 1
            inner = self.expression(_NEGATED)
            if token.value == "+":
                return inner
            return self._add(Parsed(Shape.OPERATOR, token.start, self.nodes[inner].end, "neg", parts=(inner,)))
        if token.kind is Kind.SIGN and token.value == "not":
            self._at += 1
            inner = self.expression(_NOT)
            return self._add(Parsed(Shape.OPERATOR, token.start, self.nodes[inner].end, "not", parts=(inner,)))
        return self._primary()

    def _primary(self) -> int:
        token = self._next()
        start, end = token.start, token.end
        if token.kind is Kind.NUMBER:
            after = self._peek()
            if after.kind is Kind.UNIT:
                self._at += 1
                return self._add(
                    Parsed(Shape.NUMBER, start, after.end, "", token.value, str(after.value), (after.start, after.end))
                )
            return self._add(Parsed(Shape.NUMBER, start, end, "", token.value))
        if token.kind is Kind.SPAN:
            return self._add(Parsed(Shape.SPAN, start, end, "", token.value))
        if token.kind is Kind.TEXT:
            return self._add(Parsed(Shape.TEXT, start, end, "", token.value))
        if token.kind is Kind.UNIT:
            return self._add(Parsed(Shape.UNIT, start, end, str(token.value), unit_at=(start, end)))
        if token.kind is Kind.POINT:
            if not token.value or len(str(token.value)) > PATH_LENGTH_MAX:
                raise ExpressionError(
                    f"between backquotes stands a point's name of 1 to {PATH_LENGTH_MAX} characters", start, end
                )
            return self._add(Parsed(Shape.POINT, start, end, str(token.value)))
        if token.kind is Kind.NAME:
            if self._peek().value == "(" and self._peek().kind is Kind.SIGN:
                return self._call(token)
            return self._add(Parsed(Shape.POINT, start, end, str(token.value)))
        if token.value in ("true", "false") and token.kind is Kind.SIGN:
            return self._add(Parsed(Shape.BOOL, start, end, "", token.value == "true"))
        if token.value == "(" and token.kind is Kind.SIGN:
            inner = self.expression(0)
            self._close(token, "this ( is never closed; add )")
            return inner
        if token.kind is Kind.END:
            what = "the expression ends where a value is expected" if self._text.strip() else "there is no expression"
            at = max(len(self._text.rstrip()) - 1, 0)
            raise ExpressionError(f"{what}; write a point, a number or a function", at, len(self._text))
        if token.value == "*" and self._at > 1 and self._tokens[self._at - 2].value == "*":
            raise ExpressionError("a power is written with ^, such as x ^ 2", start - 1, end)
        raise ExpressionError(
            f"{self._shown(token)} stands where a value is expected; write a point, a number or a function", start, end
        )

    def _call(self, name: Token) -> int:
        bracket = self._next()
        parts: list[int] = []
        if self._peek().value == ")" and self._peek().kind is Kind.SIGN:
            end = self._next().end
        else:
            while True:
                parts.append(self.expression(0))
                if self._peek().value != "," or self._peek().kind is not Kind.SIGN:
                    break
                self._at += 1
            end = self._close(bracket, f"the brackets of {name.value}( are never closed; add )")
        return self._add(Parsed(Shape.CALL, name.start, end, str(name.value), name_end=name.end, parts=tuple(parts)))

    def _close(self, opened: Token, unclosed: str) -> int:
        token = self._next()
        if token.kind is Kind.SIGN and token.value == ")":
            return token.end
        if token.kind is Kind.END:
            raise ExpressionError(unclosed, opened.start, opened.end)
        raise ExpressionError(
            f"an operator or ) is missing before {self._shown(token)}",
            token.start,
            token.end,
            also=((opened.start, opened.end),),
        )

    def _add_operator(self, name: str, left: int, right: int) -> int:
        return self._add(
            Parsed(Shape.OPERATOR, self.nodes[left].start, self.nodes[right].end, name, parts=(left, right))
        )

    def _add(self, node: Parsed) -> int:
        if len(self.nodes) >= NODES_MAX:
            raise ExpressionError(
                f"an expression has up to {NODES_MAX} parts; make calculated points of some", node.start, node.end
            )
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        if token.kind is not Kind.END:
            self._at += 1
        return token

    def _shown(self, token: Token) -> str:
        text = self._text[token.start : token.end]
        return "the end" if token.kind is Kind.END else text if len(text) <= 40 else f"{text[:40]}…"
