"""What `check` finds: every damaged file by name, how much is lost, and nothing where nothing is."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.history.damage import SETTINGS, a_history, largest, opened

from headrace.history.check import Report, check
from headrace.history.picture import picture_of_closed
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import NotFound, Unavailable
from headrace.model.time import HOUR_NS
from headrace.sdk.testing.store import BASE_NS


def checked(directory: Path) -> Report:
    with picture_of_closed(directory) as picture:
        return check(picture)


async def test_a_sound_store_has_no_findings_and_all_of_it_is_read(tmp_path: Path) -> None:
    samples = await a_history(tmp_path)
    seen: list[tuple[str, int, int]] = []
    with picture_of_closed(tmp_path) as picture:
        report = check(picture, lambda *step: seen.append(step))
    assert report.findings == []
    assert report.samples == samples
    assert report.points == 4
    assert report.files > 1 and report.logs >= 1
    assert [step[1] for step in seen] == sorted(step[1] for step in seen)
    assert all(done <= total for _, done, total in seen)


async def test_a_store_at_work_is_checked_without_stopping_it(tmp_path: Path) -> None:
    samples = await a_history(tmp_path)
    store = await opened(tmp_path)
    async with store.picture() as picture:
        await store.append([Batch.of(ValueKind.FLOAT64, [0], BASE_NS + 40 * HOUR_NS, 1.0)])
        await store.flush()
        await store.compact()  # what the picture needs stays until the check is done
        report = check(picture)
    assert report.findings == []
    assert report.samples == samples
    await store.close()


def flip(path: Path, at: float, mask: int = 0x10) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= mask
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("seg", lambda path: flip(path, 0.2)),
        ("seg", lambda path: flip(path, 1.0)),
        ("seg", lambda path: flip(path, 0.0)),
        ("seg", cut),
        ("seg", Path.unlink),
        ("wal", lambda path: flip(path, 0.3)),
        ("wal", lambda path: flip(path, 0.0)),
        ("journal.log", lambda path: flip(path, 0.5)),
        ("journal.log", cut),
        ("journal.log", Path.unlink),
        ("catalog.db", lambda path: path.write_bytes(b"\0" * 8192)),
        ("catalog.db", Path.unlink),
    ],
)
@pytest.mark.clause("62443-3-3 SR 3.4", "GB/T 22239-2019 8.1.4.7")
async def test_every_damage_is_found_and_named(tmp_path: Path, name: str, harm: Callable[[Path], None]) -> None:
    await a_history(tmp_path)
    path = tmp_path / name if name.endswith((".log", ".db")) else largest(tmp_path / name)
    harm(path)
    report = checked(tmp_path)
    assert {finding.file for finding in report.findings} == {path.relative_to(tmp_path).as_posix()}
    assert all(finding.what and finding.lost and finding.action for finding in report.findings)


async def test_it_says_how_many_samples_a_damaged_chunk_costs(tmp_path: Path) -> None:
    await a_history(tmp_path)
    path = largest(tmp_path / "seg")
    flip(path, 0.2)
    before = await a_history(tmp_path / "same")
    report = checked(tmp_path)
    (finding,) = report.findings
    assert finding.samples and finding.samples < 700
    assert report.samples == before - finding.samples
    assert f"{finding.samples} samples between 2026-" in finding.lost


async def test_a_row_of_the_catalog_that_changed_by_itself_is_found(tmp_path: Path) -> None:
    await a_history(tmp_path)
    with sqlite3.connect(tmp_path / "catalog.db") as db:
        for (trigger,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            db.execute(f"drop trigger {trigger}")
        db.execute("update sections set first_ns = first_ns + 1 where file = (select min(file) from sections)")
    db.close()
    found = {finding.file: finding.what for finding in checked(tmp_path).findings}
    assert "'sections' do not add up" in found["catalog.db"]


async def test_roll_ups_that_disagree_with_their_samples_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headrace.history import rollups

    honest = rollups.summarise

    def lying(*arguments: object) -> dict[str, np.ndarray]:
        columns = honest(*arguments)  # type: ignore[arg-type]
        return {**columns, "count": columns["count"] + 1} if len(columns.get("count", ())) else columns

    monkeypatch.setattr(rollups, "summarise", lying)
    await a_history(tmp_path)
    monkeypatch.undo()
    assert any("do not agree" in finding.what for finding in checked(tmp_path).findings)


async def test_a_directory_in_use_and_one_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        checked(tmp_path)
    store = await opened(tmp_path, SETTINGS)
    with pytest.raises(Unavailable, match="in use by process"):
        checked(tmp_path)
    await store.close()
