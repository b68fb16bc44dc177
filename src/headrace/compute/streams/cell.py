"""A function that nobody vouches for, in a process of its own: it gets columns, gives columns, and can do nothing else.

    load ─► process ─ source ─► imports, fences, then the source ─► its declaration
    call ─► work ─────────────► the function ─► answers, checked here     too long, too large, dead: killed, counted

A call that is stopped fails its windows. After `stops_max` in a row the function is halted until it is loaded anew.
What the process may not: `sdk/jail.py`. What comes from it is bytes of a stranger: sizes, places and kinds are checked.
"""

from __future__ import annotations

import os
import selectors
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from headrace.compute.streams.calling import COUNTS, ROWS_MAX, Answers, Column, Work
from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigError, DataError, LimitReached, Unavailable
from headrace.sdk import columns_wire
from headrace.sdk.children import bare_environment
from headrace.sdk.stream import StreamFunction, from_description

LENGTH: Final = struct.Struct("<I")
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CellLimits:
    """`seconds` of each call, and to load; the process has one thread, so that is its processor time too.

    `open_fences`: go on where the system has no filter of system calls, and files, sockets and memory alone are barred.
    """

    seconds: float = 5.0
    load_seconds: float = 30.0
    memory_bytes: int = 512 * 1024 * 1024
    stops_max: int = 3
    open_fences: bool = False


class Cell:
    """One function's. Use from one thread at a time."""

    def __init__(
        self, source: str, name: str, limits: CellLimits | None = None, imports: tuple[str, ...] = (),
        model: bytes = b"",
    ) -> None:  # fmt: skip
        """`model` is what the source knows as `MODEL`: a file of ONNX."""
        self._limits = limits or CellLimits()
        self._columns: columns_wire.Columns = {"model": np.frombuffer(model, np.uint8)}
        self._before, self._counts = Counter[str](), Counter[str]()
        self._hello = {"source": source, "name": name, "imports": list(imports), "memory": self._limits.memory_bytes}
        self._process: subprocess.Popen[bytes] | None = None
        self._row = 0
        self._halted_because = ""
        self.stopped = 0
        self.fences: dict[str, bool] = {}
        self.function = self._load()

    @property
    def counts(self) -> Mapping[str, int]:
        """What a model did since this was made: `scored`, `incomplete`, `skipped` windows. Others count nothing."""
        return {name: self._before[name] + count for name, count in self._counts.items()} or dict(self._before)

    @property
    def halted(self) -> bool:
        return self._row >= self._limits.stops_max

    def __call__(self, work: Work) -> Answers:
        """Never raises for what the function does."""
        every = list(range(len(work.panes.keys)))
        if self.halted:
            return Answers({}, every, self._halted_because)
        try:
            if self._process is None:
                self._load()
            answers = _answers(self.function, work, self._ask(_work_bytes(work), self._limits.seconds))
            self._counts = Counter(answers.counts)
        except (DataError, LimitReached, ConfigError) as error:
            self._stop()
            self._halted_because = f"halted: it was stopped {self._row} times in a row; the last time, {error}"
            return Answers({}, every, self._halted_because if self.halted else str(error))
        self._row = 0
        return answers

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def _load(self) -> StreamFunction:
        """Raises: ConfigError for a source that does not load; Unavailable where it cannot be fenced in."""
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "headrace.compute.streams.cell_worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment(), cwd="/",
            )  # fmt: skip
            document, _ = columns_wire.decode(
                self._ask(columns_wire.encode(self._hello, self._columns), self._limits.load_seconds)
            )
            if "error" in document:
                raise ConfigError(str(document["error"])[:1_000])
            self.fences = {str(name): bool(held) for name, held in document["fences"].items()}
            if not all(self.fences.values()) and not self._limits.open_fences:
                missing = ", ".join(name for name, held in self.fences.items() if not held)
                raise Unavailable(f"functions that nobody vouches for cannot run here: this system has no {missing}")
            return from_description(document["function"], _elsewhere)
        except (DataError, KeyError, AttributeError) as error:
            self.close()
            raise ConfigError(f"the function did not load: {error}") from None
        except (ConfigError, LimitReached, Unavailable):
            self.close()
            raise

    def _stop(self) -> None:
        self._before, self._counts = self._before + self._counts, Counter()
        self.close()
        self.stopped += 1
        self._row += 1

    def _ask(self, data: bytes, seconds: float) -> bytes:
        """Raises: LimitReached where it takes too long; DataError where it ended, or says nonsense."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        pipe = _Pipe(process.stdin.fileno(), process.stdout.fileno(), time.monotonic() + seconds)
        try:
            pipe.write(LENGTH.pack(len(data)) + data)
            (length,) = LENGTH.unpack(pipe.read(LENGTH.size))
            if length > FRAME_BYTES_MAX:
                raise LimitReached(f"the function answered {length} bytes; {FRAME_BYTES_MAX} is the most")
            return pipe.read(length)
        except TimeoutError:
            raise LimitReached(f"the function was stopped: it took longer than {seconds:g} s") from None
        except (BrokenPipeError, EOFError):
            raise DataError(f"the process of the function ended ({process.wait()}): memory, or a crash") from None


class _Pipe:
    """Both ends, to a deadline."""

    def __init__(self, sink: int, source: int, deadline_s: float) -> None:
        self._sink, self._source, self._deadline_s = sink, source, deadline_s
        os.set_blocking(sink, False)
        os.set_blocking(source, False)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        with selectors.DefaultSelector() as ready:
            ready.register(self._sink, selectors.EVENT_WRITE)
            while view:
                self._wait(ready)
                with suppress(BlockingIOError):
                    view = view[os.write(self._sink, view) :]

    def read(self, count: int) -> bytes:
        found = bytearray()
        with selectors.DefaultSelector() as ready:
            ready.register(self._source, selectors.EVENT_READ)
            while len(found) < count:
                self._wait(ready)
                with suppress(BlockingIOError):
                    part = os.read(self._source, min(count - len(found), 1 << 20))
                    if not part:
                        raise EOFError
                    found += part
        return bytes(found)

    def _wait(self, ready: selectors.BaseSelector) -> None:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0 or not ready.select(left_s):
            raise TimeoutError


def _work_bytes(work: Work) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, work.record.schema) as stream:
        stream.write_batch(work.record)
    columns: columns_wire.Columns = {
        "offsets": work.offsets,
        "start_ns": work.panes.start_ns,
        "end_ns": work.panes.end_ns,
        "record": np.frombuffer(sink.getvalue(), np.uint8),
    }
    return columns_wire.encode({"keys": list(work.panes.keys), "states": work.states}, columns)


def _answers(function: StreamFunction, work: Work, data: bytes) -> Answers:
    """Raises: DataError for anything that is no answer to this work."""
    try:
        document, columns = columns_wire.decode(data)
        count = len(work.panes.keys)
        failed = [int(one) for one in document["failed"]]
        if any(not 0 <= one < count for one in failed):
            raise DataError("the function answered for windows it was not asked about")
        found: dict[str, list[Column]] = {}
        for number, name in enumerate(document["outputs"]):
            column = Column(*(columns.get(f"{number}.{part}") for part in ("windows", "values", "time_ns")))  # type: ignore[arg-type]
            _check(function, name, column, count)
            found.setdefault(name, []).append(column)
        states: Mapping[str, Any] = document["states"]
        for key in work.states:
            if not isinstance(states[key], dict):
                raise DataError("a state is a dict")
            work.states[key] = states[key]
        counts = {name: max(int(document["counts"][name]), 0) for name in COUNTS if name in document["counts"]}
        return Answers(found, failed, str(document["error"])[:500], counts)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"the function answered something that is no answer: {type(error).__name__}") from None


def _check(function: StreamFunction, name: str, column: Column, count: int) -> None:
    kind: ValueKind = function.outputs[name].kind
    shapes = {one.shape for one in (column.windows, column.values, column.time_ns) if one is not None}
    times = np.int64 if column.time_ns is None else column.time_ns.dtype
    if len(shapes) != 1 or len(column.windows.shape) != 1 or len(column.windows) > ROWS_MAX:
        raise DataError("the function answered columns that do not fit each other")
    if column.windows.dtype != np.int64 or column.values.dtype != kind.dtype or times != np.int64:
        raise DataError(f"the function answered {column.values.dtype} values for '{name}'")
    if len(column.windows) and not (column.windows.min() >= 0 and column.windows.max() < count):
        raise DataError("the function answered for windows it was not asked about")


def _elsewhere(*_: Any) -> None:
    raise ConfigError("this function runs in its cell")


def _environment() -> dict[str, str]:
    """One thread: more could not be made behind the fences."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**bare_environment(), **single, "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONDONTWRITEBYTECODE": "1"}
