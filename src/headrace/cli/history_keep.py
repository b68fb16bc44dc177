"""`headrace history check|repair|backup|restore|backups`: the care of the store that holds the past.

a platform runs on the home ─► check, backup: it does them itself (POST /history/jobs), and repair, restore refuse
none runs                   ─► done here, on the files
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, Client, HomeOption, JsonOption, ServerOption, connect, running
from headrace.cli.output import note, print_json, print_table, say
from headrace.model.errors import Conflict, HeadraceError, NotFound
from headrace.model.time import format_time

_POLL_S = 0.2
_LISTED_MAX = 50


def check(home: HomeOption = DEFAULT_HOME, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """Read every file of the history and tell what is damaged; exit status 1 if anything is."""
    client = _platform(home, server)
    if client is not None:
        found = _job(client, {"kind": "check"}, "check")
    else:
        from headrace.history.check import check as check_files
        from headrace.history.check import document
        from headrace.history.picture import picture_of_closed

        with _bar("check") as progress, picture_of_closed(_history(home)) as picture:
            found = document(check_files(picture, progress))
    if as_json:
        print_json(found)
    else:
        _show_findings(found["findings"])
        say(
            f"{'sound' if found['sound'] else 'DAMAGED'}: {found['files']} segments, {found['logs']} logs, "
            f"{found['points']} points, {found['samples']} samples, {_size(found['bytes'])} read"
        )
    if not found["sound"]:
        raise typer.Exit(1)


def repair(
    home: HomeOption = DEFAULT_HOME,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this it is only told.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make damaged history files whole again; what is damaged moves to quarantine/, and every loss is told."""
    _refuse_running(home, "repair")
    from headrace.history.repair import repair as repair_files

    with _bar("repair") as progress:
        done = repair_files(_history(home), time.time_ns(), apply=apply, progress=progress)
    if as_json:
        print_json(
            {
                "sound": done.sound,
                "applied": done.applied,
                "quarantine": None if done.quarantine is None else str(done.quarantine),
                "findings": [asdict(finding) for finding in done.findings],
                "actions": done.actions,
                "losses": [asdict(loss) for loss in done.losses],
            }
        )
        return
    if done.sound:
        say("nothing is damaged")
        return
    _show_findings([asdict(finding) for finding in done.findings])
    for action in done.actions:
        say(f"{'done' if done.applied else 'would'}: {action}")
    rows = [
        (loss.file, loss.point or "several", _moment(loss.first_ns), _moment(loss.last_ns),
         "unknown" if loss.samples is None else loss.samples)
        for loss in done.losses
    ]  # fmt: skip
    if rows:
        say("lost:")
        print_table(("file", "point", "from", "to", "samples"), rows[:_LISTED_MAX])
        if len(rows) > _LISTED_MAX:
            note(f"{len(rows) - _LISTED_MAX} more; --json tells all")
    else:
        say("lost: nothing")
    note(f"the damaged files are in {done.quarantine}" if done.applied else "nothing was changed; do it with --apply")


def backup(
    target: Annotated[
        Path | None, typer.Argument(help="Folder for the backups, on another disk; default: the platform's own.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    keep: Annotated[int | None, typer.Option(min=1, help="How many backups stay; default: 7.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the history, consistent and verified, while it goes on being written; only what is new is copied."""
    client = _platform(home, server)
    if client is not None:
        folder = None if target is None else str(target if server else target.absolute())
        made = _job(client, {"kind": "backup", "target": folder, "keep": keep}, "backup")
    elif target is None:
        raise NotFound(f"no platform runs on {home}, so say where to: headrace history backup <folder>")
    else:
        made = asyncio.run(_backup_here(_history(home), target.absolute(), keep or 7))
    if as_json:
        print_json(made)
        return
    say(
        f"{made['name']}: {made['points']} points, {made['samples']} samples in {made['files']} files; "
        f"{_size(made['copied_bytes'])} copied, {_size(made['reused_bytes'])} were there already"
    )
    if made["pruned"]:
        note(f"removed: {', '.join(made['pruned'])}")


def restore(
    source: Annotated[Path, typer.Argument(help="Folder of the backups.")],
    home: HomeOption = DEFAULT_HOME,
    at: Annotated[str, typer.Option(help="As it was then: RFC 3339, or now-<duration>. Default: all there is.")] = "",
    name: Annotated[str, typer.Option("--backup", help="Exactly this one of `headrace history backups`.")] = "",
    timeline: Annotated[str, typer.Option(help="Only of this one; a restored store begins another.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Bring the history back from a backup, into a home that has none."""
    _refuse_running(home, "restore")
    from headrace.api.times import time_ns_of
    from headrace.history.restore import restore as restore_files
    from headrace.sdk.clock import SystemClock

    at_ns = time_ns_of(at, time.time_ns()) if at else None
    home.mkdir(parents=True, exist_ok=True)
    with _bar("restore") as progress:
        done = asyncio.run(
            restore_files(
                source,
                home / "history",
                SystemClock(),
                at_ns=at_ns,
                name=name or None,
                timeline=timeline or None,
                progress=progress,
            )
        )
    found = {
        "backup": done.backup,
        "committed_at": _moment(done.committed_ns),
        "replayed_samples": done.replayed_samples,
        "points": done.stats.points,
        "samples": done.stats.samples,
        "oldest": _moment(done.stats.oldest_ns),
        "newest": _moment(done.stats.newest_ns),
        "notes": done.notes,
    }
    if as_json:
        print_json(found)
        return
    say(
        f"{done.backup} and {found['replayed_samples']} later samples: {found['points']} points, {found['samples']} "
        f"samples from {found['oldest'] or 'nowhere'} to {found['newest'] or 'nowhere'}"
    )
    for remark in done.notes:
        note(remark)


def backups(
    target: Annotated[Path, typer.Argument(help="Folder of the backups.")],
    as_json: JsonOption = False,
) -> None:
    """List the complete backups in a folder, and how far the archived logs go beyond them."""
    from headrace.history.vault import vaults

    found, damaged = [], []
    for vault in vaults(target):
        archived = sorted(vault.archived())
        damaged += vault.damaged()
        found += [
            {
                "backup": manifest.name,
                "timeline": manifest.timeline,
                "taken_at": format_time(manifest.taken_ns),
                "points": manifest.points,
                "samples": manifest.samples,
                "bytes": manifest.bytes,
                "later_logs": sum(number >= manifest.log for number in archived),
            }
            for manifest in vault.manifests()
        ]
    if as_json:
        print_json({"backups": found, "damaged": damaged})
        return
    columns = ("backup", "timeline", "taken_at", "points", "samples", "bytes", "later_logs")
    print_table(columns, [[one[column] for column in columns] for one in found], empty="no complete backup")
    for why in damaged:
        note(why)


# --- helpers ------------------------------------------------------------------------------------------------------


async def _backup_here(directory: Path, target: Path, keep: int) -> dict[str, Any]:
    from headrace.history import HistorySettings, open_store
    from headrace.history.backup import back_up, ship_logs, summary
    from headrace.sdk.clock import SystemClock

    clock = SystemClock()
    archiving = (directory / "archive").is_dir()
    store = await open_store(directory, HistorySettings(archive_logs=archiving), clock)
    try:
        with _bar("backup") as progress:
            made = await back_up(store, target, clock, keep=keep, duty=1.0, progress=progress)
        if archiving:
            await ship_logs(store, target)
        return summary(made)
    finally:
        await store.close()


def _platform(home: Path, server: str | None) -> Client | None:
    return connect(home, server) if server or running(home) is not None else None


def _history(home: Path) -> Path:
    directory = home / "history"
    if not directory.is_dir():
        raise NotFound(f"there is no history in {home}; name the folder of a platform's data with --home")
    return directory


def _refuse_running(home: Path, what: str) -> None:
    if running(home) is not None:
        raise Conflict(f"the platform on {home} is running; stop it before a {what}")


def _job(client: Client, body: dict[str, Any], what: str) -> dict[str, Any]:
    """Start a job and wait for it."""
    job = client.post("/history/jobs", body)
    with _bar(what) as progress:
        while job["state"] == "running":
            time.sleep(_POLL_S)
            job = client.get(f"/history/jobs/{job['id']}")
            progress(job["at"], job["done_bytes"], job["total_bytes"])
    if job["state"] == "failed":
        raise HeadraceError(job["error"])
    result: dict[str, Any] = job["result"]
    return result


@contextmanager
def _bar(what: str) -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)  # stdout stays clean
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn(), TextColumn("{task.fields[at]}"))
    with Progress(*columns, transient=True, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None, at="")
        yield lambda at, done, total: progress.update(task, completed=done, total=total or None, at=at)


def _show_findings(findings: list[dict[str, Any]]) -> None:
    for finding in findings:
        say(f"✗ {finding['file']}: {finding['what']}")
        say(f"  lost: {finding['lost']}; {finding['action']}")


def _moment(time_ns: int | None) -> str:
    return format_time(time_ns) if time_ns else ""


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{count / 1e3:.1f} kB"
