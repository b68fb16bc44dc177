"""Whether outcomes can be believed: how often intervals hold the truth, and how often a gain is stated without one.

    known     works with +20 % productivity, -6 % energy, -50 % failures, a year before and after: coverage and power
    null      the same works without any gain: coverage, and the share in which some gain is stated
    short     half a year, days that resemble each other more
    cost      freezing, verifying and evaluating a works of a year, CPU time

Works differ by their seed alone (`tests/apps/outcomes/works.py`). Peers, on the same works: Welch's t on daily ratios
that are taken as independent (SciPy); the exact Poisson ratio without overdispersion (SciPy's binomial test); the
plain energy intensity against the effect at equal products. `python -m bench outcomes 300` takes 300 works.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from scipy import stats
from tests.apps.outcomes.study import Study, evaluated, studied
from tests.apps.outcomes.works import FACTORS, Works

from bench.harness import Measure, cpu_s, median_of
from headrace.apps.outcomes.baseline import baseline_of, draft, standing
from headrace.apps.outcomes.evaluate import Verdict, evaluate
from headrace.apps.outcomes.measures import MEASURES
from headrace.apps.outcomes.panel import Panel, panel_of, within

WORKS: Final = 500
FIRST_SEED: Final = 10_000
KNOWN: Final = Works(0)
NULL: Final = Works(0, productivity=0.0, energy=0.0, failures=0.0)


def measures(options: Sequence[str] = ()) -> Iterator[Measure]:
    works = int(options[0]) if options else WORKS
    seeds = range(FIRST_SEED, FIRST_SEED + works)
    known = studied(seeds, KNOWN)
    peers = _peers(seeds)
    for name, share in known.covered.items():
        peer, peer_name = peers.get(name, (None, ""))
        yield Measure(f"95 % interval holds the truth, {works} works with gains: {name}", share, "share",
                      peer, peer_name, target=">= 0.93")  # fmt: skip
        yield Measure(f"… gain shown: {name}", known.verdict_share(name, Verdict.GAIN), "share")
        yield Measure(f"… width of the interval, median: {name}", known.width[name], "of the figure")
    yield Measure("… all simultaneous intervals hold", known.all_covered, "share", target=">= 0.93")
    yield from _null(works, studied(seeds, NULL))
    short = studied(seeds, replace(KNOWN, days=182, phi=0.6))
    least = min(short.covered.values())
    yield Measure(f"half a year, correlation 0.6, {works} works: least coverage of the five", least, "share",
                  target=">= 0.93")  # fmt: skip
    yield from _cost()


def _null(works: int, study: Study) -> Iterator[Measure]:
    yield Measure(f"{works} works without gains: some gain stated", study.any_gain, "share", target="<= 0.05")
    yield Measure("… least coverage of the five", min(study.covered.values()), "share", target=">= 0.93")
    yield Measure("… all simultaneous intervals hold", study.all_covered, "share", target=">= 0.93")


def _panels(works: Works) -> tuple[Panel, Panel]:
    definition, facts = works.definition(), works.facts()
    first, second = (
        panel_of(definition, span, within(definition, span, facts), FACTORS)
        for span in (definition.baseline, definition.report)
    )
    return first, second


def _peers(seeds: Sequence[int]) -> dict[str, tuple[float | None, str]]:
    welch = exact = raw = 0
    for seed in seeds:
        works = replace(KNOWN, seed=seed)
        before, after = _panels(works)
        welch += _welch(before, after, works)
        exact += _poisson(before, after, works)
        energy = next(each for each in evaluated(works).outcomes if each.measure.id == "energy_intensity")
        raw += energy.raw is not None and works.energy in energy.raw[1]
    count = len(seeds)
    return {
        "labour_productivity": (welch / count, "Welch's t, days independent (SciPy)"),
        "energy_intensity": (raw / count, "the plain intensity"),
        "failure_frequency": (exact / count, "exact Poisson ratio (SciPy)"),
    }


def _welch(before: Panel, after: Panel, works: Works) -> bool:
    daily = []
    for panel in before, after:
        added, days = panel.pair(MEASURES["labour_productivity"])
        open_days = days > 0
        daily.append(np.log(added[open_days] / days[open_days]))
    interval = stats.ttest_ind(daily[1], daily[0], equal_var=False).confidence_interval(0.95)
    return bool(interval.low <= math.log1p(works.productivity) <= interval.high)


def _poisson(before: Panel, after: Panel, works: Works) -> bool:
    (first, before_h), (second, after_h) = (
        (float(np.nansum(side)) for side in panel.pair(MEASURES["failure_frequency"])) for panel in (before, after)
    )
    share = stats.binomtest(round(second), round(first + second)).proportion_ci(0.95, "exact")
    low, high = (each / (1 - each) * before_h / after_h - 1 for each in (share.low, share.high))
    return bool(low <= works.failures <= high)


def _cost() -> Iterator[Measure]:
    works = replace(KNOWN, seed=1)
    definition, facts = works.definition(replicates=999), works.facts()
    at_ns, now_ns = (int(definition.edges_ns(span)[-1]) for span in (definition.baseline, definition.report))
    document = draft(definition, facts, FACTORS, by="bench", at_ns=at_ns)
    baseline = baseline_of(document)
    stands = standing(baseline, facts, FACTORS, signed=True)
    assert stands.matches

    def timed(work: object) -> float:
        began_s = cpu_s()
        work()  # type: ignore[operator]
        return 1e3 * (cpu_s() - began_s)

    rows = f"{len(facts):,} rows"
    steps = {
        f"freezing a year of {rows}": lambda: draft(definition, facts, FACTORS, by="bench", at_ns=at_ns),
        "verifying it against its rows": lambda: standing(baseline, facts, FACTORS, signed=True),
        "five verdicts, with 999 bootstrap draws": lambda: evaluate(
            baseline, facts, FACTORS, now_ns=now_ns, standing=stands
        ),
    }
    for name, work in steps.items():
        yield Measure(f"{name}, CPU time", median_of(5, lambda work=work: timed(work)), "ms")  # type: ignore[misc]
