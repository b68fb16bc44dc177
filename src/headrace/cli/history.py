"""`headrace history`: the past of points, and the care of the store that holds it.

show                                        cli/history.py
export import migrate                       cli/history_export.py, history_import.py, history_migrate.py
check repair backup restore backups         cli/history_keep.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli import history_export, history_import, history_migrate
from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.history_keep import backup, backups, check, repair, restore
from headrace.cli.output import note, print_json, print_table, say
from headrace.model import quality
from headrace.model.errors import DataError

app = typer.Typer(help="Show and look after the past of points.", no_args_is_help=True)
app.command("export")(history_export.export)
app.command("import")(history_import.import_files)
app.command("migrate")(history_migrate.migrate)
for command in (check, repair, backup, restore, backups):
    app.command()(command)


@app.command()
def show(
    paths: Annotated[list[str], typer.Argument(help="Paths of points.")],
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    start: Annotated[str, typer.Option(help="RFC 3339 time, or now-<duration>.")] = "now-1h",
    end: Annotated[str, typer.Option(help="RFC 3339 time, or now.")] = "now",
    width: Annotated[str | None, typer.Option(help="Downsample to buckets of this width, such as 1m.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write *.parquet or *.csv instead.")] = None,
    limit: Annotated[int, typer.Option(help="Rows shown at most.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Show or export samples, raw and exact or downsampled."""
    client = connect(home, server)
    if output is not None:
        form = output.suffix.lstrip(".").lower()
        if form not in ("parquet", "csv"):
            raise DataError(f"'{output.name}' should end in .parquet or .csv")
        params: list[tuple[str, str]] = [("path", path) for path in paths]
        done = client.download("/history/export", output, [*params, ("start", start), ("end", end), ("format", form)])
        note(f"{_size(done)} written to {output}")
        return
    if width is not None:
        answer = client.get(
            "/history/downsample", path=paths, start=start, end=end, width=width, aggregate=["min", "mean", "max"]
        )
        if as_json:
            print_json(answer)
            return
        for series in answer["series"]:
            columns = series["columns"]
            rows = [
                (_moment(answer["start_ms"] + index * answer["width_ms"]), low, mean, high)
                for index, (low, mean, high) in enumerate(
                    zip(columns["min"], columns["mean"], columns["max"], strict=True)
                )
                if mean is not None
            ]
            say(f"{series['path']} [{series['unit']}]")
            print_table(("time", "min", "mean", "max"), rows[-limit:], empty="no samples in this time")
        return
    for path in paths:
        answer = client.get("/history/raw", path=path, start=start, end=end, limit=limit)
        if as_json:
            print_json(answer)
            continue
        say(path)
        samples = list(
            zip(answer["time"], answer["values"], (quality.name_of(code) for code in answer["quality"]), strict=True)
        )
        print_table(("time", "value", "quality"), samples, empty="no samples in this time")
        if answer["next_cursor"]:
            note(f"only the first {limit} are shown: raise --limit, shorten the time, or export with -o file.parquet")


def _moment(time_ms: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(time_ms / 1000).astimezone().isoformat(timespec="milliseconds")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{count / 1e3:.1f} kB"
