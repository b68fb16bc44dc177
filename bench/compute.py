"""What expressions cost: samples through a program on 10,000 instances, beside numexpr and two of CEL. And alarms.

    polled      a, b and limit arrive together, a sample an instance a call       a * 1.8 + b > limit
    scattered   the same, each sample at a moment of its own                      three results for three samples
    mean        a 10 min mean over samples of 1 Hz, warmed up for 11 min
    history     one instance, a day of 1 Hz, as back-filling does

CPU time, medians. The peers get values without time, quality or unit: numexpr whole columns of the same length, CEL one
evaluation a row (common-expression-language: Rust; cel-python: Python). They live in `.venv-bench` (bench/peers.lock)
and run there in a process each, in turns with ours; those that are not installed are left out.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bench import alarms, machines, rule_engines, rules, streams
from bench.harness import Measure, cpu_s
from headrace.model.batch import ValueKind
from headrace.model.expressions import Evaluator, Samples, Series, Variable, compile, evaluate
from headrace.model.time import DAY_NS, SECOND_NS

INSTANCES: Final = 10_000
RUNS: Final = 100
WARM_S: Final = 660
SIMPLE: Final = "a * 1.8 + b > limit"
SCOPE: Final = {name: Variable(ValueKind.FLOAT64) for name in ("a", "b", "limit")}
NAMES: Final = ("a", "b", "limit")
PEERS: Final = {
    "numexpr": "numexpr, one thread, 10,000 rows a call: values alone",
    "cel": "common-expression-language (Rust), a row a call",
    "celpy": "cel-python, a row a call",
}
ROOT: Final = Path(__file__).parents[1]


def measures(_: Sequence[str] = ()) -> Iterator[Measure]:
    random = np.random.default_rng(1)
    rates: list[float] = []
    found: dict[str, float | None] = {}
    for name in PEERS:
        rates.append(_rate(SIMPLE, random, 0))
        found[name] = _peer(name)
    polled = statistics.median(rates)
    yield Measure(f"{SIMPLE}, polled together, 10,000 instances", polled, "samples/CPU-s", target=">= 10000000")
    for name, what in PEERS.items():
        if found[name] is not None:
            yield Measure(f"… beside {name}", polled, "samples/CPU-s", found[name], what)
    yield Measure("… each sample at a moment of its own", _rate(SIMPLE, random, SECOND_NS // 2), "samples/CPU-s")
    yield Measure("… a call of 100 instances", _rate(SIMPLE, random, 0, instances=100), "samples/CPU-s")
    for text, warm_s in (
        ("mean(a, 10min)", WARM_S), ("max(a, 10min)", WARM_S), ("held(a > 0.5, 1min)", 120), ("rate(a)", 10),
    ):  # fmt: skip
        yield Measure(f"{text}, 10,000 instances at 1 Hz", _rate(text, random, 0, ("a",), warm_s), "samples/CPU-s")
    yield Measure("worst call of 10,000 samples, mean(a, 10min), all through a block", _worst_ms(random), "CPU ms")
    yield Measure("memory of mean(a, 10min), each instance at 1 Hz", _memory(random), "B a sample kept")
    for text in (SIMPLE, "mean(a, 10min)", "max(a, 10min)"):
        yield Measure(f"{text}, a day of 1 Hz of one instance at once", _history(text, random), "samples/CPU-s")
    yield Measure("compile a program of nine parts", _compile_us(), "us CPU")
    for module in (alarms, rules, machines, streams, rule_engines):
        yield from module.measures()


def _calls(
    random: np.random.Generator, names: Sequence[str], spread_ns: int, instances: int
) -> Callable[[int], dict[str, Samples]]:
    """Samples of one second; `spread_ns`: how far after the second each may be."""
    whose, quality = np.arange(instances), np.zeros(instances, np.uint32)

    def call(second: int) -> dict[str, Samples]:
        at_ns = np.full(instances, second * SECOND_NS, np.int64)
        return {
            name: Samples(
                whose, at_ns + random.integers(0, spread_ns, instances) if spread_ns else at_ns,
                random.random(instances), quality,
            )
            for name in names
        }  # fmt: skip

    return call


def _rate(
    text: str,
    random: np.random.Generator,
    spread_ns: int,
    names: Sequence[str] = NAMES,
    warm_s: int = 5,
    instances: int = INSTANCES,
) -> float:
    evaluator = Evaluator(compile(text, SCOPE), instances)
    call, spent = _calls(random, names, spread_ns, instances), []
    for second in range(warm_s + RUNS):
        samples = call(second)
        began_s = cpu_s()
        evaluator.take(samples)
        spent.append(cpu_s() - began_s)
    return len(names) * instances / statistics.median(spent[warm_s:])


def _worst_ms(random: np.random.Generator) -> float:
    evaluator = Evaluator(compile("mean(a, 10min)", SCOPE), INSTANCES)
    call, spent = _calls(random, ("a",), 0, INSTANCES), []
    for second in range(2 * WARM_S):
        samples = call(second)
        began_s = cpu_s()
        evaluator.take(samples)
        spent.append(cpu_s() - began_s)
    return 1e3 * max(spent[WARM_S:])


def _memory(random: np.random.Generator) -> float:
    evaluator = Evaluator(compile("mean(a, 10min)", SCOPE), 1_000)
    call = _calls(random, ("a",), 0, 1_000)
    for second in range(WARM_S):
        evaluator.take(call(second))
    return sum(column.nbytes for column in evaluator.state().values()) / (600 * 1_000)


def _history(text: str, random: np.random.Generator) -> float:
    count = DAY_NS // SECOND_NS
    times, quality = np.arange(count) * SECOND_NS, np.zeros(count, np.uint32)
    program = compile(text, SCOPE)
    inputs = {name: Series(times, random.random(count), quality) for name in program.inputs}
    return _per_s(lambda: evaluate(program, inputs), len(inputs) * count, 7)


def _peer(name: str) -> float | None:
    """Samples a CPU second of one peer, in a process of its own; None where it is not installed."""
    own = ROOT / ".venv-bench/bin/python"
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    done = subprocess.run(
        [str(own) if own.exists() else sys.executable, "-m", "bench.compute", name],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False,
    )  # fmt: skip
    return float(done.stdout) if done.returncode == 0 else None


def _numexpr() -> float:
    import numexpr

    numexpr.set_num_threads(1)
    random = np.random.default_rng(1)
    columns = {name: random.random(INSTANCES) for name in NAMES}
    return _per_s(lambda: numexpr.evaluate(SIMPLE, columns), 3 * INSTANCES, RUNS)


def _cel() -> float:
    import cel

    program, row = cel.compile(SIMPLE), {"a": 20.0, "b": 32.0, "limit": 60.0}
    return _per_s(lambda: [program.execute(row) for _ in range(5_000)], 3 * 5_000, 5)


def _celpy() -> float:
    import celpy
    from celpy import celtypes

    environment = celpy.Environment()
    program = environment.program(environment.compile(SIMPLE))
    row = {"a": celtypes.DoubleType(20.0), "b": celtypes.DoubleType(32.0), "limit": celtypes.DoubleType(60.0)}
    return _per_s(lambda: [program.evaluate(row) for _ in range(500)], 3 * 500, 5)


def _compile_us() -> float:
    text = "mean(a, 10min) - b > 15 and (limit < 5 or a + b == 3)"
    return 1e6 / _per_s(lambda: [compile(text, SCOPE) for _ in range(50)], 50, 9)


def _per_s(work: Callable[[], object], count: int, runs: int) -> float:
    work()
    gc.collect()
    spent = []
    for _ in range(runs):
        began_s = cpu_s()
        work()
        spent.append(cpu_s() - began_s)
    return count / statistics.median(spent)


if __name__ == "__main__":
    try:
        print({"numexpr": _numexpr, "cel": _cel, "celpy": _celpy}[sys.argv[1]]())
    except ImportError:
        sys.exit(1)
