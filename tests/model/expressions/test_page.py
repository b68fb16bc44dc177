"""docs/expressions.md is true, in both languages: expressions work out, errors are said so, the table is ours."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from tools.functions import PAGES, filled

from headrace.model.batch import TEXT_DTYPE, ValueKind
from headrace.model.expressions import FUNCTIONS, ExpressionError, Series, Variable, compile, evaluate

BOTH = pytest.mark.parametrize("page", sorted(PAGES), ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def scope(page: Path) -> dict[str, Variable]:
    """The points of the page's own table."""
    rows = re.findall(r"^\| `([^`]+)` \| (float64|int64|bool|text) \| (?:`(.*)` )?\|$", page.read_text("utf-8"), re.M)
    return {name: Variable(ValueKind.from_label(kind), unit or "1") for name, kind, unit in rows}


def series(kind: ValueKind) -> Series:
    values = {ValueKind.FLOAT64: [1.0, 2.0, 4.0], ValueKind.INT64: [1, 2, 4], ValueKind.BOOL: [True, False, True]}
    dtype = TEXT_DTYPE if kind is ValueKind.TEXT else kind.dtype
    column = np.array(values.get(kind, ["idle", "running", "running"]), dtype)
    return Series(np.arange(3) * 1_000_000_000, column, np.zeros(3, np.uint32))


@BOTH
def test_expressions_work_out(page: Path) -> None:
    points = scope(page)
    texts = [line for block in blocks(page, "expression") for line in block.splitlines()]
    assert len(points) == 13 and len(texts) > 20
    for text in [*texts, *(function.example for function in FUNCTIONS)]:
        program = compile(text, points)
        assert len(evaluate(program, {name: series(kind) for name, kind in program.inputs.items()}).values) == 3, text


@BOTH
def test_errors_are_said_so(page: Path) -> None:
    found = blocks(page, "error")
    assert found
    for block in found:
        text = block.splitlines()[0]
        with pytest.raises(ExpressionError) as caught:
            compile(text, scope(page))
        assert caught.value.pointed(text) + "\n" == block


@BOTH
def test_python_runs(page: Path) -> None:
    (code,) = blocks(page, "python")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code, {})
    assert f"`{said.getvalue().strip()}`" in page.read_text("utf-8")


@BOTH
def test_the_table_is_generated(page: Path) -> None:
    assert page.read_text("utf-8") == filled(page, PAGES[page]), "run `make docs`"


def test_both_languages_show_the_same() -> None:
    english, chinese = sorted(PAGES)
    for language in ("expression", "error", "python"):
        assert blocks(english, language) == blocks(chinese, language)
    assert scope(english) == scope(chinese)
