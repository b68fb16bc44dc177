"""The vectorised engine against a slow one that handles a sample at a time and says each condition in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.compute.alarms import engine as engine_module
from headrace.compute.alarms.engine import AlarmEngine
from headrace.model import quality as q
from headrace.model.alarms import AlarmCondition, AlarmRule
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SECOND_NS

BASE = 1_800_000_000 * SECOND_NS
POINTS = 4


@dataclass(frozen=True)
class Sample:
    handle: int
    time_s: int
    value: float
    bad: bool = False
    late_s: int = 0


@dataclass
class SlowRule:
    """Seconds throughout. `outcome` holds (time, active, value)."""

    rule: AlarmRule
    main: int
    reference: int
    active: bool = False
    since: float | None = None
    floor: float = -1e18  # no crossing is dated before this
    seen: dict[int, tuple[float, float]] = field(default_factory=dict)
    lag: float = 0.0
    alive: float | None = None
    change: tuple[float, float] | None = None  # (when it began, how much), for RATE
    measured: float | None = None
    outcome: list[tuple[float, bool, float | None]] = field(default_factory=list)

    @property
    def on_s(self) -> float:
        return self.rule.on_delay_ns / SECOND_NS

    @property
    def off_s(self) -> float:
        return self.rule.off_delay_ns / SECOND_NS

    def cross(self, time: float, value: float | None) -> None:
        self.active = not self.active
        self.since = None
        self.floor = max(self.floor, time)
        self.outcome.append((time, self.active, value))

    def holds(self, measure: float) -> bool:
        limit, slack = self.rule.limit, self.rule.hysteresis if self.active else 0.0
        match self.rule.condition:
            case AlarmCondition.HIGH:
                return measure > limit - slack
            case AlarmCondition.LOW:
                return measure < limit + slack
            case AlarmCondition.EQUALS:
                return measure == limit
            case _:
                return measure > max(limit - slack, 0.0)

    def run_out(self, now: float) -> None:
        if self.since is not None:
            due = self.since + (self.off_s if self.active else self.on_s)
            if due <= now:
                self.cross(due, self.measured)

    def judge(self, time: float, measure: float | None) -> None:
        now = max(time, self.floor)
        self.floor = now
        self.run_out(now)
        if measure is None:
            return
        self.measured = measure
        if self.holds(measure) == self.active:
            self.since = None
        elif self.since is None:
            self.since = now
        self.run_out(now)

    def sample(self, sample: Sample, more_of_this_moment: bool) -> None:
        deviation = self.rule.condition is AlarmCondition.DEVIATION
        if sample.handle != self.main and not (deviation and sample.handle == self.reference):
            return
        if sample.bad or (sample.handle in self.seen and sample.time_s < self.seen[sample.handle][0]):
            return
        before = self.seen.get(sample.handle)
        time, value = float(sample.time_s), sample.value
        if self.rule.condition is AlarmCondition.STALE and before is not None:
            self.silence(time)
        self.seen[sample.handle] = (time, value)
        if sample.handle == self.main:
            self.lag = float(sample.late_s)
        match self.rule.condition:
            case AlarmCondition.STALE:
                self.alive = time
                now = max(time, self.floor)
                if self.active and self.since is None:
                    self.since = now
                self.silence(now)
            case AlarmCondition.RATE:
                self.slow_down(time)
                if before is not None and time > before[0]:
                    self.change = (time, abs(value - before[1]))
                    self.judge(time, abs(value - before[1]) / (time - before[0]))
            case AlarmCondition.DEVIATION:
                both = [self.seen.get(self.main), self.seen.get(self.reference)]
                if not more_of_this_moment:
                    self.judge(time, None if None in both else abs(both[0][1] - both[1][1]))
            case _:
                self.judge(time, value)

    def silence(self, now: float) -> None:
        assert self.alive is not None
        onset = self.alive + self.rule.limit
        if self.active and self.since is not None:
            if onset < now and onset < self.since + self.off_s:
                self.since = None
            elif self.since + self.off_s <= now:
                self.cross(self.since + self.off_s, None)
        if not self.active and onset + self.on_s < now:
            self.cross(onset + self.on_s, None)

    def tick(self, now: float) -> None:
        event = now - self.lag
        if self.rule.condition is AlarmCondition.STALE:
            if self.alive is None:
                self.alive = event
            self.silence(event)
            return
        self.slow_down(event)
        self.run_out(event)

    def slow_down(self, event: float) -> None:
        if self.change is not None and self.active and self.since is None:
            began, size = self.change
            slow = max(self.rule.limit - self.rule.hysteresis, 0.0)
            gone = began + size / slow if slow > 0 else (began if size == 0 else float("inf"))
            if gone <= event:
                self.since = max(gone, self.floor)
                self.measured = 0.0


@st.composite
def some_rules(draw: st.DrawFn) -> dict[str, AlarmRule]:
    rules = {}
    for number in range(draw(st.integers(1, 8))):
        point, reference = draw(st.permutations(range(POINTS)))[:2]
        delays = st.sampled_from([0, 0, 1, 3, 7])
        rule = AlarmRule(
            f"p{point}:{number}",
            f"p{point}",
            draw(st.sampled_from([one for one in AlarmCondition if one is not AlarmCondition.EXPRESSION])),
            float(draw(st.integers(1, 6))),
            float(draw(st.integers(0, 2))),
            draw(delays) * SECOND_NS,
            draw(delays) * SECOND_NS,
            reference=f"p{reference}",
        )
        rules[rule.name] = rule
    return rules


@st.composite
def some_steps(draw: st.DrawFn, disorder: bool) -> list[list[Sample] | int]:
    """Takes of samples, and ticks (a time in seconds), with time moving on by and large."""
    steps: list[list[Sample] | int] = []
    now = 0
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.booleans()):
            now += draw(st.integers(0, 6))
            steps.append(now)
            continue
        take = []
        for _ in range(draw(st.integers(1, 8))):
            now += draw(st.integers(0, 2))
            time = now - (draw(st.integers(0, 4)) if disorder else 0)
            value = float(draw(st.integers(0, 8)))
            late = draw(st.sampled_from([0, 0, 0, 2, -1]))
            take.append(Sample(draw(st.integers(0, POINTS - 1)), time, value, draw(st.integers(0, 9)) == 0, late))
        steps.append(take)
    return steps


def batches_of(samples: Sequence[Sample]) -> list[Batch]:
    if not samples:
        return []
    times = np.array([BASE + sample.time_s * SECOND_NS for sample in samples], np.int64)
    return [
        Batch.of(
            ValueKind.FLOAT64,
            [sample.handle for sample in samples],
            times,
            [sample.value for sample in samples],
            np.array([q.BAD_TIMEOUT if sample.bad else q.GOOD for sample in samples], np.uint32),
            times + np.array([sample.late_s for sample in samples]) * SECOND_NS,
        )
    ]


HANDLES = {f"p{number}": number for number in range(POINTS)}
Outcome = dict[str, list[tuple[float, bool, float | None]]]


def fast(rules: dict[str, AlarmRule], steps: Sequence[list[Sample] | int], one_by_one: bool = False) -> Outcome:
    engine = AlarmEngine()
    engine.configure(rules, HANDLES)
    outcome: Outcome = {name: [] for name in rules}
    for step in steps:
        if isinstance(step, int):
            crossings = engine.tick(BASE + step * SECOND_NS)
        elif one_by_one:
            moments = sorted({sample.time_s for sample in step})
            groups = [[sample for sample in step if sample.time_s == moment] for moment in moments]
            crossings = [crossing for group in groups for crossing in engine.take(batches_of(group))]
        else:
            crossings = engine.take(batches_of(step))
        for crossing in crossings:
            time_s = (crossing.time_ns - BASE) / SECOND_NS
            outcome[crossing.rule].append((time_s, crossing.active, crossing.value))
    return outcome


def slow(rules: dict[str, AlarmRule], steps: Sequence[list[Sample] | int]) -> Outcome:
    runs = {
        name: SlowRule(rule, HANDLES[rule.point], HANDLES[rule.reference or rule.point]) for name, rule in rules.items()
    }
    for step in steps:
        for run in runs.values():
            if isinstance(step, int):
                run.tick(float(step))
                continue
            mine = {run.main, run.reference} if run.rule.condition is AlarmCondition.DEVIATION else {run.main}
            held = dict(run.seen)
            usable = [
                sample
                for sample in sorted(step, key=lambda sample: sample.time_s)
                if sample.handle in mine
                and not sample.bad
                and (sample.handle not in held or sample.time_s >= held[sample.handle][0])
            ]
            for at, sample in enumerate(usable):
                more = at + 1 < len(usable) and usable[at + 1].time_s == sample.time_s
                run.sample(sample, more)
    return {name: run.outcome for name, run in runs.items()}


def same(left: Outcome, right: Outcome) -> None:
    assert left.keys() == right.keys()
    for name in left:
        flat = [[(active, value) for _, active, value in side[name]] for side in (left, right)]
        assert flat[0] == flat[1], name
        times = [[time for time, *_ in side[name]] for side in (left, right)]
        assert np.allclose(times[0], times[1], rtol=0, atol=1e-6), name


@pytest.fixture(params=["walked", "leapt"], autouse=True)
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways through samples of conditions that look at one value."""
    monkeypatch.setattr(engine_module, "_FEW", 0 if request.param == "leapt" else 1 << 30)


@settings(
    max_examples=examples(400),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(some_rules(), some_steps(disorder=True))
def test_agrees_with_the_slow_one(rules: dict[str, AlarmRule], steps: list[list[Sample] | int]) -> None:
    same(fast(rules, steps), slow(rules, steps))


@settings(
    max_examples=examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(some_rules(), some_steps(disorder=False))
def test_batches_may_be_split_anywhere(rules: dict[str, AlarmRule], steps: list[list[Sample] | int]) -> None:
    whole = fast(rules, steps)
    same(whole, fast(rules, steps, one_by_one=True))
    assert whole == fast(rules, steps)


@settings(
    max_examples=examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(some_rules(), some_steps(disorder=True))
def test_each_rule_begins_and_ends_in_turn_and_in_order_of_time(
    rules: dict[str, AlarmRule], steps: list[list[Sample] | int]
) -> None:
    for crossings in fast(rules, steps).values():
        assert [active for _, active, _ in crossings] == [at % 2 == 0 for at in range(len(crossings))]
        times = [time for time, *_ in crossings]
        assert times == sorted(times)
