"""The process of a cell: `python -m headrace.compute.streams.cell_worker`, spoken to over its pipes.

source ─► what it may import is imported ─► fences ─► the source runs for the first time ─► declaration
work ─► the function ─► answers, for ever
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Final

from headrace.compute.streams.calling import COUNTS, Answers, Panes, Work, call
from headrace.compute.streams.cell import LENGTH
from headrace.sdk import columns_wire
from headrace.sdk.jail import confine, seal
from headrace.sdk.stream import StreamFunction, described

#: What a function may import: nothing can be read from disk once the fences are up.
READY: Final = (
    "bisect", "collections", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools",
    "headrace.compute.streams.models", "headrace.sdk.stream", "heapq", "itertools", "json", "math", "numpy", "operator",
    "pyarrow", "pyarrow.compute", "random", "re", "statistics", "string", "typing", "zoneinfo",
)  # fmt: skip
#: And a source that has a model.
MODELS: Final = ("onnxruntime",)
BESIDE_BYTES: Final = 256 * 1024 * 1024


def main() -> None:
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)  # what a function prints is not an answer
    hello, given_columns = columns_wire.decode(_read(source))
    model = given_columns["model"].tobytes()
    try:
        for name in (*READY, *(MODELS if model else ()), *hello["imports"]):
            importlib.import_module(name)
        _warm()
        confine(hello["memory"], BESIDE_BYTES)
        fences = {"filter of system calls": seal()}
        function, scoring = _find(hello["source"], hello["name"], model)
        told = columns_wire.encode({"function": described(function), "fences": fences}, {})
    except BaseException as error:
        _write(sink, columns_wire.encode({"error": f"{type(error).__name__}: {error}"[:1_000]}, {}))
        os._exit(1)
    _write(sink, told)
    while True:
        given = _read(source)
        work = _work(given)
        answers = call(function, work)
        try:
            told = _told(answers, work, scoring)
        except (TypeError, ValueError, RecursionError) as error:  # a state that cannot be kept: it stays as it was
            work = _work(given)
            told = _told(
                Answers({}, range(len(work.panes.keys)), f"{type(error).__name__}: {error}"[:500]), work, scoring
            )
        _write(sink, told)


def _find(source: str, name: str, model: bytes) -> tuple[StreamFunction, Any]:
    """The one of that name, without one the only one; and what its model counts, None where it is none."""
    space: dict[str, Any] = {"__name__": "stream_function", **({"MODEL": model} if model else {})}
    exec(compile(source, f"<{name or 'source'}>", "exec"), space)
    known: dict[str, tuple[StreamFunction, Any]] = {
        one.name: (one, None) for one in space.values() if isinstance(one, StreamFunction)
    }
    if model:
        from headrace.compute.streams.models import Model

        known |= {one.function.name: (one.function, one.scoring) for one in space.values() if isinstance(one, Model)}
    if not name and len(known) == 1:
        return next(iter(known.values()))
    if name in known:
        return known[name]
    if not name:
        raise LookupError(f"say which stream function; the source has {', '.join(sorted(known)) or 'none'}")
    raise LookupError(f"the source has no stream function named '{name}'")


def _warm() -> None:
    """Threads and tables that Arrow makes when it is first used."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    table = pa.table({"a": [1, 1], "b": [1.0, 2.0]})
    table.group_by("a").aggregate([("b", "mean")])
    table.filter(pa.compute.greater(table["b"], 1)).sort_by("b")


def _work(data: bytes) -> Work:
    import pyarrow as pa

    document, columns = columns_wire.decode(data)
    with pa.ipc.open_stream(pa.py_buffer(columns["record"])) as stream:
        record = stream.read_next_batch()
    panes = Panes(document["keys"], columns["start_ns"], columns["end_ns"])
    return Work(record, columns["offsets"], panes, document["states"])


def _told(answers: Answers, work: Work, scoring: Any) -> bytes:
    columns: columns_wire.Columns = {}
    names: list[str] = []
    for name, parts in answers.columns.items():
        for one in parts:
            for part in ("windows", "values", "time_ns"):
                column = getattr(one, part)
                if column is not None:
                    columns[f"{len(names)}.{part}"] = column
            names.append(name)
    document = {"outputs": names, "failed": list(answers.failed), "error": answers.error, "states": work.states}
    document["counts"] = {} if scoring is None else {name: getattr(scoring, name) for name in COUNTS}
    return columns_wire.encode(document, columns)


def _read(source: int) -> bytes:
    (length,) = LENGTH.unpack(_exactly(source, LENGTH.size))
    return _exactly(source, length)


def _exactly(source: int, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        part = os.read(source, min(count - len(found), 1 << 20))
        if not part:
            os._exit(0)  # the platform has ended, or wants no more
        found += part
    return bytes(found)


def _write(sink: int, data: bytes) -> None:
    view = memoryview(LENGTH.pack(len(data)) + data)
    while view:
        view = view[os.write(sink, view) :]


if __name__ == "__main__":
    main()
