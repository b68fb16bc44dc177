"""What stream functions cost: samples through 10 s windows by asset, on one core, beside two streaming libraries.

    reduced      mean, min, max and standard deviation, without Python for each window
    function     one Python function for each window, over Arrow columns; vectorised: one call for all
    cell         the same function in a process of its own (processor time of both)
    joined       two inputs of an asset, as-of
    back-test    an hour of history through the function: reading, decoding and windows

100,000 samples/s of 10,000 assets for a minute, but the peers, which get 1,000 assets for as long as is fair. CPU time,
medians. The peers live in `.venv-bench` (bench/peers.lock): Bytewax has tumbling windows by event time; River has no
windows, so its rolling mean over 10 s of each key stands in. Those that are not installed are left out.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.harness import Measure, cpu_s

if TYPE_CHECKING:
    from headrace.model.batch import Batch
    from headrace.sdk.stream import StreamFunction

SECOND: Final = 1_000_000_000
T0: Final = 1_700_000_000 * SECOND // (3600 * SECOND) * 3600 * SECOND
ASSETS: Final = 10_000
ROOT: Final = Path(__file__).parents[1]
PEERS: Final = {
    "bytewax": "Bytewax, fold_window, 10 s tumbling by event time, mean alone",
    "river": "River, rolling mean over 10 s by key",
}
SOURCE: Final = """
from headrace.sdk.stream import stream

@stream(name="mean", inputs={"x": "x"}, outputs={"mean": "float64"}, window="10s", lateness="2s")
def mean(columns):
    return {"mean": columns["x"].to_numpy().mean()}
"""


def measures(_: Sequence[str] = ()) -> Iterator[Measure]:
    from headrace.sdk.stream import reduced

    told = {what: ("x", what, "") for what in ("mean", "min", "max", "std")}
    function = reduced("m", told, inputs={"x": "x"}, window="10s", lateness="2s")
    rates: list[float] = []
    found: dict[str, float | None] = {}
    for name in PEERS:
        rates.append(_rate(function))
        found[name] = _peer(name)
    rate = statistics.median(rates)
    yield Measure("10 s windows by asset, four aggregates", rate, "samples/CPU-s", target=">= 200000")
    for name, what in PEERS.items():
        if found[name] is not None:
            yield Measure(f"… beside {name}", rate, "samples/CPU-s", found[name], what)
    yield Measure("… in calls of a tenth of a second", _rate(function, calls=10), "samples/CPU-s", target=">= 200000")
    yield Measure("… 1,000 assets at 1 Hz", _rate(function, assets=1_000, hz=1), "samples/CPU-s", target=">= 200000")
    wide = reduced("m", told, inputs={"x": "x"}, window=_sliding(), lateness="2s", samples_max=10_000_000)
    yield Measure("1 min windows every 10 s, four aggregates", _rate(wide), "samples/CPU-s", target=">= 200000")
    yield Measure("a Python function for each window", _rate(_declared(SOURCE, "mean")), "samples/CPU-s")
    yield Measure("… for all windows at once", _rate(_declared(_vectorised(), "mean")), "samples/CPU-s")
    yield Measure("… for each window, in a cell", _in_a_cell(), "samples/CPU-s")
    yield Measure(
        "two inputs joined as-of, for all windows at once", _rate(_declared(_joined(), "mean")), "samples/CPU-s"
    )
    yield Measure("back-test over an hour of history, 1,000 points at 1 Hz", _backtest(function), "samples/s")


def _rate(function: StreamFunction, *, assets: int = ASSETS, hz: int = 10, calls: int = 1, caller: Any = None) -> float:
    from headrace.compute.streams.engine import Engine

    def once() -> float:
        engine = Engine(function, caller)
        engine.bind({number: f"a{number // 2}/{'xy'[number % 2]}" for number in range(2 * assets)})
        spent, count, joined = 0.0, 0, len(function.inputs) > 1
        for batch in _minute(assets, hz, calls, joined):
            began_s = cpu_s()
            engine.take([batch])
            spent += cpu_s() - began_s
            count += len(batch)
        return count / spent

    return statistics.median(once() for _ in range(3))


def _minute(assets: int, hz: int, calls: int, joined: bool) -> Iterator[Batch]:
    """Each sample up to two seconds late. `joined`: every other one is of the second input."""
    import numpy as np

    from headrace.model.batch import Batch, ValueKind

    random = np.random.default_rng(1)
    for call in range(60 * calls):
        count = assets * hz // calls
        times = T0 + (call * SECOND + random.integers(-SECOND, SECOND, count)) // calls
        handles = 2 * random.permutation(np.arange(count) % assets).astype(np.uint32)
        if joined:
            handles[::2] += 1
        yield Batch.of(ValueKind.FLOAT64, handles, times, random.random(count))


def _sliding() -> Any:
    from headrace.sdk.stream import sliding

    return sliding("1min", every="10s")


def _declared(source: str, name: str) -> StreamFunction:
    space: dict[str, Any] = {}
    exec(source, space)
    found: StreamFunction = space[name]
    return found


def _vectorised() -> str:
    head = SOURCE[: SOURCE.index("def mean")].replace('lateness="2s"', 'lateness="2s", vectorized=True')
    body = 'table.group_by("window").aggregate([("x", "mean")]).sort_by("window")["x_mean"]'
    lines = ["def mean(columns):", "    table = pa.Table.from_batches([columns])", f"    return {{'mean': {body}}}", ""]
    return f"import pyarrow as pa\n{head}" + "\n".join(lines)


def _joined() -> str:
    text = _vectorised().replace('{"x": "x"}', '{"x": "x", "y": "y"}')
    return text.replace('lateness="2s"', 'lateness="2s", join="asof", tolerance="5s"')


def _in_a_cell() -> float:
    from headrace.compute.streams.cell import Cell

    cell = Cell(SOURCE, "mean")
    began_s, rate = resource.getrusage(resource.RUSAGE_CHILDREN), _rate(cell.function, caller=cell)
    cell.close()
    ended_s = resource.getrusage(resource.RUSAGE_CHILDREN)
    samples = 3 * 60 * 10 * ASSETS
    child_s = ended_s.ru_utime + ended_s.ru_stime - began_s.ru_utime - began_s.ru_stime
    return samples / (samples / rate + child_s)


def _backtest(function: StreamFunction) -> float:
    import time

    import numpy as np

    from headrace.compute.streams.stretch import run_over
    from headrace.history.settings import HistorySettings
    from headrace.history.store import open_store
    from headrace.model.batch import Batch, ValueKind
    from headrace.sdk.clock import SystemClock

    async def measure() -> float:
        with tempfile.TemporaryDirectory() as folder:
            store = await open_store(folder, HistorySettings(), SystemClock())
            handles = await store.register([f"a{number}/x" for number in range(1_000)])
            random = np.random.default_rng(1)
            for minute in range(60):
                at = T0 + (minute * 60 + np.repeat(np.arange(60), 1_000)) * SECOND
                await store.append([Batch.of(ValueKind.FLOAT64, np.tile(handles, 60), at, random.random(60_000))])
            await store.flush()
            rates = []
            for _ in range(3):
                began_s = time.perf_counter()
                found = await run_over(function, store, T0, T0 + 3600 * SECOND)
                rates.append(found.counters.taken / (time.perf_counter() - began_s))
            await store.close()
            return statistics.median(rates)

    return asyncio.run(measure())


def _peer(name: str) -> float | None:
    """Samples a CPU second of one peer, in a process of its own; None where it is not installed."""
    own = ROOT / ".venv-bench/bin/python"
    done = subprocess.run(
        [str(own) if own.exists() else sys.executable, "-m", "bench.streams", name],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    return float(done.stdout) if done.returncode == 0 else None


def _bytewax() -> float:
    from datetime import UTC, datetime, timedelta

    import bytewax.operators as op
    import bytewax.operators.windowing as windowing
    from bytewax.dataflow import Dataflow
    from bytewax.operators.windowing import EventClock, TumblingWindower
    from bytewax.testing import TestingSink, TestingSource, run_main

    began = datetime.fromtimestamp(T0 / SECOND, UTC)
    times = [began + timedelta(seconds=second) for second in range(60)]
    items = [(f"a{key}", (at, 1.0)) for at in times for key in range(1_000)]
    flow, out = Dataflow("mean"), []
    stream = op.input("in", flow, TestingSource(items, batch_size=1_000))
    clock = EventClock(lambda item: item[0], wait_for_system_duration=timedelta(seconds=2))
    windower = TumblingWindower(align_to=began, length=timedelta(seconds=10))
    folded = windowing.fold_window(
        "fold", stream, clock, windower, lambda: (0.0, 0), lambda sums, item: (sums[0] + item[1], sums[1] + 1),
        lambda one, other: (one[0] + other[0], one[1] + other[1]),
    )  # fmt: skip
    op.output("out", folded.down, TestingSink(out))
    return _per_s(lambda: run_main(flow), len(items))


def _river() -> float:
    from datetime import UTC, datetime, timedelta

    from river import stats, utils

    began = datetime.fromtimestamp(T0 / SECOND, UTC).replace(tzinfo=None)  # River compares with its own
    rolling = {key: utils.TimeRolling(stats.Mean, period=timedelta(seconds=10)) for key in range(1_000)}

    def work() -> None:
        for second in range(60):
            at = began + timedelta(seconds=second)
            for one in rolling.values():
                one.update(1.0, t=at)

    return _per_s(work, 60_000)


def _per_s(work: Callable[[], object], count: int) -> float:
    began_s = cpu_s()
    work()
    return count / (cpu_s() - began_s)


if __name__ == "__main__":
    try:
        print({"bytewax": _bytewax, "river": _river}[sys.argv[1]]())
    except ImportError:
        sys.exit(1)
