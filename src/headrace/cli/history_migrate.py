"""`headrace history migrate`: from one machine to a cluster, and back. Resumable; see docs/scale-out.md."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.client import JsonOption
from headrace.cli.output import note, print_json
from headrace.model.errors import ConfigError

if TYPE_CHECKING:
    from headrace.history.migrate import Migrated, Progress

JOURNAL = "migration.journal"
_PHASES = {"copy": "copying", "check-source": "checking the source", "check-target": "checking the target"}
PLACES = "A folder of history, or iotdb://user@host:6667/database."


def migrate(
    source: Annotated[str, typer.Option("--from", help=PLACES)],
    target: Annotated[str, typer.Option("--to", help=PLACES)],
    journal: Annotated[
        Path | None, typer.Option("--journal", help="File that remembers finished hours; else beside the folder.")
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="The target may hold samples of its own.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy history to another store, bit for bit; run it again to go on after a stop."""
    from headrace.history.place import existing, is_cluster

    existing(source)
    if not is_cluster(source) and not is_cluster(target) and Path(source).resolve() == Path(target).resolve():
        raise ConfigError("--from and --to are the same folder")
    folder = next((Path(place) for place in (target, source) if not is_cluster(place)), None)
    if journal is None:
        if folder is None:
            raise ConfigError("between two clusters, name a file for the journal with --journal")
        journal = folder / JOURNAL
    done = asyncio.run(_migrate(source, target, journal, add))
    if as_json:
        print_json({"points": done.points, "copied": done.copied, "verified": done.verified, "resumed": done.resumed})
        return
    note(f"{done.copied} samples of {done.points} points copied; all {done.verified} verified")


async def _migrate(source: str, target: str, journal: Path, add: bool) -> Migrated:
    from headrace.history import HistorySettings
    from headrace.history.migrate import Journal, migrate
    from headrace.history.place import open_history
    from headrace.sdk.clock import SystemClock

    async with AsyncExitStack() as stack:
        left = await open_history(source, HistorySettings(), SystemClock())
        stack.push_async_callback(left.close)
        right = await open_history(target, HistorySettings(), SystemClock())
        stack.push_async_callback(right.close)
        show = stack.enter_context(_Bar())
        return await migrate(left, right, Journal(journal, source, target), add=add, tell=show)


class _Bar:
    """A bar a phase, on stderr."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        if progress.phase not in self._tasks:
            self._tasks[progress.phase] = self._bars.add_task(_PHASES[progress.phase])
        total = max(progress.expected, progress.samples)
        self._bars.update(self._tasks[progress.phase], completed=progress.samples, total=total)
