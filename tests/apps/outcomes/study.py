"""How often intervals hold what they promise, over many works that differ by chance alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.apps.outcomes.works import FACTORS, Works

from headrace.apps.outcomes.baseline import baseline_of, draft, standing
from headrace.apps.outcomes.evaluate import Evaluation, Verdict, evaluate
from headrace.apps.outcomes.facts import Facts


def evaluated(
    works: Works,
    facts: Facts | None = None,
    *,
    factors: Mapping[str, float] = FACTORS,
    now_ns: int | None = None,
    **definition: Any,
) -> Evaluation:
    """Frozen from the rows of the works and evaluated from `facts`, its own where none are given."""
    defined = works.definition(**definition)
    own = works.facts()
    at_ns = int(defined.edges_ns(defined.baseline)[-1])
    baseline = baseline_of(draft(defined, own, FACTORS, by="wang", at_ns=at_ns))
    return evaluate(
        baseline,
        own if facts is None else facts,
        factors,
        now_ns=int(defined.edges_ns(defined.report)[-1]) if now_ns is None else now_ns,
        standing=standing(baseline, own, FACTORS, signed=True),
    )


@dataclass(frozen=True, slots=True)
class Study:
    """Shares of works. `covered`: by measure, the interval held the truth; `all_covered`: the simultaneous ones did,
    all together; `any_gain`: a gain was stated of some measure; `width`: of the interval, in the middle."""

    works: int
    covered: Mapping[str, float]
    all_covered: float
    any_gain: float
    verdicts: Mapping[tuple[str, Verdict], int]
    width: Mapping[str, float]

    def verdict_share(self, measure: str, verdict: Verdict) -> float:
        return self.verdicts.get((measure, verdict), 0) / self.works


def studied(seeds: Iterable[int], works: Works | None = None, **change: Any) -> Study:
    """Of the works with each seed. A measure without an interval is left out of `covered`, of that works."""
    like = replace(works or Works(0), **change)
    covered: Counter[str] = Counter()
    had: Counter[str] = Counter()
    widths: dict[str, list[float]] = {name: [] for name in like.truth}
    verdicts: Counter[tuple[str, Verdict]] = Counter()
    together = gains = count = 0
    for seed in seeds:
        one = replace(like, seed=seed)
        count += 1
        found = evaluated(one)
        for outcome in found.outcomes:
            name = outcome.measure.id
            verdicts[name, outcome.verdict] += 1
            if outcome.interval is not None:
                had[name] += 1
                covered[name] += one.truth[name] in outcome.interval
                widths[name].append(outcome.interval.high - outcome.interval.low)
        together += all(one.truth[each.measure.id] in each.simultaneous for each in found.outcomes if each.simultaneous)
        gains += any(outcome.verdict is Verdict.GAIN for outcome in found.outcomes)
    return Study(
        count,
        {name: covered[name] / had[name] for name in had},
        together / count,
        gains / count,
        dict(verdicts),
        {name: sorted(each)[len(each) // 2] for name, each in widths.items() if each},
    )
