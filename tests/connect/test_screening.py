"""What is flagged, what is not, and that nothing but quality is ever changed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.connect.screening import Screen
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import SOURCE_AHEAD_MAX_NS, SOURCE_TIME_MIN_NS
from headrace.sdk.driver import PointBinding

NOW = 1_780_000_000_000_000_000
QUALITIES = [q.GOOD, q.GOOD_LOCAL_OVERRIDE, q.UNCERTAIN, q.BAD_TIMEOUT]

sample = st.tuples(
    st.integers(0, 5),
    st.one_of(
        st.integers(SOURCE_TIME_MIN_NS - 2, SOURCE_TIME_MIN_NS + 2),
        st.integers(NOW + SOURCE_AHEAD_MAX_NS - 2, NOW + SOURCE_AHEAD_MAX_NS + 2),
        st.integers(0, 2**62),
    ),
    st.one_of(st.floats(), st.sampled_from([-10.0, 10.0])),
    st.sampled_from(QUALITIES),
)


def point(handle: int, span: tuple[float, float] | None) -> PointBinding:
    return PointBinding(handle, f"p{handle}", ValueKind.FLOAT64, None, 1, range=span)


def expected(value: float, source_ns: int, quality: int, has_range: bool) -> int:
    if quality & q.BAD:
        return quality
    if not np.isfinite(value):
        return q.BAD_INVALID_TIMESTAMP if _wild(source_ns) else q.BAD_SENSOR_FAILURE
    if _wild(source_ns):
        return q.BAD_INVALID_TIMESTAMP
    if has_range and quality & q.SEVERITY_MASK == 0 and not -10.0 <= value <= 10.0:
        return q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    return quality


def _wild(source_ns: int) -> bool:
    return source_ns < SOURCE_TIME_MIN_NS or source_ns > NOW + SOURCE_AHEAD_MAX_NS


@given(st.lists(sample, min_size=1, max_size=20))
def test_each_sample_is_judged_by_itself_and_only_its_quality_changes(
    samples: list[tuple[int, int, float, int]],
) -> None:
    # Handles 1 and 4 have a range; 5 lies beyond the last that has one.
    screen = Screen([point(handle, (-10.0, 10.0) if handle in (1, 4) else None) for handle in range(6)])
    handles, sources, values, qualities = zip(*samples, strict=True)
    batch = Batch.of(ValueKind.FLOAT64, list(handles), list(sources), list(values), list(qualities), NOW)
    checked = screen.check(batch, NOW)
    assert checked.quality.tolist() == [
        expected(value, source, quality, handle in (1, 4)) for handle, source, value, quality in samples
    ]
    assert checked.with_quality(batch.quality).same_as(batch)
    assert screen.wild_clocks == sum(map(_wild, sources))
    assert screen.newest_ns == max([source for source in sources if not _wild(source)], default=0)


def test_other_kinds_pass_and_whole_numbers_have_ranges_too() -> None:
    screen = Screen([point(0, (0.0, 10.0))])
    for kind, value in ((ValueKind.BOOL, True), (ValueKind.TEXT, "hot")):
        batch = Batch.of(kind, [0], NOW, [value])
        assert screen.check(batch, NOW) is batch
    counted = screen.check(Batch.of(ValueKind.INT64, [0, 0], NOW, [10, 11]), NOW)
    assert counted.quality.tolist() == [q.GOOD, q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED]
    assert len(screen.check(Batch.empty(ValueKind.INT64), NOW)) == 0
