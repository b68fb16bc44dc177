"""Which windows are complete, which samples are in them, and which samples must wait.

rows of the keys that are due ─► by (key, time, point), the newest write of a moment ─► windows that end by where the
                                 key stands ─► Closed;  rows that later windows need ─► kept

Everything is told from the set of rows, never from the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.compute.streams.rows import ALWAYS, Bools, Ints, Rows
from headrace.model.batch import TimesNs
from headrace.sdk.stream import Kind, StreamFunction, Window

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Closed:
    """Windows by (key, end). Rows of window w: `index[offsets[w]:offsets[w + 1]]`, places in `rows`.

    `rows` and `row_keys` are all that was waiting of those keys, by (key, time, point). `stamp_ns` is the time of
    what comes of a window: its end, or its last sample where it ends with one.
    """

    rows: Rows
    row_keys: Ints
    index: Places
    offsets: Places
    keys: Ints
    start_ns: TimesNs
    end_ns: TimesNs
    stamp_ns: TimesNs
    kept: Bools
    due_ns: TimesNs

    def __len__(self) -> int:
        return len(self.keys)

    def row_windows(self) -> Places:
        """The window of each row of `index`."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


def close(function: StreamFunction, rows: Rows, keys: Ints, stands_ns: TimesNs, fired_ns: TimesNs) -> Closed:
    """`keys` by row; `stands_ns` and `fired_ns` by key: where it stands, and where it stood when last closed."""
    order = _order(keys, rows)
    if order is not None:
        rows, keys = rows.take(order), keys[order]
    if function.strict or function.window.width_ns == function.window.every_ns:  # one window a sample
        newest = _ends_of(keys, rows.time_ns, rows.series)
        if not newest.all():
            rows, keys = _newest(rows, newest), keys[newest]
    return _CLOSING[function.window.kind](function, rows, keys, stands_ns, fired_ns)


def first_end_ns(function: StreamFunction, time_ns: TimesNs, past_ns: TimesNs) -> TimesNs:
    """The end of the earliest window that such a sample is in and that was open; a bound for session and count.

    `ALWAYS` where there is none: the sample is late.
    """
    window = function.window
    if function.strict:
        late = time_ns < past_ns
        if window.kind is Kind.SESSION:
            return np.where(late, ALWAYS, time_ns + window.width_ns)
        if window.kind is Kind.COUNT:
            return np.where(late, ALWAYS, time_ns + 1)
    else:
        late = np.zeros(len(time_ns), np.bool_)
    last = time_ns // window.every_ns
    first = _opened(window, last, time_ns, past_ns)
    return np.where(late | (first > last), ALWAYS, first * window.every_ns + window.width_ns)


def _opened(window: Window, last: Places, time_ns: TimesNs, past_ns: TimesNs) -> Places:
    """The first window that such a sample is in and that was open. `last`: the last that it is in."""
    opened = last - (window.width_ns // window.every_ns - 1)  # a width is a number of steps
    behind = np.flatnonzero(past_ns > time_ns)  # else windows that were closed are others
    if len(behind):
        closed = (past_ns[behind] - window.width_ns) // window.every_ns
        opened[behind] = np.maximum(opened[behind], closed + 1)
    return opened


def _order(keys: Ints, rows: Rows) -> Places | None:
    """By (key, time, point), and as they came; None where they are so. One number a row sorts faster than three, and
    runs that are in order, as history gives them, at once."""
    if not len(rows):
        return None
    low, series = int(rows.time_ns.min()), int(rows.series.max()) + 1
    span = int(rows.time_ns.max()) - low + 1
    if (int(keys.max()) + 1) * span * series >= 1 << 62:
        order: Places = np.lexsort((rows.series, rows.time_ns, keys))
        return order
    place = (keys * np.int64(span) + (rows.time_ns - low)) * series + rows.series
    return None if bool((place[1:] >= place[:-1]).all()) else np.argsort(place, kind="stable")


def last_end_ns(function: StreamFunction, time_ns: TimesNs) -> TimesNs:
    """The end of the last window that such a sample is in; a bound for sessions and counts."""
    window = function.window
    if window.kind is Kind.COUNT:
        return time_ns + 1
    if window.kind is Kind.SESSION:
        return time_ns + window.width_ns
    return time_ns // window.every_ns * window.every_ns + window.width_ns


def _timed(function: StreamFunction, rows: Rows, keys: Ints, stands_ns: TimesNs, fired_ns: TimesNs) -> Closed:
    width, every, keep = function.window.width_ns, function.window.every_ns, function.keep_ns
    last = rows.time_ns // every
    opened = _opened(function.window, last, rows.time_ns, rows.past_ns)
    done, told = ((stands_ns - width) // every)[keys], ((fired_ns - width) // every)[keys]
    if width == every:  # a sample is in one window: the last, where that was open and is complete
        wanted = last <= done
        wanted &= opened <= last
        if not keep:
            wanted &= last > told
        index = np.flatnonzero(wanted)
        which = last[index]
    else:
        first = opened if keep else np.maximum(opened, told + 1)
        number = np.maximum(np.minimum(last, done) - first + 1, 0)
        index = np.repeat(np.arange(len(rows)), number)
        which = first[index] + np.arange(len(index)) - np.repeat(np.cumsum(number) - number, number)
        order = np.lexsort((which, keys[index]))  # stable: time and point stay in order
        index, which = index[order], which[order]
        newest = _ends_of(keys[index], which, rows.time_ns[index], rows.series[index])
        index, which = index[newest], which[newest]
    heads = _heads_of(keys[index], which)
    if keep and len(index):
        news = (which > told[index]) | rows.fresh[index]
        wanted = np.repeat(np.logical_or.reduceat(news, heads), np.diff(np.append(heads, len(index))))
        index, which = index[wanted], which[wanted]
        heads = _heads_of(keys[index], which)
    start = which[heads] * every
    ahead = np.flatnonzero((last > done) & (opened <= last))
    still = np.maximum(opened[ahead], done[ahead] + 1)
    return Closed(
        rows,
        keys,
        index,
        np.append(heads, len(index)),
        keys[index[heads]],
        start,
        start + width,
        start + width,
        last > ((stands_ns - keep - width) // every)[keys],
        _least(keys[ahead], still * every + width, len(stands_ns)),
    )


def _session(function: StreamFunction, rows: Rows, keys: Ints, stands_ns: TimesNs, fired_ns: TimesNs) -> Closed:
    del fired_ns
    gap = function.window.width_ns
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = (keys[1:] != keys[:-1]) | (rows.time_ns[1:] - rows.time_ns[:-1] >= gap)
    heads = np.flatnonzero(begins)
    lengths = np.diff(np.append(heads, len(rows)))
    ends = rows.time_ns[heads + lengths - 1]
    over = ends + gap <= stands_ns[keys[heads]]
    kept = np.repeat(~over, lengths)
    due = _least(keys[heads], np.where(over, ALWAYS, ends + gap), len(stands_ns))
    return _cut(rows, keys, heads[over], lengths[over], kept, due)


def _count(function: StreamFunction, rows: Rows, keys: Ints, stands_ns: TimesNs, fired_ns: TimesNs) -> Closed:
    del fired_ns
    samples = function.window.samples
    starts = _heads_of(keys)
    rank = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    ripe = rows.time_ns < stands_ns[keys]
    full = np.bincount(keys[ripe], minlength=len(stands_ns)) // samples * samples
    gone = rank < full[keys]
    heads = np.flatnonzero(gone & (rank % samples == 0))
    due = np.full(len(stands_ns), ALWAYS, np.int64)
    nth = np.flatnonzero(rank == full[keys] + samples - 1)
    due[keys[nth]] = rows.time_ns[nth] + 1
    return _cut(rows, keys, heads, np.full(len(heads), samples), ~gone, due)


_CLOSING: Final[dict[Kind, Callable[[StreamFunction, Rows, Ints, TimesNs, TimesNs], Closed]]] = {
    Kind.TUMBLING: _timed,
    Kind.SLIDING: _timed,
    Kind.SESSION: _session,
    Kind.COUNT: _count,
}


def _cut(rows: Rows, keys: Ints, heads: Places, lengths: Places, kept: Bools, due: TimesNs) -> Closed:
    """Windows that are runs of rows, told by their first rows and lengths."""
    offsets = np.append(0, np.cumsum(lengths))
    index = np.repeat(heads - offsets[:-1], lengths) + np.arange(offsets[-1])
    ends = rows.time_ns[heads + lengths - 1]
    return Closed(rows, keys, index, offsets, keys[heads], rows.time_ns[heads], ends, ends, kept, due)


def _newest(rows: Rows, newest: Bools) -> Rows:
    """One row a moment of a point: the last one's value, fresh where any was."""
    chosen = rows.take(newest)
    heads = np.append(0, np.flatnonzero(newest)[:-1] + 1)
    return Rows(
        chosen.series,
        chosen.time_ns,
        chosen.bits,
        chosen.quality,
        chosen.past_ns,
        np.logical_or.reduceat(rows.fresh, heads),
    )


def _heads_of(*columns: NDArray[Any]) -> Places:
    """Where a run of equal rows begins."""
    heads = np.ones(len(columns[0]), np.bool_)
    if len(heads):
        heads[1:] = False
        for column in columns:
            heads[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(heads)


def _ends_of(*columns: NDArray[Any]) -> Bools:
    """Whether a run of equal rows ends."""
    ends = np.ones(len(columns[0]), np.bool_)
    if len(ends):
        ends[:-1] = False
        for column in columns:
            ends[:-1] |= column[1:] != column[:-1]
    return ends


def _least(keys: Ints, time_ns: TimesNs, count: int) -> TimesNs:
    """By key. `keys` in order."""
    least = np.full(count, ALWAYS, np.int64)
    if len(keys):
        heads = _heads_of(keys)
        least[keys[heads]] = np.minimum.reduceat(time_ns, heads)
    return least
