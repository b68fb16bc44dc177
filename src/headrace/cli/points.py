"""`headrace points list|import|export|backfill`: points in bulk, through CSV and XLSX; calculated ones over again."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli.client import DEFAULT_HOME, Client, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import complain, note, print_json, print_table
from headrace.cli.progress import row_bar
from headrace.model.errors import DataError
from headrace.model.time import parse_time_ns

app = typer.Typer(help="List points; bring them in from a spreadsheet, or write one.", no_args_is_help=True)


@app.command("list")
def list_points(
    asset: Annotated[str | None, typer.Argument(help="Only below this asset.")] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    query: Annotated[str | None, typer.Option("--query", "-q", help="Only paths and titles that hold this.")] = None,
    limit: Annotated[int, typer.Option(help="Points shown at most.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Show points with type, unit, range and source."""
    page = connect(home, server).get("/points", asset=asset, q=query, limit=limit)
    if as_json:
        print_json(page)
        return
    print_table(
        ("path", "type", "unit", "range", "access", "connection"),
        [(p["path"], p["kind"], p["unit"], _range(p["range"]), p["access"], p["connection"]) for p in page["points"]],
        empty="no points",
    )
    if page["total"] > len(page["points"]):
        note(f"{len(page['points'])} of {page['total']} shown; see more with --limit")


@app.command("import")
def import_points(
    sheet: Annotated[Path, typer.Argument(help="*.csv or *.xlsx, a point a row.", exists=True, dir_okay=False)],
    folder: Annotated[Path, typer.Option("--file", "-f", help="Folder of declarations to write points.yaml into.")],
    as_json: JsonOption = False,
) -> None:
    """Turn a spreadsheet into declarations; wrong rows are named and the good ones written. Then: headrace apply."""
    from headrace.registry.sheets import missing_assets, read_points

    imported = read_points(sheet.read_bytes(), sheet.name)
    target = folder / imported.file.name
    folder.mkdir(parents=True, exist_ok=True)
    if imported.paths:
        target.write_text(imported.file.text, encoding="utf-8")
    undeclared = missing_assets(imported.paths, _declared_assets(folder))
    if as_json:
        errors = [str(error) for error in imported.errors]
        print_json({"file": str(target), "points": len(imported.paths), "errors": errors, "undeclared": undeclared})
    else:
        note(f"{len(imported.paths)} points written to {target} (read as {imported.encoding})")
        if undeclared:
            note(f"declare these assets before you apply: {', '.join(undeclared[:10])}")
    for error in imported.errors:
        complain(error)
    if imported.errors:
        raise typer.Exit(1)


@app.command("backfill")
def backfill(
    points: Annotated[list[str], typer.Argument(help="Paths of calculated points.")],
    start: Annotated[str, typer.Option("--from", help="RFC 3339, or before now such as now-7d.")],
    end: Annotated[str | None, typer.Option("--to", help="Default: now.")] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Work calculated points out anew over a stretch of history, and wait until it is done. Ctrl-C cancels it."""
    client = connect(home, server)
    job = client.post("/calculations/backfills", {"points": points, "start": start, "end": end})
    job, cancelled = _watched(client, job)
    if as_json:
        print_json(job)
    if cancelled and job["error"]:
        note(f"{job['error']}, {job['results']} samples; the same command begins again")
        raise typer.Exit(130)
    if job["error"]:
        raise DataError(job["error"])
    if not as_json:
        note(f"done: {job['results']} samples of {len(job['points'])} points")


@app.command("export")
def export_points(
    output: Annotated[Path, typer.Argument(help="*.csv or *.xlsx to write.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write every declared point to a spreadsheet."""
    form = output.suffix.lstrip(".").lower()
    if form not in ("csv", "xlsx"):
        raise DataError(f"'{output.name}' should end in .csv or .xlsx")

    async def model() -> Any:
        from headrace.platform.offline import open_registry

        async with open_registry(home) as registry:
            return await registry.model()

    from headrace.registry.sheets import write_points

    declared = asyncio.run(model())
    output.write_bytes(write_points(declared, form))
    note(f"{len(declared.points)} points written to {output}")


def _watched(client: Client, job: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """A back-fill once it has ended, and whether Ctrl-C asked for that; a second Ctrl-C leaves without waiting."""
    route = f"/calculations/backfills/{job['id']}"
    begin_ns, length_ns = parse_time_ns(job["start"]), parse_time_ns(job["end"]) - parse_time_ns(job["start"])
    cancelled = False
    with row_bar("working out", length_ns) as bar:
        while job["ended_at"] is None:
            try:
                time.sleep(0.25)
                job = client.get(route)
                bar.advance(job["results"] - bar.rows, parse_time_ns(job["upto"]) - begin_ns)
            except KeyboardInterrupt:
                if cancelled:
                    raise
                note("cancelling: samples that are on their way are stored first")
                job, cancelled = client.post(f"{route}/cancel", {}), True
    return job, cancelled


def _range(span: dict[str, float] | list[float] | None) -> str:
    if span is None:
        return ""
    low, high = (span["low"], span["high"]) if isinstance(span, dict) else span
    return f"{low:g} … {high:g}"


def _declared_assets(folder: Path) -> set[str]:
    """What the folder declares as assets so far; a file that is not YAML is for `plan` to complain about."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    found: set[str] = set()
    for path in folder.rglob("*.yaml"):
        try:
            document = YAML(typ="safe").load(path.read_text(encoding="utf-8-sig"))
        except (YAMLError, UnicodeDecodeError):
            continue
        assets = document.get("assets") if isinstance(document, dict) else None
        found |= set(assets) if isinstance(assets, dict) else set()
    return found
