"""Regular expressions of a source tree, and strings that make a backtracking matcher work for nothing.

files ─► ast ─► (place, pattern, flags, how it is used)
pattern ─► its parse tree ─► what comes before a repeat, what it repeats, what cannot follow ─► before + what × n + end
"""

from __future__ import annotations

import ast
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

USES: Final = frozenset({"match", "fullmatch", "search", "sub", "subn", "split", "finditer", "findall"})
ENDS: Final = ("", "\0", "~", "\n!", "é")
PUMPS_MAX: Final = 40


@dataclass
class Found:
    """`uses` are methods of `re.Pattern`, or `pydantic`. `pattern` is None where it is made while the program runs."""

    place: str
    pattern: str | bytes | None
    flags: int = 0
    uses: set[str] = field(default_factory=set)


def found_in(root: Path) -> list[Found]:
    every: list[Found] = []
    for file in sorted(root.rglob("*.py")):
        every += _of_module(ast.parse(file.read_text("utf-8")), str(file.relative_to(root)))
    return every


def _of_module(tree: ast.Module, name: str) -> Iterator[Found]:
    uses: dict[str, set[str]] = {}
    names: dict[int, str] = {}
    texts: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in USES:
            uses.setdefault(node.value.id, set()).add(node.attr)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {id(node.value): target.id for target in targets if isinstance(target, ast.Name)}
            if node in tree.body and isinstance(node.value, ast.Constant):
                texts |= {target.id: node.value.value for target in targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        place = f"{name}:{node.lineno}"
        function = node.func
        if isinstance(function, ast.Attribute) and ast.unparse(function).removeprefix("re.") in USES | {"compile"}:
            how = {function.attr}
            if function.attr == "compile":  # where it goes is not told: all that anybody does with one
                how = uses.get(names.get(id(node), ""), set(USES - {"subn", "split"}))
            yield Found(place, _literal(node.args[0], texts), _flags(node), how)
        for keyword in node.keywords:
            if keyword.arg == "pattern":
                yield Found(place, _literal(keyword.value, texts), 0, {"pydantic"})


def _flags(call: ast.Call) -> int:
    """Flags are the only arguments that are written `re.…`."""
    texts = [ast.unparse(one) for one in [*call.args[1:], *(keyword.value for keyword in call.keywords)]]
    return sum(int(eval(text, {"re": re})) for text in texts if text.startswith("re."))  # our own source


def _literal(node: ast.expr, texts: dict[str, Any]) -> str | bytes | None:
    """Also an f-string of constants of the module."""
    if isinstance(node, ast.JoinedStr):
        try:
            return str(eval(ast.unparse(node), {"__builtins__": {}}, texts))  # our own source
        except NameError:
            return None
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) else None


# --- strings that hurt ------------------------------------------------------------------------------------------------


def attacks(pattern: str | bytes, flags: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """(before, pumped, end): every repeat of the pattern with what can stand in it, and pairs of its characters."""
    rng = random.Random(seed)
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    tree = _parser.parse(text, flags & ~re.DEBUG)
    made: dict[tuple[str, str], None] = {}
    for before, body in _repeats(list(tree), ""):
        for _ in range(3):
            pumped = _sample(body, rng)
            if pumped:
                made.setdefault((_text(before, rng), pumped))
    single = sorted({char for before, pumped in made for char in pumped})
    made |= {(before, char): None for before, _ in list(made)[:4] for char in single[:8]}
    made |= {("", one + other): None for one in single[:5] for other in single[:5]}
    chosen = list(made)
    if len(chosen) > PUMPS_MAX:
        chosen = chosen[: PUMPS_MAX // 2] + rng.sample(chosen[PUMPS_MAX // 2 :], PUMPS_MAX // 2)
    for before, pumped in chosen:
        for end in ENDS:
            yield before, pumped, end


def _text(before: Any, rng: random.Random) -> str:
    return before if isinstance(before, str) else _sample(before, rng)


def _repeats(items: list[Any], before: str) -> Iterator[tuple[str, Any]]:
    """Each repeat below, with one text that leads to it."""
    rng = random.Random(0)
    for at, (kind, argument) in enumerate(items):
        here = before + _sample(items[:at], rng)
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            low, high, body = argument
            if high > low and high > 8:
                yield here, list(body)
                # the repeat and all that follows, again and again: where a search begins anew
                yield here, items[at:]
            yield from _repeats(list(body), here)
        elif kind is op.SUBPATTERN:
            yield from _repeats(list(argument[3]), here)
        elif kind is op.ATOMIC_GROUP:
            yield from _repeats(list(argument), here)
        elif kind is op.BRANCH:
            for branch in argument[1]:
                yield from _repeats(list(branch), here)
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            yield from _repeats(list(argument[1]), here)


def _sample(items: Any, rng: random.Random) -> str:
    return "".join(_one(kind, argument, rng) for kind, argument in items)


def _one(kind: Any, argument: Any, rng: random.Random) -> str:
    if kind is op.LITERAL:
        return chr(argument)
    if kind is op.NOT_LITERAL:
        return "a" if argument != ord("a") else "b"
    if kind is op.ANY:
        return "a"
    if kind is op.IN:
        return _of_class(argument, rng)
    if kind is op.BRANCH:
        return _sample(rng.choice(argument[1]), rng)
    if kind is op.SUBPATTERN:
        return _sample(argument[3], rng)
    if kind is op.ATOMIC_GROUP:
        return _sample(argument, rng)
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        low, _, body = argument
        return "".join(_sample(body, rng) for _ in range(min(max(low, rng.choice((0, 1))), 70)))
    return ""  # positions and assertions


_CATEGORIES: Final = {
    op.CATEGORY_DIGIT: "1",
    op.CATEGORY_SPACE: " ",
    op.CATEGORY_WORD: "a",
    op.CATEGORY_NOT_DIGIT: "a",
    op.CATEGORY_NOT_SPACE: "a",
    op.CATEGORY_NOT_WORD: "-",
}


def _of_class(items: Any, rng: random.Random) -> str:
    if items[0][0] is op.NEGATE:
        unwanted = re.compile("[" + "".join(_written(one) for one in items[1:]) + "]")
        fitting = [char for char in "a1 -./\"'{[\\x\n" if not unwanted.match(char)]
        return rng.choice(fitting or ["ω"])
    return rng.choice([_member(one, rng) for one in items])


def _member(one: Any, rng: random.Random) -> str:
    kind, argument = one
    if kind is op.RANGE:
        return chr(rng.choice((argument[0], argument[1])))
    return chr(argument) if kind is op.LITERAL else _CATEGORIES[argument]


def _written(one: Any) -> str:
    kind, argument = one
    if kind is op.RANGE:
        return f"{re.escape(chr(argument[0]))}-{re.escape(chr(argument[1]))}"
    if kind is op.LITERAL:
        return re.escape(chr(argument))
    return {"1": r"\d", " ": r"\s", "a": r"\w", "-": r"\W"}[_CATEGORIES[argument]]


# --- in a process of its own ------------------------------------------------------------------------------------------

SIZES: Final = (64, 256, 1_024, 4_096, 16_384)
MEASURABLE_S: Final = 0.02
GROWTH_MAX: Final = 9.0  # for four times the length: linear is 4, quadratic 16


def slow(one: Found, seed: int) -> str | None:
    """What makes a pattern work more than in proportion to the length, or None."""
    assert one.pattern is not None
    for before, pumped, end in attacks(one.pattern, one.flags, seed):
        for use in sorted(one.uses):
            run = _runner(one, use)

            def made(size: int, run: Any = run, text: tuple[str, str, str] = (before, pumped, end)) -> Any:
                before, pumped, end = text
                whole = before + pumped * (size // len(pumped) + 1) + end
                given: Any = whole.encode("utf-8") if isinstance(one.pattern, bytes) else whole
                return lambda: run(given)

            grown = growth(made)
            if grown is not None:
                return f"{use} of {before!r} + {pumped!r} again and again + {end!r}: {grown}"
    return None


def growth(made: Callable[[int], Callable[[], Any]], sizes: tuple[int, ...] = SIZES) -> str | None:
    """What `made(size)` gives is run for each size; None where CPU time grows no faster than size, beyond noise."""
    last_s = 0.0
    for size in sizes:
        run = made(size)
        took_s = _timed(run)
        if MEASURABLE_S < took_s < 1:
            took_s = min(took_s, _timed(run), _timed(run))
        if took_s > MEASURABLE_S and took_s > GROWTH_MAX * max(last_s, MEASURABLE_S / 100):
            return f"{last_s:.4f} s, and {took_s:.4f} s for four times as much ({size})"
        last_s = took_s
    return None


def _timed(run: Callable[[], Any]) -> float:
    began_s = time.process_time()
    run()
    return time.process_time() - began_s


def _runner(one: Found, use: str) -> Any:
    assert one.pattern is not None
    if use == "pydantic":
        adapter = TypeAdapter(Annotated[str, Field(pattern=one.pattern)])

        def run(text: str) -> None:
            try:
                adapter.validate_python(text)
            except ValidationError:
                pass

        return run
    compiled: Any = re.compile(one.pattern, one.flags)
    if use in ("sub", "subn"):
        return lambda text: getattr(compiled, use)("" if isinstance(text, str) else b"", text)
    if use == "finditer":
        return lambda text: sum(1 for _ in compiled.finditer(text))
    return getattr(compiled, use)


def main(root: str, seed: str) -> None:
    """Name each pattern before it is tried, so that whoever ends this process knows which one it was."""
    for one in found_in(Path(root)):
        if one.pattern is not None:
            print("trying", one.place, flush=True)
            said = slow(one, int(seed))
            if said is not None:
                print("slow", one.place, repr(one.pattern), said, flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
