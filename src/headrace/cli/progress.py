"""Bars of rows, on stderr: how far, how fast, how long still. Silent where nobody watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@dataclass(slots=True)
class RowBar:
    """`advance` counts rows; `position` is how far the bar is, where that is not rows but bytes of a file."""

    progress: Progress
    task: TaskID
    rows: int = 0

    def advance(self, rows: int, position: int | None = None) -> None:
        self.rows += rows
        done = self.rows if position is None else position
        seconds = self.progress.tasks[self.task].elapsed or 0.0
        rate = self.rows / seconds if seconds > 0 else 0.0
        self.progress.update(self.task, completed=done, rows=f"{self.rows:,}", rate=f"{rate:,.0f}")


@contextmanager
def row_bar(title: str, total: int | None) -> Iterator[RowBar]:
    """`total` in rows, or in bytes where `position` will be given; None or 0 where nobody knows."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn(title, markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]} rows, {task.fields[rate]} rows/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True, console=console, disable=not console.is_terminal) as progress:
        yield RowBar(progress, progress.add_task(title, total=total or None, rows="0", rate="0"))
