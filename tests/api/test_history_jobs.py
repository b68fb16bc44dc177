"""Checks and backups over HTTP: owners start them, and the end is in the audit trail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.fakes import FakeAccess, World

from headrace.history import HistorySettings, open_store
from headrace.history.store import EmbeddedStore
from headrace.history.vault import vaults
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, Conflict, NotFound, Unavailable
from headrace.platform.history_care import HistoryDesk
from headrace.sdk.clock import SystemClock
from headrace.sdk.services import JobState
from headrace.sdk.testing.store import BASE_NS


async def test_a_job_is_started_and_looked_at(owner: httpx.AsyncClient, tmp_path: Path) -> None:
    answer = await owner.post("/api/v1/history/jobs", json={"kind": "backup", "target": str(tmp_path)})
    assert answer.status_code == 202 and answer.json()["result"]["target"] == str(tmp_path)
    job = await owner.get(f"/api/v1/history/jobs/{answer.json()['id']}")
    assert job.json() == answer.json()
    listed = await owner.get("/api/v1/history/jobs")
    assert [each["id"] for each in listed.json()] == [1]
    assert (await owner.get("/api/v1/history/jobs/9")).status_code == 404
    wrong: list[dict[str, Any]] = [{"kind": "restore"}, {"kind": "backup", "keep": 0}, {"kind": "check", "path": "/"}]
    for body in wrong:
        assert (await owner.post("/api/v1/history/jobs", json=body)).status_code == 422


async def test_viewers_may_not(viewer: httpx.AsyncClient, world: World) -> None:
    assert (await viewer.post("/api/v1/history/jobs", json={"kind": "check"})).status_code == 403


# --- the real desk ------------------------------------------------------------------------------------------------


class Audit(FakeAccess):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, ...]] = []

    async def record(self, actor: str, action: str, subject: str, outcome: str, data: Any = None) -> None:
        self.told.append((actor, action, subject, outcome))


class Wakeful(SystemClock):
    """`sleep` waits for the test."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.slept = asyncio.Event()

    async def sleep(self, delay_s: float) -> None:
        if delay_s < 10:  # the historian's own timer
            await asyncio.Event().wait()
        self.slept.set()
        await self.woken.wait()
        self.woken.clear()
        self.slept.clear()


async def opened(folder: Path, clock: SystemClock) -> EmbeddedStore:
    store = await open_store(folder / "history", HistorySettings(archive_logs=True), clock)
    await store.register(["p"])
    await store.append([Batch.of(ValueKind.FLOAT64, [0], BASE_NS, 1.0)])
    return store


async def test_a_check_and_a_backup_of_a_store_at_work(tmp_path: Path) -> None:
    clock, audit = Wakeful(), Audit()
    store = await opened(tmp_path, clock)
    desk = HistoryDesk(store, clock, audit)
    target = tmp_path / "target"
    target.mkdir()
    job = desk.start("check", "ann")
    with pytest.raises(Conflict, match="in progress"):
        desk.start("check", "ben")
    await desk.finished()
    assert desk.job(job.id).state is JobState.DONE and desk.job(job.id).result["sound"] is True
    desk.start("backup", "ann", target=str(target), keep=2)
    await desk.finished()
    assert desk.jobs()[0].result["samples"] == 1
    desk.start("backup", "ann", target=str(tmp_path / "unmounted"))
    await desk.finished()
    assert desk.jobs()[0].state is JobState.FAILED and "mount its disk" in desk.jobs()[0].error
    for wrong in (str(tmp_path / "history" / "x"), "relative", None):
        with pytest.raises(ConfigError):
            desk.start("backup", "ann", target=wrong)
    with pytest.raises(NotFound):
        desk.job(99)
    assert [told[:2] + told[3:] for told in audit.told] == [
        ("ann", "history.check", "done"),
        ("ann", "history.backup", "done"),
        ("ann", "history.backup", "failed"),
    ]
    await desk.close()
    await store.close()


@pytest.mark.clause("62443-3-3 SR 7.3 RE 2", "GB/T 22239-2019 8.1.4.9")
async def test_backups_by_the_clock_and_logs_between_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock, audit = Wakeful(), Audit()
    store = await opened(tmp_path, clock)
    target = tmp_path / "target"
    desk = HistoryDesk(store, clock, audit, backup_to=target, backup_every_s=3600)
    running = asyncio.create_task(desk.run())

    async def tick() -> None:
        clock.woken.set()
        await asyncio.sleep(0)
        await clock.slept.wait()

    await clock.slept.wait()
    await tick()
    assert len([record for record in caplog.records if "waits and tries again" in record.message]) == 1  # told once
    target.mkdir()
    await tick()
    (vault,) = vaults(target)
    assert len(vault.manifests()) == 1
    await store.append([Batch.of(ValueKind.FLOAT64, [0], BASE_NS + 1, 2.0)])
    await store.flush()
    await tick()
    assert len(vault.manifests()) == 1 and len(vault.archived()) == 1
    assert store.archive.numbers() == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await desk.close()
    await store.close()


async def test_a_cluster_looks_after_itself(world: World) -> None:
    desk = HistoryDesk(world.store, SystemClock(), Audit())  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="cluster"):
        desk.start("check", "ann")
