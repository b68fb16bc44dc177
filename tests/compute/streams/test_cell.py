"""What nobody vouches for: a function in its cell works as here; one that attacks is stopped, counted, others go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compute.streams.test_windows import POINTS, T0, batches, outcome

from headrace.compute.streams.cell import Cell, CellLimits
from headrace.compute.streams.engine import Engine
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, LimitReached
from headrace.model.time import SECOND_NS

HEAD = """
import os, math
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from headrace.sdk.stream import stream

@stream(name="it", inputs={"x": "x [Cel]"}, outputs={"z": "float64", "n": "int64"}, window="10s"%s)
def it(columns, state, pane):
"""
LIMITS = CellLimits(seconds=4.0, memory_bytes=128 * 1024 * 1024)
GOOD = (
    "    state['n'] = state.get('n', 0) + columns.num_rows\n    return {'z': pc.mean(columns['x']), 'n': state['n']}\n"
)


def cell(body: str, more: str = "", limits: CellLimits = LIMITS) -> Cell:
    return Cell(HEAD % more + body, "it", limits)


@pytest.fixture
def made() -> Iterator[list[Cell]]:
    cells: list[Cell] = []
    yield cells
    for one in cells:
        one.close()


@pytest.fixture(scope="module")
def beside() -> Iterator[Cell]:
    """A good one that runs while others beside it are attacked."""
    one = cell(GOOD)
    yield one
    one.close()


def run(one: Cell, seconds: int = 60) -> tuple[dict[tuple[str, int], Any], Engine]:
    engine, found = Engine(one.function, one), {}
    engine.bind(POINTS)
    for at in range(0, seconds, 5):
        outcome(engine.take(batches([(handle, at, float(handle + at)) for handle in (0, 2)])), found)
    return found, engine


def test_a_cell_gives_what_the_function_gives_here(made: list[Cell]) -> None:
    one = cell(GOOD)
    made.append(one)
    space: dict[str, Any] = {}
    exec(HEAD % "" + GOOD, space)
    found, _ = run(one)
    engine, here = Engine(space["it"]), {}
    engine.bind(POINTS)
    for at in range(0, 60, 5):
        outcome(engine.take(batches([(handle, at, float(handle + at)) for handle in (0, 2)])), here)
    assert found == here and len(found) == 20 and one.stopped == 0
    assert all(one.fences.values())


def test_a_vectorised_function_with_arrow_threads_works_in_a_cell(made: list[Cell]) -> None:
    body = """
    table = pa.Table.from_batches([columns]).group_by("window").aggregate([("x", "mean")]).sort_by("window")
    return {"z": table["x_mean"]}
"""
    made.append(cell(body, ", vectorized=True"))
    found, engine = run(made[0])
    assert len(found) == 10 and engine.error == ""


TARGET = "/the/target"  # stands for a path of the test's own
ATTACKS = {
    "opens a file": "    open('/etc/passwd').read()",
    "writes a file": f"    open('{TARGET}', 'w').write('x')",
    "opens by number": "    os.open('/etc/passwd', os.O_RDONLY)",
    "lists a folder": "    os.listdir('/')",
    "asks about a file": "    os.stat('/etc/passwd')",
    "removes a file": f"    os.unlink('{TARGET}')",
    "makes a folder": f"    os.mkdir('{TARGET}')",
    "opens a socket": "    import socket; socket.socket()",
    "opens a socket below Python": "    import ctypes; 1 / (ctypes.CDLL(None).socket(2, 1, 0) + 1)",
    "forks": "    os.fork()",
    "starts a program": "    import subprocess; subprocess.run(['/bin/true'])",
    "executes": "    os.execv('/bin/true', ['true'])",
    "signals its parent": "    os.kill(os.getppid(), 0)",
    "signals all": "    os.kill(-1, 0)",
    "starts a thread": "    import threading; threading.Thread(target=print).start()",
    "raises its limits": "    import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
    "imports from disk": "    import wave",
    "reads the environment": "    os.environ['HEADRACE_SECRET']",
    "raises": "    raise ValueError('no')",
    "leaves by an exception": "    raise KeyError",
    "answers what was not declared": "    return {'other': 1.0}",
    "answers an object": "    return object()",
    "answers text": "    return {'z': 'warm'}",
    "keeps a set": "    state['s'] = {1}",
}

REASONS = {
    "opens a socket below Python": "ZeroDivision",
    "starts a thread": "can't start new thread",
    "raises its limits": "not allowed",
    "imports from disk": "ModuleNotFound",
    "reads the environment": "KeyError",
    "raises": "no",
    "leaves by an exception": "KeyError",
    "answers what was not declared": "not an output",
    "answers an object": "AttributeError",
    "answers text": "warm",
    "keeps a set": "a set cannot be kept",
}


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_an_attack_fails_and_leaves_nothing(
    attack: str, made: list[Cell], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its windows are bad samples. Signals are 0: should the fence fall, nobody is hurt."""
    monkeypatch.setenv("HEADRACE_SECRET", "hunter2")
    target = tmp_path / "escape"
    code = ATTACKS[attack].replace(TARGET, str(target))
    one = cell(f"{code}\n    return {{'z': 1.0}}\n", limits=CellLimits(seconds=4.0, stops_max=1))
    made.append(one)
    found, engine = run(one, 15)
    assert {quality for _, quality in found.values()} == {q.BAD_CONFIGURATION_ERROR}, engine.error
    assert engine.counters.failed == engine.counters.windows == 2 and one.stopped == 0
    assert REASONS.get(attack, "Operation not permitted") in engine.error
    assert not target.exists()


KILLED = {
    "loops for ever": "    while True: pass",
    "sleeps": "    import time; time.sleep(60)",
    "eats memory": "    state['x'] = np.ones(10**9)",
    "eats memory in small bites": "    held = []\n    while True: held.append('x' * 100_000)",
    "exits": "    os._exit(0)",
    "crashes": "    import ctypes; ctypes.string_at(0)",
    "answers by itself": "    os.write(4, b'\\x05\\0\\0\\0hello'); os._exit(0)",
    "answers a flood": "    os.write(4, b'\\xff' * 60_000); os._exit(0)",
    "hangs up": "    os.close(4)",
    "answers too much": "    state['x'] = np.zeros(30_000_000)\n    return {'z': 1.0}",
}


@pytest.mark.parametrize("attack", list(KILLED))
def test_what_hangs_or_grows_is_stopped_counted_and_halted(attack: str, made: list[Cell], beside: Cell) -> None:
    limits = CellLimits(seconds=1.0, memory_bytes=256 * 1024 * 1024, stops_max=2)
    one = cell(f"{KILLED[attack]}\n", limits=limits)
    made.append(one)
    found, engine = run(one, 45)
    assert {quality for _, quality in found.values()} == {q.BAD_CONFIGURATION_ERROR}
    if attack.startswith("eats memory") and not one.halted:
        # Python said that there is no more memory, in time; on a busy machine, once in time and once not
        assert "MemoryError" in engine.error or one.stopped == 1
    else:
        assert one.halted and one.stopped == 2 and "halted" in engine.error
    found, engine = run(beside)
    assert len(found) == 20 and beside.stopped == 0


def test_one_bad_window_does_not_cost_the_state_of_the_others(made: list[Cell]) -> None:
    body = GOOD.replace("    return", "    if pane.key == 'a1' and state['n'] > 4: raise ValueError('a1')\n    return")
    made.append(cell(body))
    found, engine = run(made[0])
    good = [path for (path, _), (_, quality) in found.items() if quality == q.GOOD]
    assert good.count("a0/n") == 5 and 0 < good.count("a1/n") < 5 and made[0].stopped == 0 and "a1" in engine.error


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "Error"),
        ("open('/etc/passwd')", "Error"),
        ("while True: pass", "longer"),
        ("x = 1", "no stream function named"),
        ("def (", "SyntaxError"),
        ("import os; os._exit(0)", "ended"),
        (
            "from headrace.sdk.stream import stream\nit = stream(inputs={}, outputs={}, window='1s', name='a')(print)",
            "inputs",
        ),
    ],
)
def test_a_source_is_in_its_cell_before_its_first_line_runs(source: str, said: str) -> None:
    with pytest.raises((ConfigError, LimitReached), match=said):
        Cell(source, "it", CellLimits(load_seconds=3.0 if said == "longer" else 60.0))


def test_the_declaration_comes_out_of_the_cell(made: list[Cell]) -> None:
    made.append(cell(GOOD, ", lateness='2s', by='asset', version='7'"))
    function = made[0].function
    assert (function.version, function.lateness_ns, function.takes) == ("7", 2 * SECOND_NS, 3)
    assert function.inputs["x"].unit == "Cel" and function.outputs["n"].kind is ValueKind.INT64
    with pytest.raises(ConfigError, match="cell"):
        function(1, 2, 3)


def test_samples_of_all_kinds_reach_a_cell(made: list[Cell]) -> None:
    body = "    return {'n': columns['x'][0].as_py(), 'z': float(pane.end_ns - pane.start_ns)}\n"
    made.append(cell(body.replace("columns['x']", "columns['x']")))
    engine = Engine(made[0].function, made[0])
    engine.bind({0: "a0/x"})
    engine.take([Batch.of(ValueKind.INT64, [0], [T0], np.array([5]))])
    found = outcome(engine.advance(T0 + 60 * SECOND_NS))
    assert engine.error.startswith("TypeError") and len(found) == 2  # 5.0 is a float here: x is declared float64
