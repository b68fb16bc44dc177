"""The function is called: here in this process, or in a cell (`cell.py`), with the same work and the same answers.

    Work: columns, window by window; states by key ─► body ─► Answers: columns by output, which windows failed

A function that raises fails its window, not the others: its outputs of that window are bad, and it is counted. What it
had changed of its state stays changed.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import TimesNs, ValueKind
from headrace.model.errors import DataError
from headrace.sdk.stream import StreamFunction

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_MAX: Final = 1_000_000
"""How many samples one call may give for an output."""
States = dict[str, dict[str, Any]]
COUNTS: Final = ("scored", "incomplete", "skipped")
"""What models tell of windows, `models.Scoring`."""


@dataclass(frozen=True, slots=True)
class Pane:
    """The window that a function is called for, in ns."""

    key: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Panes:
    """The windows of a vectorised call. Shape: (windows,) each."""

    keys: Sequence[str]
    start_ns: TimesNs
    end_ns: TimesNs


@dataclass(frozen=True, slots=True)
class Work:
    """Rows of window w are `offsets[w]:offsets[w + 1]`; windows of a key are in order. `states`: of those keys."""

    record: pa.RecordBatch
    offsets: NDArray[np.int64]
    panes: Panes
    states: States


@dataclass(frozen=True, slots=True)
class Column:
    """Of one output: for which windows, the values, and their times where the function gave them. Shape: (rows,)."""

    windows: NDArray[np.int64]
    values: NDArray[Any]
    time_ns: TimesNs | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """`failed`: the windows that have no answer, and `error` what the last of them said. `counts`: what a model
    has done since its process began."""

    columns: Mapping[str, Sequence[Column]]
    failed: Sequence[int] = ()
    error: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


class Caller(Protocol):
    def __call__(self, work: Work) -> Answers:
        """Changes `work.states` in place, as the function did."""
        ...

    def close(self) -> None: ...


class Here:
    """In this process: for functions that are trusted."""

    def __init__(self, function: StreamFunction) -> None:
        self._function = function

    def __call__(self, work: Work) -> Answers:
        return call(self._function, work)

    def close(self) -> None:
        pass


def call(function: StreamFunction, work: Work) -> Answers:
    answers = _Gathering(function)
    if function.vectorized:
        _call_once(function, work, answers)
    else:
        _call_each(function, work, answers)
    return answers.done()


def _call_each(function: StreamFunction, work: Work, answers: _Gathering) -> None:
    panes, offsets, body = work.panes, work.offsets.tolist(), function.body
    assert body is not None
    for window, (key, start_ns, end_ns) in enumerate(
        zip(panes.keys, panes.start_ns.tolist(), panes.end_ns.tolist(), strict=True)
    ):
        columns = work.record.slice(offsets[window], offsets[window + 1] - offsets[window])
        given = (columns, work.states[key] if function.takes > 1 else None, Pane(key, start_ns, end_ns))
        try:
            answers.take(body(*given[: function.takes]), window)
        except Exception as error:
            answers.fail(window, error)


def _call_once(function: StreamFunction, work: Work, answers: _Gathering) -> None:
    import pyarrow as pa

    assert function.body is not None
    windows = np.repeat(np.arange(len(work.panes.keys), dtype=np.int32), np.diff(work.offsets))
    record = work.record.append_column("window", pa.array(windows))
    try:
        answers.take_columns(function.body(*(record, work.states, work.panes)[: function.takes]), len(work.panes.keys))
    except Exception as error:
        for window in range(len(work.panes.keys)):
            answers.fail(window, error)


@dataclass(slots=True)
class _Gathering:
    function: StreamFunction
    windows: dict[str, list[int]] = field(default_factory=dict)
    values: dict[str, list[Any]] = field(default_factory=dict)
    columns: dict[str, list[Column]] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)
    error: str = ""

    def take(self, given: Any, window: int) -> None:
        """What was returned for one window. Raises: DataError, TypeError."""
        if given is None:
            return
        if not isinstance(given, Mapping):
            self._take_table(given, window)
            return
        checked = [(name, plain(self._kind(name), value)) for name, value in given.items() if value is not None]
        for name, value in checked:
            if value is not None:
                self.windows.setdefault(name, []).append(window)
                self.values.setdefault(name, []).append(value)

    def take_columns(self, given: Any, count: int) -> None:
        """What was returned for all windows at once: a mapping or a table, a row a window. Raises: DataError."""
        if given is None:
            return
        named = given.items() if isinstance(given, Mapping) else zip(given.column_names, given.columns, strict=True)
        found = {name: column_of(self._kind(name), values) for name, values in named if name not in ("key", "window")}
        for name, (values, known) in found.items():
            if len(values) != count:
                raise DataError(f"output '{name}' has {len(values)} values for {count} windows")
            self.columns.setdefault(name, []).append(Column(np.flatnonzero(known), values[known]))

    def fail(self, window: int, error: Exception) -> None:
        self.failed.append(window)
        self.error = f"{type(error).__name__}: {error}"[:500]

    def done(self) -> Answers:
        for name, values in self.values.items():
            column = Column(np.array(self.windows[name], np.int64), np.array(values, self._kind(name).dtype))
            self.columns.setdefault(name, []).append(column)
        return Answers(self.columns, self.failed, self.error)

    def _take_table(self, given: Any, window: int) -> None:
        import pyarrow as pa

        if "time" not in given.schema.names:
            raise DataError("a table that is returned has a column 'time', and one for each output")
        if given.num_rows > ROWS_MAX:
            raise DataError(f"{given.num_rows} rows of one window are more than {ROWS_MAX}")
        times = _whole(given.column("time")).cast(pa.timestamp("ns", tz="UTC")).view(pa.int64()).to_numpy()
        for name in given.schema.names:
            if name != "time":
                values, known = column_of(self._kind(name), given.column(name))
                column = Column(np.full(int(known.sum()), window, np.int64), values[known], times[known])
                self.columns.setdefault(name, []).append(column)

    def _kind(self, name: str) -> ValueKind:
        declared = self.function.outputs.get(name)
        if declared is None:
            raise DataError(f"'{name}' is not an output of {self.function.name}; it declares {_list(self.function)}")
        return declared.kind


def plain(kind: ValueKind, value: Any) -> float | int | bool | None:
    """One value of a kind; None for NaN, which says nothing. Raises: TypeError, ValueError."""
    if hasattr(value, "as_py"):
        value = value.as_py()
        if value is None:
            return None
    if kind is ValueKind.FLOAT64:
        number = float(value)
        return None if number != number else number
    if kind is ValueKind.BOOL:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{value!r} is not true or false")
        return bool(value)
    whole = operator.index(value)
    if not -(2**63) <= whole < 2**63:
        raise ValueError(f"{whole} does not fit in int64")
    return whole


def column_of(kind: ValueKind, given: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values of a kind, and which are known. Raises: DataError where they are of another kind."""
    import pyarrow as pa

    if isinstance(given, (pa.Array, pa.ChunkedArray)):
        whole = _whole(given)
        known = whole.is_valid().to_numpy(zero_copy_only=False)
        values = whole.fill_null(False if kind is ValueKind.BOOL else 0).to_numpy(zero_copy_only=False)
    else:
        values = np.atleast_1d(np.asarray(given))
        known = np.ones(len(values), np.bool_)
    allowed = {ValueKind.FLOAT64: "fiu", ValueKind.INT64: "iu", ValueKind.BOOL: "b"}[kind]
    if values.ndim != 1 or (values.dtype.kind not in allowed and len(values)):
        raise DataError(f"{values.dtype} values of shape {values.shape} where a column of {kind.label} is needed")
    values = values.astype(kind.dtype)
    if kind is ValueKind.FLOAT64:
        known = known & ~np.isnan(values)
    return values, known


def _whole(column: Any) -> Any:
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _list(function: StreamFunction) -> str:
    return ", ".join(function.outputs)
