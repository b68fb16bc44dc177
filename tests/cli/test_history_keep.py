"""`headrace history check|repair|backup|restore|backups` on a home where no platform runs; with one: tests/e2e."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import numpy as np
import pytest
from tests.cli.shell import headrace, refused

from headrace.history import HistorySettings, open_store
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.clock import SystemClock
from headrace.sdk.testing.store import BASE_NS


@pytest.fixture
def home(tmp_path: Path) -> Path:
    async def fill() -> None:
        store = await open_store(tmp_path / "home" / "history", HistorySettings(), SystemClock())
        await store.register(["press/oil", "press/strokes"])
        noise = np.random.default_rng(2).normal(size=4000)
        await store.append([Batch.of(ValueKind.FLOAT64, np.zeros(4000), BASE_NS + np.arange(4000) * 10**8, noise)])
        await store.flush()
        await store.append([Batch.of(ValueKind.INT64, [1], BASE_NS, 7)])
        await store.close()

    (tmp_path / "home").mkdir()
    asyncio.run(fill())
    return tmp_path / "home"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


def break_a_segment(home: Path) -> Path:
    (segment,) = (home / "history" / "seg").iterdir()
    data = bytearray(segment.read_bytes())
    data[len(data) // 4] ^= 1
    segment.write_bytes(data)
    return segment


def test_a_sound_history_is_checked(home: Path) -> None:
    said = headrace("history", "check", "--home", home)
    assert said.status == 0 and said.err == ""
    assert said.out.startswith("sound: 1 segments") and "4001 samples" in said.out
    found = headrace("history", "check", "--home", home, "--json").json
    assert found["sound"] is True and found["points"] == 2 and found["findings"] == []


def test_damage_is_told_with_status_1_and_repaired_on_demand(home: Path) -> None:
    segment = break_a_segment(home)
    said = headrace("history", "check", "--home", home)
    assert said.status == 1
    assert f"✗ history/seg/{segment.name}" in said.out or f"✗ seg/{segment.name}" in said.out
    assert "DAMAGED" in said.out and "headrace history repair" in said.out
    (finding,) = headrace("history", "check", "--home", home, "--json").json["findings"]
    assert finding["samples"] == 4000
    told = headrace("history", "repair", "--home", home)
    assert told.status == 0 and "would: " in told.out and "press/oil" in told.out and "--apply" in told.err
    assert segment.exists()
    done = headrace("history", "repair", "--home", home, "--apply", "--json").json
    assert done["applied"] and done["losses"][0]["samples"] == 4000
    assert (Path(done["quarantine"]) / segment.name).exists()
    assert "nothing is damaged" in headrace("history", "repair", "--home", home).out
    assert headrace("history", "check", "--home", home).status == 0


def test_a_history_goes_to_a_backup_and_comes_back(home: Path, target: Path, tmp_path: Path) -> None:
    said = headrace("history", "backup", target, "--home", home)
    assert said.status == 0 and "2 points, 4001 samples" in said.out
    made = headrace("history", "backup", target, "--home", home, "--json", "--keep", "1").json
    assert made["reused_bytes"] > 0 and len(made["pruned"]) == 1
    (listed,) = headrace("history", "backups", target, "--json").json["backups"]
    assert listed["backup"] == made["name"] and listed["samples"] == 4001
    assert made["name"] in headrace("history", "backups", target).out
    said = headrace("history", "restore", target, "--home", tmp_path / "new", "--json")
    assert said.json["samples"] == 4001 and said.json["points"] == 2
    assert said.json["oldest"].startswith("2026-") and said.json["notes"] == []
    assert headrace("history", "check", "--home", tmp_path / "new").status == 0
    assert (
        "4001 samples" in headrace("history", "restore", target, "--home", tmp_path / "b", "--backup", made["name"]).out
    )


def test_what_cannot_be_is_refused_with_one_line(home: Path, target: Path, tmp_path: Path) -> None:
    assert "no history in" in refused("history", "check", "--home", tmp_path / "nowhere")
    assert "say where to" in refused("history", "backup", "--home", home)
    assert "create the folder" in refused("history", "backup", tmp_path / "unmounted", "--home", home)
    assert "lie in each other" in refused("history", "backup", home / "history" / "seg", "--home", home)
    assert "no complete backup" in refused("history", "restore", target, "--home", tmp_path / "new")
    headrace("history", "backup", target, "--home", home)
    assert "is not empty" in refused("history", "restore", target, "--home", home)
    assert "no complete backup from before" in refused(
        "history", "restore", target, "--home", tmp_path / "new", "--at", "1999-01-01T00:00:00Z"
    )
    assert "is not a time" in refused("history", "restore", target, "--home", tmp_path / "new", "--at", "noon")


def test_repair_and_restore_keep_away_from_a_running_platform(home: Path, target: Path) -> None:
    (home / "run").mkdir()
    (home / "run" / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": os.getpid()}))
    assert "stop it before a repair" in refused("history", "repair", "--home", home)
    assert "stop it before a restore" in refused("history", "restore", target, "--home", home)
