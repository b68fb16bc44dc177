"""Live values: exact, newest by source time, and honest about links whatever a device's clock says."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.compute.live import LiveTable
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS

NOW = 1_800_000_000 * SECOND_NS


def handles(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint32)


def test_points_never_seen_wait_for_initial_data() -> None:
    table = LiveTable(capacity=4)
    columns = table.get(handles(0, 3, 900_000))
    assert columns.quality.tolist() == [q.BAD_WAITING_FOR_INITIAL_DATA] * 3
    assert columns.values.tolist() == [None] * 3
    assert columns.source_ns.tolist() == [0] * 3
    assert len(table.changed(handles(0, 3, 900_000), -1).handles) == 0


def test_each_kind_is_kept_exactly() -> None:
    table = LiveTable(capacity=1)
    table.update(
        [
            Batch.of(ValueKind.FLOAT64, [1, 2], NOW, [0.1, -0.0]),
            Batch.of(ValueKind.INT64, [3], NOW, [2**53 + 1]),
            Batch.of(ValueKind.BOOL, [4, 5], NOW, [True, False]),
            Batch.of(ValueKind.TEXT, [6], NOW, ["油温"], q.UNCERTAIN),
        ]
    )
    columns = table.get(handles(6, 5, 4, 3, 2, 1, 0))
    assert columns.values.tolist() == ["油温", False, True, 2**53 + 1, -0.0, 0.1, None]
    assert [type(value) for value in columns.values] == [str, bool, bool, int, float, float, type(None)]
    assert math.copysign(1, columns.values[4]) == -1
    assert columns.quality.tolist() == [q.UNCERTAIN, 0, 0, 0, 0, 0, q.BAD_WAITING_FOR_INITIAL_DATA]


def test_a_point_may_change_its_kind() -> None:
    table = LiveTable()
    table.update([Batch.of(ValueKind.TEXT, [1], NOW, ["off"])])
    table.update([Batch.of(ValueKind.INT64, [1], NOW + 1, [3])])
    assert table.get(handles(1)).values.tolist() == [3]


def test_older_samples_are_ignored_and_equal_ones_replace() -> None:
    table = LiveTable()
    table.update([Batch.of(ValueKind.INT64, [1, 2], NOW, [10, 20])])
    version = table.version
    table.update([Batch.of(ValueKind.INT64, [1], NOW - 1, [9], received_ns=NOW + SECOND_NS)])
    assert table.version == version
    assert len(table.changed(handles(1, 2), version).handles) == 0
    table.update([Batch.of(ValueKind.INT64, [1, 2], [NOW - 1, NOW], [8, 21])])
    columns = table.changed(handles(1, 2), version)
    assert (columns.handles.tolist(), columns.values.tolist(), columns.version) == ([2], [21], version + 1)


def test_the_newest_of_a_point_within_a_batch_wins() -> None:
    table = LiveTable()
    times = [NOW + 2, NOW, NOW + 1, NOW + 1]
    table.update([Batch.of(ValueKind.INT64, [1, 1, 2, 2], times, [1, 2, 3, 4])])
    assert table.get(handles(1, 2)).values.tolist() == [1, 4]


def test_a_lost_link_shows_although_the_device_clock_is_ahead() -> None:
    table = LiveTable()
    table.update([Batch.of(ValueKind.FLOAT64, [1], NOW + 5 * MINUTE_NS, [1.0], received_ns=NOW)])
    table.update([Batch.bad(ValueKind.FLOAT64, [1], NOW + SECOND_NS, q.BAD_NO_COMMUNICATION)])
    assert table.get(handles(1)).quality.tolist() == [q.BAD_NO_COMMUNICATION]


def test_a_device_behind_us_is_alive_again_after_a_reconnect() -> None:
    table = LiveTable()
    table.update([Batch.bad(ValueKind.FLOAT64, [1], NOW, q.BAD_NO_COMMUNICATION)])
    table.update([Batch.of(ValueKind.FLOAT64, [1], NOW - HOUR_NS, [2.0], received_ns=NOW + SECOND_NS)])
    assert table.get(handles(1)).values.tolist() == [2.0]


def test_a_wild_clock_does_not_freeze_a_point() -> None:
    table = LiveTable()
    table.update([Batch.of(ValueKind.INT64, [1], NOW + 1000 * HOUR_NS, [1], received_ns=NOW)])
    table.update([Batch.of(ValueKind.INT64, [1], NOW + 1, [2], received_ns=NOW + 1)])
    assert table.get(handles(1)).values.tolist() == [2]
    table.update([Batch.of(ValueKind.INT64, [1], 5 * SECOND_NS, [3], received_ns=NOW + 2)])
    assert table.get(handles(1)).values.tolist() == [3]


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6), st.integers(-9, 9)), min_size=1, max_size=12),
        max_size=8,
    )
)
def test_agrees_with_a_plain_dictionary(updates: list[list[tuple[int, int, int]]]) -> None:
    table = LiveTable(capacity=2)
    plain: dict[int, tuple[int, int]] = {}
    everyone = np.arange(41, dtype=np.uint32)
    for rows in updates:
        before, version = dict(plain), table.version
        newest: dict[int, tuple[int, int]] = {}
        for handle, time, value in rows:
            if handle not in newest or time >= newest[handle][0]:
                newest[handle] = (time, value)
        taken = {h: row for h, row in newest.items() if h not in before or row[0] >= before[h][0]}
        plain |= taken
        columns = list(zip(*rows, strict=True))
        table.update([Batch.of(ValueKind.INT64, columns[0], np.array(columns[1]) + NOW, columns[2], received_ns=NOW)])
        assert set(table.changed(everyone, version).handles.tolist()) == set(taken)
    held = table.get(everyone)
    for handle in range(41):
        expected = plain.get(handle)
        assert held.values[handle] == (None if expected is None else expected[1])
        if expected is not None:
            assert held.source_ns[handle] == NOW + expected[0]
