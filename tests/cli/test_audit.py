"""`headrace audit`: through a running platform, on the files of a stopped one, and on an export alone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.shell import headrace, refused
from tests.e2e.platform_process import platform_process

pytestmark = pytest.mark.clause("62443-3-3 SR 3.9", "62443-3-3 SR 6.1", "GB/T 22239-2019 8.1.5.2")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home on which a platform ran and stopped, and what its auditor took along while it ran."""
    folder = tmp_path_factory.mktemp("audit")
    home = folder / "home"
    with platform_process(home) as platform:
        platform.start()
        online = headrace("audit", "verify", "--home", home, "--json")
        assert online.status == 0 and online.json["whole"] and online.json["checkpoints"] == 0
        (folder / "head.json").write_text(online.out)
        assert "whole: " in headrace("audit", "verify", "--home", home).out
        out = headrace("audit", "export", "-o", folder / "all.ndjson", "--home", home)
        assert out.status == 0 and "signed and checked" in out.err
        assert headrace("audit", "export", "-o", folder / "all.csv", "--home", home).status == 0
        entries = [json.loads(text) for text in headrace("audit", "tail", "--home", home, "--json").out.splitlines()]
        assert [one["action"] for one in entries][-2:] == ["audit.export", "audit.export"]
        filtered = headrace("audit", "tail", "--home", home, "--action", "user.", "-n", 1)
        assert "user.create" in filtered.out and "audit.export" not in filtered.out
        findings = headrace("doctor", "--home", home, "--json").json["findings"]
        assert [one["level"] for one in findings if one["check"] == "audit trail"] == ["ok"]
        assert "should end in" in refused("audit", "export", "-o", folder / "all.txt", "--home", home)
        assert platform.stop() == 0
    yield folder


def test_a_stopped_platform_is_checked_on_its_files(said: Path) -> None:
    found = headrace("audit", "verify", "--home", said / "home", "--json").json
    assert found["whole"] and found["checkpoint"] == found["head"]  # signed at the stop
    noted = headrace("audit", "verify", "--home", said / "home", "--head", said / "head.json")
    assert noted.status == 0 and f"head: {found['head']['sequence']} " in noted.out


def test_what_was_altered_ends_with_status_1_and_names_the_entry(said: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(said / "home", home)
    with sqlite3.connect(home / "database.db") as database:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute("UPDATE access_audit SET actor = 'mallory' WHERE sequence = 2")
        database.execute("DROP TRIGGER access_audit_update")
        database.execute("UPDATE access_audit SET actor = 'mallory' WHERE sequence = 2")
    assert "altered at entry 2" in refused("audit", "verify", "--home", home)
    as_json = headrace("audit", "verify", "--home", home, "--json")
    assert as_json.status == 1 and "entry 2" in as_json.json["problem"]


def test_a_trail_that_was_cut_off_shows(said: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(said / "home", home)
    with sqlite3.connect(home / "database.db") as database:
        database.execute("DROP TRIGGER access_audit_delete")
        database.execute("DELETE FROM access_audit WHERE sequence > 1")
    assert "cut off after entry 1" in refused("audit", "verify", "--home", home)
    (home / "audit" / "checkpoints").write_bytes(b"")  # who cuts both is found by the head that was noted elsewhere
    assert headrace("audit", "verify", "--home", home).status == 0
    assert "cut off" in refused("audit", "verify", "--home", home, "--head", said / "head.json")


def test_an_export_is_checked_without_any_platform(said: Path, tmp_path: Path) -> None:
    key = said / "home" / "keys" / "audit.pub"
    elsewhere = headrace("audit", "verify", "--file", said / "all.ndjson", "--home", tmp_path)
    assert elsewhere.status == 0 and "compare it" in elsewhere.err
    pinned = headrace("audit", "verify", "--file", said / "all.ndjson", "--key", key, "--json")
    assert pinned.json["whole"] and pinned.json["key_known"]
    changed = tmp_path / "changed.ndjson"
    lines = (said / "all.ndjson").read_text().splitlines(keepends=True)
    changed.write_text("".join([lines[0].replace("local", "nobody"), *lines[1:]]))
    assert "entry 1" in refused("audit", "verify", "--file", changed, "--key", key)
    changed.write_text("".join(lines[:-1]))
    assert "not whole" in refused("audit", "verify", "--file", changed, "--key", key)
    assert "cannot read" in refused("audit", "verify", "--file", tmp_path / "none.ndjson")
    assert "holds no head" in refused("audit", "verify", "--home", said / "home", "--head", key)
    assert "no platform in" in refused("audit", "verify", "--home", tmp_path / "nowhere")
