"""`headrace stream`: stream functions of a home, whether its platform runs or not; it follows within seconds.

add ─► a cell loads the source and tells its declaration ─► register: a shadow
promote, rollback, retire ─► register                     list ─► register, and what the platform last told
backtest ─► a cell, over the history of a home whose platform rests
"""

from __future__ import annotations

import asyncio
import getpass
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption
from headrace.cli.output import note, print_json, print_table, say
from headrace.model.errors import NotFound
from headrace.model.time import format_time, parse_time_ns

if TYPE_CHECKING:
    from headrace.compute.streams.register import Register, Version

app = typer.Typer(help="Functions over streams of samples: versions, shadow runs, back-tests.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of the function.")]
VersionArgument = Annotated[str, typer.Argument(help="Version of it.")]
WhyOption = Annotated[str, typer.Option("--why", help="For the journal.")]
FileArgument = Annotated[Path, typer.Argument(help="Python file with the function.", exists=True, dir_okay=False)]
FunctionOption = Annotated[str, typer.Option("--function", help="Name of the function; else that of the file.")]


@app.command("add")
def add(file: FileArgument, function: FunctionOption = "", home: HomeOption = DEFAULT_HOME) -> None:
    """Take a version up: it runs beside the active one, and its outputs are compared, not stored."""
    from headrace.compute.streams.cell import Cell

    source = file.read_text("utf-8")
    cell = Cell(source, function or file.stem)
    cell.close()
    declared = cell.function
    made = _register(home).add(declared.name, declared.version, source, who=_who(), now_ns=time.time_ns())
    note(f"{made.name} {made.version} is {made.stage}")


@app.command("promote")
def promote(name: NameArgument, version: VersionArgument, why: WhyOption = "", home: HomeOption = DEFAULT_HOME) -> None:
    """Make a version the active one: its outputs are stored from now on."""
    _said(_register(home).promote(name, version, who=_who(), now_ns=time.time_ns(), why=why))


@app.command("rollback")
def rollback(name: NameArgument, why: WhyOption = "", home: HomeOption = DEFAULT_HOME) -> None:
    """Go back to the version before, with the state that it had."""
    _said(_register(home).roll_back(name, who=_who(), now_ns=time.time_ns(), why=why))


@app.command("retire")
def retire(name: NameArgument, version: VersionArgument, why: WhyOption = "", home: HomeOption = DEFAULT_HOME) -> None:
    """Stop a version."""
    _said(_register(home).retire(name, version, who=_who(), now_ns=time.time_ns(), why=why))


@app.command("list")
def listed(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every version, and how the running ones do."""
    told = {(one["name"], one["version"], one["stage"]): one for one in _told(home)}
    rows: list[dict[str, Any]] = []
    for one in _register(home).versions():
        found = told.get((one.name, one.version, one.stage.value), {})
        rows.append({"name": one.name, "version": one.version, "stage": one.stage.value, "by": one.by, **found})
    if as_json:
        print_json(rows)
        return
    cells = [
        [row["name"], row["version"], row["stage"], row["by"], *_state(row)]
        for row in rows
    ]  # fmt: skip
    print_table(
        ["function", "version", "stage", "by", "outputs", "late", "failed", "trouble"], cells, empty="no functions"
    )


@app.command("journal")
def journal(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Who did what, oldest first."""
    acts = _register(home).journal()
    if as_json:
        print_json(acts)
        return
    print_table(["time", "who", "act", "function", "version", "why"], [list(one.values()) for one in acts])


@app.command("backtest")
def backtest(
    file: FileArgument,
    start: Annotated[str, typer.Argument(help="From, such as 2026-11-22T00:00:00Z.")],
    end: Annotated[str, typer.Argument(help="To, not included.")],
    function: FunctionOption = "",
    home: HomeOption = DEFAULT_HOME,
    out: Annotated[Path | None, typer.Option("--out", help="Parquet file for what came out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a function over a stretch of history, storing nothing; the platform of the home is at rest."""
    from dataclasses import asdict

    from headrace.compute.streams.cell import Cell

    cell = Cell(file.read_text("utf-8"), function or file.stem)
    try:
        found = asyncio.run(_backtest(home, cell, parse_time_ns(start), parse_time_ns(end)))
    finally:
        cell.close()
    table = found.table()
    if out is not None:
        import pyarrow.parquet as pq

        pq.write_table(table, out)
    if as_json:
        print_json({**asdict(found.counters), "error": found.error})
        return
    rows = [
        [one["point"], format_time(one["time"].value), one["value"]]
        for one in table.slice(max(table.num_rows - 20, 0)).to_pylist()
    ]
    print_table(["point", "time", "value"], rows, empty="nothing came out")
    counted = found.counters
    say(f"{counted.taken} samples, {counted.windows} windows, {counted.outputs} samples made, {counted.failed} failed")
    if found.error:
        say(f"the last that failed: {found.error}")


async def _backtest(home: Path, cell: Any, start_ns: int, end_ns: int) -> Any:
    from headrace.compute.streams.stretch import run_over
    from headrace.history.settings import HistorySettings
    from headrace.history.store import open_store
    from headrace.sdk.clock import SystemClock

    folder = home / "history"
    if not folder.exists():
        raise NotFound(f"{home} has no history here")
    store = await open_store(folder, HistorySettings(), SystemClock())
    try:
        return await run_over(cell.function, store, start_ns, end_ns, cell)
    finally:
        await store.close()


def _register(home: Path) -> Register:
    from headrace.compute.streams.register import Register

    return Register(home / "streams")


def _told(home: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads((home / "streams" / "status.json").read_bytes())
        return found
    except (OSError, ValueError):
        return []


def _state(row: dict[str, Any]) -> list[Any]:
    counters = row.get("counters") or {}
    return [*(counters.get(name) for name in ("outputs", "late", "failed")), row.get("error") or None]


def _said(one: Version) -> None:
    note(f"{one.name} {one.version} is {one.stage}")


def _who() -> str:
    return getpass.getuser()
