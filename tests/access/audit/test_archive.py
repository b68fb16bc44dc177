"""Old entries go to closed files: nothing is lost, nothing is there twice, wherever the process is killed."""

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event
from tests.access.audit.world import DAY_S, AuditWorld, BreakingDisk, Killed
from tests.properties import examples

from headrace.access.audit import AuditSettings
from headrace.access.audit.archive import digest_of, name_of, read, span_of, write
from headrace.access.audit.chain import FIRST_HASH, Record, canonical, clean, line, record_of
from headrace.model.errors import ConfigError, DataError
from headrace.sdk.audit import AuditFilter
from headrace.sdk.disk import Disk

ALL = list(range(1, 26))


@pytest.mark.clause("62443-3-3 SR 2.9", "62443-3-3 SR 3.9 RE 1", "GB/T 22239-2019 8.1.5.4")
async def test_old_entries_leave_the_table_and_stay_in_the_trail(world: AuditWorld) -> None:
    await world.archived()
    files = sorted((world.home / "audit" / "archive").iterdir())
    assert [path.name for path in files] == [name_of(1, 10), name_of(11, 20)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o400}
    assert world.in_table() == [*range(21, 28)]  # with the two entries that say so
    assert world.sequences() == list(range(1, 28))
    verdict = await world.trail.verify()
    assert (verdict.entries, verdict.archived) == (27, 20)
    entries, _ = await world.trail.page("default", AuditFilter(action="audit."))
    assert [entry.subject for entry in entries] == [name_of(11, 20), name_of(1, 10)]
    assert world.trail.state().archived_until == 20


@pytest.mark.clause("62443-3-3 SR 2.9", "GB/T 22239-2019 8.1.4.3")
async def test_what_is_young_stays_and_so_does_the_newest(world: AuditWorld) -> None:
    await world.fill(20)
    world.clock.seconds += 364 * DAY_S
    await world.keeper.archive()
    assert world.in_table() == list(range(1, 21))
    world.clock.seconds += 100 * DAY_S
    await world.keeper.archive()
    assert world.in_table() == [21, 22]  # what tells of the two archives
    with pytest.raises(ConfigError, match="183"):
        AuditSettings(keep_days=182)


async def test_a_reader_is_not_disturbed_by_an_archive(world: AuditWorld) -> None:
    await world.fill(20)
    world.clock.seconds += 400 * DAY_S
    await world.fill(5)
    walk = world.trail.reader.wanted("default", AuditFilter())
    table = next(walk)  # read, and not yet looked at by anybody
    await world.keeper.archive()
    seen = [record.sequence for record in table] + [one.sequence for records in walk for one in records]
    assert seen[:25] == ALL
    assert len(seen) == len(set(seen))


async def steps_of(world: AuditWorld) -> int:
    """How often an archive touches the disk."""
    disk = BreakingDisk()
    world.folder.close()
    world.open(disk, AuditSettings(archive_entries=20, checkpoint_entries=5))
    disk.steps = 0
    await world.fill(20)
    world.clock.seconds += 400 * DAY_S
    await world.fill(5)
    await world.keeper.archive()
    return disk.steps


@pytest.mark.clause("62443-3-3 SR 2.9", "62443-3-3 SR 2.10")
@pytest.mark.parametrize("error", [Killed(), OSError(28, "No space left on device")], ids=["killed", "full"])
@pytest.mark.parametrize("step", range(1, 9))
async def test_a_kill_or_a_full_disk_at_any_step_loses_and_doubles_nothing(
    world: AuditWorld, step: int, error: BaseException
) -> None:
    disk = BreakingDisk(error=error)
    world.folder.close()
    world.open(disk, AuditSettings(archive_entries=20, checkpoint_entries=5))
    await world.fill(20)
    world.clock.seconds += 400 * DAY_S
    await world.fill(5)
    disk.steps, disk.at = 0, step
    with contextlib.suppress(Killed):
        await world.keeper.archive()
    assert disk.steps >= disk.at, "an archive has fewer steps than this test counts on"
    assert world.sequences()[:25] == ALL
    assert isinstance(error, OSError) == bool(world.trail.state().trouble)
    world.folder.close()
    world.open()
    await world.keeper.start()
    await again(world)


@pytest.mark.parametrize("statement", ["INSERT INTO access_audit_archives", "DELETE FROM access_audit"])
async def test_a_kill_within_the_transaction_leaves_all_where_it_was(world: AuditWorld, statement: str) -> None:
    await world.fill(20)
    world.clock.seconds += 400 * DAY_S
    await world.fill(5)
    with killed_at(world.engine, statement), pytest.raises(Killed):
        await world.keeper.archive()
    assert world.in_table() == ALL
    assert (await world.trail.verify()).archived == 0
    world.folder.close()
    world.open()
    await world.keeper.start()
    assert world.in_table() == list(range(11, 26))  # what was signed is done first
    await again(world)


async def again(world: AuditWorld) -> None:
    """After the next start all is archived, once, and whole."""
    assert world.sequences()[:25] == ALL
    await world.keeper.archive()
    seen = world.sequences()
    assert seen == list(range(1, len(seen) + 1))
    verdict = await world.trail.verify()
    assert verdict.archived == 20
    folder = world.home / "audit" / "archive"
    held = [span for path in folder.iterdir() if (span := span_of(path.name))]
    assert sum(last - first + 1 for first, last in held) == 20
    assert len(held) == len(list(folder.iterdir()))
    assert world.trail.state().trouble == ()


async def test_this_many_steps_are_all_there_are(world: AuditWorld) -> None:
    assert await steps_of(world) == 8


@contextlib.contextmanager
def killed_at(engine: Engine, beginning: str) -> Iterator[None]:
    def kill(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(beginning):
            raise Killed

    event.listen(engine, "before_cursor_execute", kill)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", kill)


async def test_an_archive_that_nobody_listed_is_evidence_where_its_entries_are_gone(world: AuditWorld) -> None:
    await world.archived()
    with world.round_the_guards() as connection:
        connection.exec_driver_sql("DELETE FROM access_audit_archives WHERE last_sequence = 20")
    world.folder.close()
    world.open()
    await world.keeper.start()
    assert "altered at entry 11" in world.trail.state().trouble[0]
    await world.keeper.archive()
    assert len(list((world.home / "audit" / "archive").iterdir())) == 2
    with pytest.raises(DataError):
        await world.trail.verify()


async def test_an_altered_trail_is_not_archived(world: AuditWorld) -> None:
    await world.fill(20)
    world.clock.seconds += 400 * DAY_S
    await world.fill(5)
    with world.round_the_guards() as connection:
        connection.exec_driver_sql("UPDATE access_audit SET actor = 'mallory' WHERE sequence = 7")
    await world.keeper.archive()
    assert "altered at entry 7" in world.trail.state().trouble[0]
    assert world.in_table() == ALL


# --- the file ------------------------------------------------------------------------------------------------------

texts = st.text(max_size=30).map(clean)
numbers = st.integers(-(2**63) + 1, 2**63 - 1)
data = st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=9), st.floats(), st.integers(), st.none()))
records = st.builds(
    Record, numbers, st.integers(-(2**62), 2**62), st.sampled_from((1, 2)), texts, texts, texts, texts, texts,
    data.map(canonical), st.just(FIRST_HASH), st.just("f" * 64),
)  # fmt: skip


@settings(deadline=None)
@given(records)
def test_a_line_is_the_entry(record: Record) -> None:
    assert record_of(line(record)) == record
    assert b"\n" not in line(record)[:-1]


@settings(max_examples=examples(300), deadline=None)
@given(st.one_of(st.binary(max_size=200), st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists)))
def test_other_lines_are_refused(line: object) -> None:
    with pytest.raises(DataError):
        record_of(line if isinstance(line, bytes) else repr(line).encode("utf-8", "replace"))


def test_any_byte_of_an_archive_counts(tmp_path: Path) -> None:
    kept = [Record(n, n, 2, "default", "a", "b", "c", "d", "{}", FIRST_HASH, "e" * 64) for n in range(1, 400)]
    made = write(tmp_path, kept, Disk(), 7)
    path = tmp_path / made.name
    assert [record for chunk in read(path, made.sha256) for record in chunk] == kept
    path.chmod(0o600)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DataError, match="altered"):
            list(read(path, made.sha256))
    path.write_bytes(whole[:-9])
    with pytest.raises(DataError):
        list(read(path, made.sha256))
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        digest_of(path)


@settings(deadline=None)
@given(st.text(max_size=50))
def test_only_names_of_archives_are_archives(name: str) -> None:
    assert span_of(name) is None
    assert span_of(name_of(3, 2**40)) == (3, 2**40)


async def test_the_key_is_for_its_owner_alone_and_its_loss_is_told(world: AuditWorld) -> None:
    key = world.home / "keys" / "audit.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    await world.fill(1)
    await world.keeper.close()
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        world.open()
    key.unlink()
    with pytest.raises(ConfigError, match="is gone"):
        world.open()
    (world.home / "audit" / "checkpoints").rename(world.home / "aside")
    world.open()
    await world.keeper.start()
    assert (await world.trail.verify()).checkpoints == 1
