"""Room on the disk, and what else a person has to see to: told once when it begins and once when it is over."""

from pathlib import Path

import pytest
from tests.access.audit.world import AuditWorld, BreakingDisk

from headrace.access.audit import AuditSettings
from headrace.model.errors import ConfigError


@pytest.mark.clause("62443-3-3 SR 2.9 RE 1", "GB/T 22239-2019 8.1.5.4")
async def test_a_disk_that_fills_is_told_once_each_way(world: AuditWorld, caplog: pytest.LogCaptureFixture) -> None:
    free = 50
    world.folder.close()
    world.open(use=lambda _path: (free, 100), settings=AuditSettings(warn_percent=80))
    await world.keeper.start()
    assert world.trail.state().used_percent == 50
    for free in (21, 20, 10, 5, 60):
        world.clock.seconds += 61
        await world.keeper.tick()
        assert bool(world.trail.state().trouble) == (free <= 20)
    assert world.told == ["audit.space", "audit.space.over"]
    assert len([one for one in caplog.records if "full" in one.message]) == 1
    for percent in (0, 101):
        with pytest.raises(ConfigError):
            AuditSettings(warn_percent=percent)


async def test_a_head_that_cannot_be_signed_is_told_and_signed_later(world: AuditWorld) -> None:
    disk = BreakingDisk(error=OSError(28, "No space left on device"))
    world.folder.close()
    world.open(disk)
    await world.keeper.start()
    await world.fill(5)
    disk.at = disk.steps + 1
    await world.keeper.tick()
    assert "cannot be signed" in world.trail.state().trouble[0]
    await world.keeper.tick()
    assert world.trail.state().trouble == ()
    assert world.told == ["audit.checkpoint", "audit.checkpoint.over"]
    verdict = await world.trail.verify()
    assert (verdict.checkpoints, verdict.checkpoint) == (1, world.trail.head)


async def test_a_start_on_a_trail_of_another_database_is_told(world: AuditWorld, tmp_path: Path) -> None:
    await world.fill(3)
    await world.keeper.close()
    with world.round_the_guards() as connection:
        connection.exec_driver_sql("DELETE FROM access_audit")
    world.open()
    await world.keeper.start()
    assert "not the one that was signed" in world.trail.state().trouble[0]
    assert world.told == ["audit.altered"]
