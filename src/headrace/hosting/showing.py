"""An app as it is shown: what is installed, what was taken in and how it runs, put together."""

from __future__ import annotations

from typing import Final

from headrace.hosting.abilities import AppState as RunState
from headrace.hosting.keeper import Run
from headrace.hosting.register import AppRecord, TenantRecord
from headrace.hosting.releases import Release
from headrace.sdk.app_desk import AppLogLine, AppState, AppUse, InstalledApp

_LICENCES: Final = ("LICENSE", "LICENCE", "LICENSE.txt", "LICENCE.txt", "LICENSE.md", "LICENCE.md")
_LICENCE_CHARACTERS: Final = 50_000
_STATES: Final = {
    RunState.STARTING: AppState.STARTING,
    RunState.RUNNING: AppState.RUNNING,
    RunState.WAITING: AppState.STARTING,
    RunState.HALTED: AppState.HALTED,
    RunState.STOPPED: AppState.STARTING,
}


def shown(
    release: Release, record: AppRecord, one: TenantRecord | None, run: Run | None, trouble: str, *, with_licence: bool
) -> InstalledApp:  # fmt: skip
    asks = release.manifest.permissions.more_than(one.accepted) if one is not None and one.enabled else []
    reason = run.runner.health().reason if run is not None else ""
    return InstalledApp(
        manifest=release.manifest,
        origin=release.origin,
        versions=record.versions,
        state=_state(one, run, trouble),
        version=one.version if one is not None else release.version,
        accepted=one.accepted if one is not None else None,
        asks=tuple(asks),
        trouble=trouble or reason,
        by=one.by if one is not None else "",
        since_ns=one.since_ns if one is not None else None,
        licence_text=_licence(release) if with_licence else "",
    )


def use_of(run: Run | None) -> AppUse:
    if run is None:
        return AppUse()
    health = run.runner.health()
    figures = health.calls.values()
    calls, seconds = sum(one.calls for one in figures), sum(one.seconds for one in figures)
    alive = health.state is RunState.RUNNING
    return AppUse(
        calls=calls,
        failures=sum(one.failures for one in figures),
        restarts=health.restarts,
        call_ms_mean=seconds * 1e3 / calls if calls else 0.0,
        cpu_s=health.cpu_s if alive else None,
        memory_bytes=health.memory_bytes if alive else None,
        tables_bytes=health.tables_bytes,
        documents_bytes=health.documents_bytes,
        started_ns=health.started_ns,
        failure=health.failure,
        failed_ns=health.failed_ns,
        fences=health.fences,
        jobs={one.name: one.due_ns for one in run.runner.declared.jobs},
    )


def log_of(run: Run | None) -> list[AppLogLine]:
    return [] if run is None else [AppLogLine(time_ns, text) for time_ns, text in run.runner.health().log]


def _state(one: TenantRecord | None, run: Run | None, trouble: str) -> AppState:
    if one is None:
        return AppState.AVAILABLE
    if not one.enabled:
        return AppState.DISABLED
    if run is None:
        return AppState.HALTED if trouble else AppState.STARTING
    return _STATES[run.runner.health().state]


def _licence(release: Release) -> str:
    found = next((release.files[name] for name in _LICENCES if name in release.files), b"")
    return found.decode("utf-8", "replace")[:_LICENCE_CHARACTERS]
