"""Any ONNX model as a stream function: a row of features a window, many windows a batch, within a time of its own.

file ─► is it the one that was pinned? ─► do its inputs and outputs fit what is declared? ─► StreamFunction
windows ─► features, float32 ─► batches of `batch_max` until the budget is spent ─► outputs; the rest is skipped

Needs `headrace[models]` (ONNX Runtime), which runs with one thread: in a cell where a platform runs it, for a model is
the bytes of a stranger; else in this process. Its hash is in the declaration. Source: ONNX IR, `tensor(float)` with a
first axis for the batch.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headrace.compute.streams.calling import States
from headrace.compute.streams.reducing import reduce_runs
from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigError, Unavailable
from headrace.sdk.stream import Reduce, StreamFunction, stream

if TYPE_CHECKING:
    import pyarrow as pa

Matrix = NDArray[np.float32]


@dataclass(slots=True)
class Scoring:
    """What a model did: windows scored, left out for want of a feature, and skipped for want of time."""

    scored: int = 0
    incomplete: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """A function to run, and what it counts."""

    function: StreamFunction
    scoring: Scoring


def model(
    file: Path | bytes,
    *,
    sha256: str,
    features: Sequence[tuple[str, str]],
    outputs: Mapping[str, str],
    budget_s: float | None = None,
    batch_max: int = 1024,
    clock_s: Callable[[], float] = time.monotonic,
    **declared: Any,
) -> Model:
    """`features`: of each column of the model, an input and what is made of it in a window: `("oil", "mean")`.

    `file` may be what is in it: `MODEL`, in a source that was taken up together with a model; name it then.
    Inputs are joined first (`join`, as for `stream`), so what stood before a window counts in it.
    `budget_s` is for one call, over all windows that ended at once; None is for back-tests. A window that misses a
    feature has no outputs. The rest is declared as for `stream`.
    Raises: ConfigError for a model that is another, does not load or does not fit; Unavailable without ONNX Runtime.
    """
    stem = file.stem if isinstance(file, Path) else str(declared.get("name", ""))
    session = _load(file, stem, sha256)
    columns = [(name, Reduce(what)) for name, what in features]
    _check(session, stem, len(columns), len(outputs))
    scoring, taken = Scoring(), session.get_inputs()[0].name

    def score(record: pa.RecordBatch, states: States, panes: Any) -> dict[str, NDArray[np.float64]]:
        del states
        began_s = clock_s()
        rows = _features(record, columns, len(panes.keys))
        results = np.full((len(rows), len(outputs)), np.nan)
        whole = np.flatnonzero(~np.isnan(rows).any(axis=1))
        scoring.incomplete += len(rows) - len(whole)
        for at in range(0, len(whole), batch_max):
            if budget_s is not None and clock_s() - began_s >= budget_s:
                scoring.skipped += len(whole) - at
                break
            part = whole[at : at + batch_max]
            results[part] = _run(session, taken, rows[part], len(outputs))
            scoring.scored += len(part)
        return dict(zip(outputs, results.T, strict=True))

    function = stream(
        name=declared.pop("name", stem), outputs=outputs, vectorized=True, **{"join": "latest", **declared}
    )(score)
    for name, _ in columns:
        if name not in function.inputs:
            raise ConfigError(f"model {stem}: the feature '{name}' is not one of its inputs")
    if any(one.kind is not ValueKind.FLOAT64 for one in function.outputs.values()):
        raise ConfigError(f"model {stem}: its outputs are numbers, float64")
    return Model(function, scoring)


def _load(file: Path | bytes, stem: str, sha256: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise Unavailable("models need ONNX Runtime: pip install 'headrace[models]'") from None
    try:
        data = file.read_bytes() if isinstance(file, Path) else file
    except OSError as error:
        raise ConfigError(f"model {stem} cannot be read", detail=str(error)) from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.lower():
        raise ConfigError(f"model {stem} is another than declared: its SHA-256 is {found}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class of its own for each reason, and no common one
        raise ConfigError(f"model {stem} does not load: {str(error)[:300]}") from None


def _check(session: Any, stem: str, features: int, outputs: int) -> None:
    """Declared against the model, then one row of zeros through it. Raises: ConfigError."""
    given = session.get_inputs()
    if len(given) != 1 or given[0].type != "tensor(float)":
        told = ", ".join(f"{one.name} {one.type}" for one in given)
        raise ConfigError(f"model {stem} takes {told}; one input of type tensor(float) is needed")
    shape = given[0].shape
    if len(shape) != 2 or isinstance(shape[0], int) or (isinstance(shape[1], int) and shape[1] != features):
        raise ConfigError(
            f"model {stem} takes rows of shape {shape}; {features} features are declared, "
            "and its first axis must be free for the batch"
        )
    try:
        _run(session, given[0].name, np.zeros((2, features), np.float32), outputs)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"model {stem} fails on {features} features: {str(error)[:300]}") from None


def _run(session: Any, name: str, rows: Matrix, outputs: int) -> NDArray[np.float64]:
    """Shape: (rows, outputs). Several outputs of the model are put side by side. Raises: ConfigError."""
    found = session.run(None, {name: rows})
    numbers = [part for part in found if isinstance(part, np.ndarray) and part.dtype.kind in "fiub"]
    parts = [part.reshape(len(rows), -1) for part in numbers]
    columns = sum(part.shape[1] for part in parts)
    if len(parts) != len(found) or columns != outputs:
        raise ConfigError(f"the model gives {columns} numbers a row; {outputs} outputs are declared")
    return np.concatenate(parts, axis=1).astype(np.float64)


def _features(record: pa.RecordBatch, features: Sequence[tuple[str, Reduce]], count: int) -> Matrix:
    """Shape: (windows, features); NaN where an input has no value in a window."""
    window = record["window"].to_numpy()
    rows = np.full((count, len(features)), np.nan, np.float32)
    for place, (name, what) in enumerate(features):
        column = record[name]
        known = column.is_valid().to_numpy(zero_copy_only=False)
        values = column.drop_null().cast("float64").to_numpy()
        lengths = np.bincount(window[known], minlength=count)
        filled = np.flatnonzero(lengths)
        if len(filled):
            rows[filled, place] = reduce_runs(what, values, np.append(0, np.cumsum(lengths[filled])))
    return rows
