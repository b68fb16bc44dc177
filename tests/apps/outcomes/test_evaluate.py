"""The whole way from rows to verdicts, on a works whose gains are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from tests.apps.outcomes.study import evaluated, studied
from tests.apps.outcomes.works import FACTORS, FIRST, Works

from headrace.apps.outcomes.baseline import baseline_of, draft, message_of, standing
from headrace.apps.outcomes.definition import Span
from headrace.apps.outcomes.evaluate import Evaluation, Outcome, Target, Verdict, evaluate
from headrace.apps.outcomes.facts import Facts, facts_of
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS

REFERENCE = Works(seed=2026)
NULL = Works(seed=2026, productivity=0.0, energy=0.0, failures=0.0)


def of(evaluation: Evaluation, measure: str) -> Outcome:
    return next(each for each in evaluation.outcomes if each.measure.id == measure)


def without(facts: Facts, quantity: str, days: range) -> Facts:
    day = (facts.start_ns - facts.start_ns.min()) // DAY_NS
    return facts.pick(~((facts.quantity == quantity) & np.isin(day, list(days))))


def test_the_reference_works_is_recovered_inside_its_intervals() -> None:
    """+20 % productivity, -6 % energy, -50 % failures."""
    found = evaluated(REFERENCE, replicates=499)
    for measure, truth in REFERENCE.truth.items():
        outcome = of(found, measure)
        assert outcome.interval is not None and outcome.simultaneous is not None
        assert truth in outcome.interval and truth in outcome.simultaneous, measure
        assert outcome.verdict is Verdict.GAIN and outcome.target is Target.OPEN, measure
    for measure in ("labour_productivity", "labour_productivity_physical", "failure_downtime"):
        check = of(found, measure).check
        assert check is not None and REFERENCE.truth[measure] in check
    assert found.paired and found.simultaneous_level == pytest.approx(0.99) and not found.cautions


def test_the_null_works_reports_no_gain() -> None:
    found = evaluated(NULL)
    for outcome in found.outcomes:
        assert outcome.verdict is Verdict.NO_GAIN_SHOWN, outcome.measure.id
        assert outcome.simultaneous is not None and 0.0 in outcome.simultaneous
        assert outcome.detectable is not None and abs(outcome.detectable) < 0.6


def test_what_got_worse_is_called_worse_and_a_target_that_is_out_of_reach_missed() -> None:
    found = evaluated(Works(seed=3, productivity=-0.2, energy=0.06, failures=1.5))
    assert {each.verdict for each in found.outcomes} == {Verdict.WORSE}
    assert {each.target for each in found.outcomes} == {Target.MISSED}
    great = evaluated(Works(seed=3, productivity=0.5, energy=-0.2, failures=-0.85))
    assert {each.target for each in great.outcomes} == {Target.REACHED}


def test_dearer_and_lighter_products_are_no_gain_in_energy() -> None:
    """A works that saves nothing and only sells other products: the raw figure falls, the normalised does not."""
    found = of(evaluated(Works(seed=5, productivity=0.0, energy=0.0, failures=0.0, mix=0.8)), "energy_intensity")
    assert found.raw is not None and found.raw[1].high < 0.0
    assert found.verdict is Verdict.NO_GAIN_SHOWN


def test_intervals_hold_over_many_works() -> None:
    """Bounds are what chance leaves of 95 % in 40 works: three standard errors. `bench outcomes` has 1,000."""
    gains, nothing = studied(range(40), days=182), studied(range(40), NULL, days=182)
    for study in (gains, nothing):
        assert all(share >= 0.85 for share in study.covered.values()), study
    assert nothing.any_gain <= 0.13
    assert gains.verdict_share("labour_productivity", Verdict.GAIN) > 0.9


@pytest.mark.soak
def test_intervals_hold_over_a_thousand_works() -> None:
    for works in (REFERENCE, NULL):
        study = studied(range(1000), works)
        assert all(share >= 0.93 for share in study.covered.values()), study
    assert study.any_gain <= 0.05


# --- what is not enough ----------------------------------------------------------------------------------------------

SMALL = Works(seed=7, days=91)


def judged(works: Works, facts: Facts, *, now_days: int = 2000, **other: Any) -> Evaluation:
    return evaluated(works, facts, now_ns=int(works.facts().start_ns.min()) + now_days * DAY_NS, **other)


def test_before_the_end_there_is_no_interval_to_look_at() -> None:
    found = judged(SMALL, SMALL.facts(), now_days=364 + 90)
    for outcome in found.outcomes:
        assert outcome.verdict is Verdict.TOO_EARLY
        assert outcome.effect is outcome.interval is outcome.simultaneous is outcome.detectable is None


def test_too_few_days_or_stops_are_said_and_not_filled_in() -> None:
    holed = without(SMALL.facts(), "person_days", range(364, 364 + 30))
    labour = of(judged(SMALL, holed), "labour_productivity")
    assert labour.verdict is Verdict.TOO_LITTLE_DATA and labour.effect is None
    assert [each.key for each in labour.reasons] == ["known_share"]
    some = of(judged(SMALL, without(SMALL.facts(), "person_days", range(364, 364 + 10))), "labour_productivity")
    assert some.after.missing == 10 and [each.key for each in some.cautions] == ["missing"]
    rare = Works(seed=7, days=91, failures_per_h=1 / 1500)
    found = judged(rare, rare.facts())
    assert [each.key for each in of(found, "failure_downtime").reasons] == ["few_stops", "few_stops"]
    assert of(found, "failure_frequency").interval is not None


def test_a_span_without_any_failure_and_energy_as_it_is_are_pointed_out() -> None:
    facts = SMALL.facts()
    silent = facts.pick(~((facts.quantity == "failures") & (facts.start_ns > facts.start_ns.min() + 300 * DAY_NS)))
    frequency = of(judged(SMALL, silent), "failure_frequency")
    assert frequency.effect == -1.0 and [each.key for each in frequency.cautions] == ["no_failures"]
    plain = of(judged(SMALL, facts, covariates={}), "energy_intensity")
    assert [each.key for each in plain.cautions] == ["not_normalised"]
    assert plain.method == "ratio of sums" and plain.interval is not None


def test_an_equation_that_cannot_be_fitted_is_no_raw_verdict_instead() -> None:
    short = replace(SMALL, days=56)
    energy = of(judged(short, short.facts()), "energy_intensity")
    assert (
        energy.verdict is Verdict.TOO_LITTLE_DATA and energy.effect is None and "60 are needed" in str(energy.reasons)
    )


def test_another_season_is_compared_only_with_its_reason_shown() -> None:
    works = Works(seed=7, days=182)
    first, second = Span(FIRST, FIRST + timedelta(91)), Span(FIRST + timedelta(91), FIRST + timedelta(182))
    found = judged(works, works.facts(), baseline=first, report=second, season_differs_because="no heating")
    assert [each.key for each in found.cautions] == ["season_differs"] and not found.paired


def test_a_product_that_the_baseline_did_not_know_is_told() -> None:
    row = {**SMALL.facts().rows()[0], "id": "new", "quantity": "output_10k_cny", "factor": "price:p9", "amount": 1.0}
    row |= {"start_ns": row["start_ns"] + 364 * DAY_NS, "end_ns": row["end_ns"] + 364 * DAY_NS}
    facts = facts_of([*SMALL.facts().rows(), row])
    found = judged(SMALL, facts, factors={**FACTORS, "price:p9": 0.1})
    assert [each.key for each in found.cautions] == ["new_factors"]
    with pytest.raises(DataError, match="no factor 'price:p9'"):
        judged(SMALL, facts)


def test_both_spans_are_taken_at_the_frozen_factors() -> None:
    dearer = {name: value * (3.0 if name.startswith("price:") else 1.0) for name, value in FACTORS.items()}
    assert judged(SMALL, SMALL.facts(), factors=dearer).outcomes == judged(SMALL, SMALL.facts()).outcomes


def test_both_figures_of_reliability_are_there_by_both_definitions() -> None:
    found = evaluated(SMALL)
    assert found.reliability is not None
    before, after = found.reliability
    assert before.mtbf_per_failure_h is not None and before.mtbf_per_failure_h > before.mtbf_iso_22400_h
    rows = SMALL.facts()
    mine = (rows.quantity == "failures") & (rows.start_ns >= rows.start_ns.min() + 300 * DAY_NS)
    assert after.failures == rows.amount[mine].sum()


# --- frozen -----------------------------------------------------------------------------------------------------------


def frozen(works: Works = SMALL, facts: Facts | None = None) -> dict[str, Any]:
    definition = works.definition()
    at_ns = int(definition.edges_ns(definition.baseline)[-1])
    return draft(definition, works.facts() if facts is None else facts, FACTORS, by="wang", at_ns=at_ns)


def now_of(document: Mapping[str, Any], facts: Facts, factors: Mapping[str, float] = FACTORS) -> Any:
    return standing(baseline_of(document), facts, factors, signed=True)


def test_a_baseline_is_the_same_in_any_order_of_rows_and_sees_every_change() -> None:
    facts, document = SMALL.facts(), frozen()
    mixed = facts.pick(np.random.default_rng(3).permutation(len(facts)))
    assert frozen(facts=mixed) == document and message_of(frozen(facts=mixed)) == message_of(document)
    assert now_of(document, mixed).matches
    amounts = facts.amount.copy()
    amounts[5] = np.nextafter(amounts[5], np.inf)
    changed = now_of(document, replace(facts, amount=amounts))
    assert not changed.matches and len(changed.periods) == 1
    assert len(now_of(document, facts.pick(np.arange(len(facts)) != 5)).periods) == 1
    report = facts.start_ns > facts.start_ns.min() + 300 * DAY_NS
    assert now_of(document, facts.pick(~report)).matches  # rows of the report span are not its own


def test_a_factor_that_changed_or_went_is_told_with_both_values() -> None:
    facts, document = SMALL.facts(), frozen()
    moved = now_of(document, facts, {**FACTORS, "coal:gas": 1.33})
    assert moved.factors == (("coal:gas", 1.2143, 1.33),) and not moved.matches
    gone = now_of(document, facts, {name: value for name, value in FACTORS.items() if name != "coal:gas"})
    assert gone.factors == (("coal:gas", 1.2143, None),)
    assert now_of(document, facts, {**FACTORS, "price:p9": 1.0}).matches


def test_changed_rows_break_the_verdict_and_leave_the_frozen_figures() -> None:
    works, facts = SMALL, SMALL.facts()
    baseline, definition = baseline_of(frozen()), SMALL.definition()
    amounts = np.where((facts.quantity == "person_days") & (facts.start_ns < facts.start_ns.min() + 9e15), 2.0, 1.0)
    moved = replace(facts, amount=facts.amount * amounts)
    now_ns = int(definition.edges_ns(definition.report)[-1])
    stands = standing(baseline, moved, FACTORS, signed=True)
    found = of(evaluate(baseline, moved, FACTORS, now_ns=now_ns, standing=stands), "labour_productivity")
    assert found.verdict is Verdict.BASELINE_BROKEN and found.target is None
    assert found.before == of(evaluated(works), "labour_productivity").before


def test_a_row_that_is_changed_opens_no_second_look() -> None:
    """Before the report span is over there is no interval, whatever became of the baseline."""
    baseline, facts = baseline_of(frozen()), SMALL.facts()
    stands = standing(baseline, facts.pick(np.arange(len(facts)) != 5), FACTORS, signed=True)
    now_ns = int(SMALL.definition().edges_ns(SMALL.definition().report)[-1]) - 1
    for outcome in evaluate(baseline, facts, FACTORS, now_ns=now_ns, standing=stands).outcomes:
        assert outcome.verdict is Verdict.BASELINE_BROKEN and outcome.interval is outcome.effect is None
        assert [each.key for each in outcome.reasons] == ["rows_changed", "too_early"]


def test_freezing_after_the_report_has_begun_is_told() -> None:
    definition, facts = SMALL.definition(), SMALL.facts()
    begin_ns, now_ns = (int(edge) for edge in definition.edges_ns(definition.report)[[0, -1]])
    for at_ns, said in ((begin_ns, []), (begin_ns + DAY_NS, ["frozen_late"])):
        baseline = baseline_of(draft(definition, facts, FACTORS, by="wang", at_ns=at_ns))
        stands = standing(baseline, facts, FACTORS, signed=True)
        found = evaluate(baseline, facts, FACTORS, now_ns=now_ns, standing=stands)
        assert [each.key for each in found.cautions] == said


def test_nothing_is_frozen_before_its_time_or_without_rows() -> None:
    definition = SMALL.definition()
    end_ns = int(definition.edges_ns(definition.baseline)[-1])
    with pytest.raises(DataError, match="before that"):
        draft(definition, SMALL.facts(), FACTORS, by="wang", at_ns=end_ns - 1)
    no_hours = SMALL.facts()
    with pytest.raises(DataError, match="no attended_h in the baseline"):
        draft(definition, no_hours.pick(no_hours.quantity != "attended_h"), FACTORS, by="wang", at_ns=end_ns)


@pytest.mark.parametrize(
    "spoil",
    [
        {"kind": "headrace outcomes baseline 0"},
        {"panel": {"quantities": [], "sums": []}},
        {"rows": {}},
        {"factors": {"x": "y"}},
        {"definition": None},
    ],
)
def test_what_is_no_baseline_is_refused(spoil: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        baseline_of({**frozen(), **spoil})
