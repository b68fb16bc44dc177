"""Waterfalls and comparisons add up, whatever happened."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.apps.operations.plant import REASONS
from tests.properties import examples

from headrace.apps.operations.compare import compare
from headrace.apps.operations.elements import BUSY, Element, Quantity
from headrace.apps.operations.identities import Identities
from headrace.apps.operations.kpis import BY_CODE, figure
from headrace.apps.operations.losses import pareto, waterfall
from headrace.apps.operations.states import MICRO
from headrace.apps.operations.sums import Sums, symbols
from headrace.model.errors import DataError

CAUSES = {
    Element.APT: [-2],
    Element.AUST: [-3, 1],
    Element.ADET: [-6, -5, 0, MICRO],
    Element.ADOT: [-4],
    Element.NO_DATA: [-1],
}
LENGTHS = st.integers(0, 10**14)


@st.composite
def sums(draw: st.DrawFn) -> Sums:
    made = Sums()
    for element in BUSY:
        for cause in CAUSES[element]:
            ns = draw(LENGTHS | st.just(0))
            made.ns[element] += ns
            made.by_cause[element, cause] += ns
    pieces, scrap = draw(st.integers(0, 10**5)), draw(st.floats(0, 1))
    made.quantities = {
        Quantity.PQ: pieces, Quantity.GQ: pieces * (1 - scrap), Quantity.IDEAL: pieces * draw(st.floats(0, 1e10)),
    }  # fmt: skip
    return made


SPANS = st.dictionaries(st.sampled_from("abc"), sums(), min_size=1)


@given(sums())
def test_a_waterfall_sums_exactly_to_what_is_left(one: Sums) -> None:
    fall = waterfall(one, REASONS)
    assert fall.pbt_ns - sum(step.ns for step in fall.steps) == fall.effective_ns == fall.steps[-1].left_ns
    by_code = {step.code: step.ns for step in fall.steps}
    assert by_code["breakdowns"] == one.by_cause[Element.ADET, -6] + one.by_cause[Element.ADET, 0]
    assert by_code["micro-stops"] == one.by_cause[Element.ADET, MICRO]
    oee = figure(BY_CODE["oee"], symbols(one)).value
    if one.pbt_ns:
        assert oee is not None and fall.effective_ns / one.pbt_ns == pytest.approx(oee, abs=1 / one.pbt_ns, rel=1e-9)


@given(sums())
def test_a_pareto_has_the_worst_first_and_runs_up_to_all(one: Sums) -> None:
    bars = pareto(one, REASONS)
    assert [bar.ns for bar in bars] == sorted((bar.ns for bar in bars), reverse=True)
    assert sum(bar.ns for bar in bars) == one.pbt_ns - one.ns[Element.APT]
    assert not bars or bars[-1].running == 1


@settings(max_examples=examples(200))
@given(SPANS, SPANS)
def test_what_changed_adds_up_to_the_change(before: dict[str, Sums], after: dict[str, Sums]) -> None:
    if not all(sum(one.pbt_ns for one in span.values()) for span in (before, after)):
        with pytest.raises(DataError, match="no planned busy time"):
            compare(before, after, REASONS)
        return
    told = compare(before, after, REASONS)
    of_units = [*told.by_unit.values(), *told.by_mix.values(), told.product_mix]
    for parts in (list(told.by_factor.values()), of_units):
        rounding = 1e-12 * (1 + sum(map(abs, parts)))
        assert sum(parts) == pytest.approx(told.change, abs=rounding)


def test_a_factor_that_did_not_change_has_no_part_and_reasons_share_that_of_availability() -> None:
    def one(production: int, broken: int) -> Sums:
        made = Sums()
        made.ns[Element.APT], made.ns[Element.ADET] = production, broken
        made.by_cause[Element.APT, -2], made.by_cause[Element.ADET, 0] = production, broken
        made.quantities = {Quantity.PQ: 100.0, Quantity.GQ: 90.0, Quantity.IDEAL: production * 0.8}
        return made

    # A 0.8 → 0.6 at E 0.8 and Q 0.9: −0.2 · 0.72, all of it by the one reason
    told = compare({"u": one(80, 20)}, {"u": one(60, 40)}, REASONS)
    assert told.by_factor["availability"] == pytest.approx(-0.2 * 0.72)
    assert told.by_factor["effectiveness"] == pytest.approx(0) and told.by_factor["quality"] == pytest.approx(0)
    assert told.by_reason == {"broken": pytest.approx(-0.2 * 0.72)}
    assert told.by_unit == {"u": pytest.approx(-0.2 * 0.72)} and told.by_mix == {"u": pytest.approx(0)}


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=12), max_size=8))
def test_identities_are_found_again_and_no_others(calls: list[list[tuple[int, int]]]) -> None:
    known, rows = Identities(), dict[tuple[int, int], int]()
    for call in calls:
        high, low = (np.array([one[at] for one in call], np.uint64) for at in (0, 1))
        assert known.find(high, low).tolist() == [rows.get(one, -1) for one in call]
        new = list(dict.fromkeys(one for one in call if one not in rows))
        high, low = (np.array([one[at] for one in new], np.uint64) for at in (0, 1))
        rows |= dict(zip(new, known.add(high, low).tolist(), strict=True))
    assert len(known) == len(rows)
