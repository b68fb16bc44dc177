"""Versions: a shadow beside the active one and how it differs, promoted, rolled back with its old state."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.compute.streams.test_windows import OVER, POINTS, T0, batches

from headrace.compute.streams.comparing import Aside, compare
from headrace.compute.streams.engine import Engine
from headrace.compute.streams.register import Register, Stage
from headrace.model.errors import Conflict, DataError, NotFound
from headrace.sdk.stream import reduced

NOW = T0


def stages(register: Register) -> dict[str, str]:
    return {one.version: one.stage.value for one in register.versions()}


def test_the_life_of_versions(tmp_path: Path) -> None:
    register = Register(tmp_path / "streams")
    one = register.add("wear", "1", "a = 1", who="mei", now_ns=NOW)
    assert one.stage is Stage.SHADOW and register.source(one) == "a = 1"
    assert register.add("wear", "1", "a = 1", who="mei", now_ns=NOW) == one
    with pytest.raises(Conflict, match="new version"):
        register.add("wear", "1", "a = 2", who="mei", now_ns=NOW)
    register.promote("wear", "1", who="mei", now_ns=NOW)
    with pytest.raises(NotFound, match="before"):
        register.roll_back("wear", who="mei", now_ns=NOW)
    register.state_file(one).write_bytes(b"old state")
    register.add("wear", "2", "a = 2", who="jun", now_ns=NOW)
    register.promote("wear", "2", who="jun", now_ns=NOW, why="better")
    assert stages(register) == {"1": "retired", "2": "active"}
    with pytest.raises(Conflict, match="already"):
        register.promote("wear", "2", who="jun", now_ns=NOW)
    again = Register(tmp_path / "streams")  # another process, after a restart
    assert again.roll_back("wear", who="mei", now_ns=NOW, why="too many alarms").version == "1"
    assert stages(register) == {"1": "active", "2": "retired"}
    assert register.state_file(one).read_bytes() == b"old state"
    register.retire("wear", "1", who="mei", now_ns=NOW)
    assert register.active("wear") is None
    assert [(one["who"], one["act"], one["version"]) for one in register.journal()] == [
        ("mei", "add", "1"), ("mei", "promote", "1"), ("jun", "add", "2"), ("jun", "promote", "2"),
        ("mei", "roll back", "1"), ("mei", "retire", "1"),
    ]  # fmt: skip
    with pytest.raises(NotFound, match="known: 1, 2"):
        register.promote("wear", "3", who="mei", now_ns=NOW)


@pytest.mark.parametrize("name", ["../up", "", "a/b", "/etc", ".hidden", "a\n"])
def test_a_name_is_no_way_out_of_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        Register(tmp_path / "streams").add(name, "1", "a = 1", who="mei", now_ns=NOW)
    with pytest.raises(DataError):
        Register(tmp_path / "streams").add("a", name, "a = 1", who="mei", now_ns=NOW)
    assert not (tmp_path / "streams").exists()


def test_what_was_changed_on_disk_does_not_run(tmp_path: Path) -> None:
    register = Register(tmp_path)
    one = register.add("wear", "1", "a = 1", who="mei", now_ns=NOW)
    (tmp_path / "wear" / "1.py").write_text("a = 3")
    with pytest.raises(DataError, match="changed on disk"):
        register.source(one)
    (tmp_path / "register.json").write_text(json.dumps([{"name": "wear"}]))
    with pytest.raises(DataError, match="damaged"):
        register.versions()


async def test_a_shadow_is_compared_with_the_active_one() -> None:
    tables = []
    for version, what in (("1", "mean"), ("1", "mean"), ("2", "max")):
        aside = Aside()
        engine = Engine(
            reduced("m", {"m": ("x", what, "")}, inputs={"x": "x"}, window="10s", version=version, lateness="10min")
        )
        engine.bind(POINTS)
        samples = [(0, second, float(second % 10 == 7)) for second in range(60)]
        samples += [(2, 65, 4.0)] if version == "2" else [(4, 3, 1.0)]
        await aside.put(engine.take(batches(samples)))
        await aside.put(engine.advance(OVER))
        tables.append(aside.table())
    found = compare(tables[0], tables[1])
    assert (found.both, found.same, found.missing, found.more, found.worst) == (7, 7, 0, 0, 0.0)
    found = compare(tables[0], tables[2])
    assert (found.both, found.same, found.missing, found.more) == (6, 0, 1, 1)
    assert found.worst == pytest.approx(0.9) and found.point == "a0/m" and found.both == 6


async def test_what_is_held_of_a_shadow_is_bounded() -> None:
    aside = Aside(kept=100)
    engine = Engine(reduced("m", {"m": ("x", "last", "")}, inputs={"x": "x"}, window="1s"))
    engine.bind(POINTS)
    for second in range(500):
        await aside.put(engine.take(batches([(0, second, float(second))])))
    values = aside.table()["value"].to_numpy()
    assert len(values) == 100 and np.array_equal(values, np.arange(399.0, 499.0))
