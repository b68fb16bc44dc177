"""`headrace sql`: ask history in SQL. A client of `POST /history/sql`; without a statement it is a small prompt.

statement ─► JSON ─► table, --json, --csv, -o *.csv
          └► Arrow ─► -o *.parquet
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from headrace.cli.client import DEFAULT_HOME, Client, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import complain, note, print_json, print_table, say
from headrace.model.errors import DataError, HeadraceError
from headrace.model.text import guarded

ROUTE = "/history/sql"
ARROW_STREAM = "application/vnd.apache.arrow.stream"
SHOWN_MAX, WRITTEN_MAX = 1_000, 1_000_000
CELL_WIDTH_MAX = 200


def sql(
    statement: Annotated[
        str | None, typer.Argument(help="One SELECT over samples, minutes, points, assets; none opens a prompt.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    timezone: Annotated[str, typer.Option(help="Where days begin, such as Asia/Shanghai.")] = "UTC",
    limit: Annotated[
        int | None, typer.Option(min=1, max=WRITTEN_MAX, help="Rows at most: 1000 shown, 1000000 written.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write *.parquet or *.csv instead.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask history in SQL, read-only."""
    if output is not None and output.suffix.lower() not in (".parquet", ".csv"):
        raise DataError(f"'{output.name}' should end in .parquet or .csv")
    client = connect(home, server)
    if statement is None and sys.stdin.isatty():
        _prompt(client, timezone, limit or SHOWN_MAX)
        return
    text = sys.stdin.read() if statement is None else statement
    few = output is None and not as_csv and not as_json
    limit = limit or (SHOWN_MAX if few else WRITTEN_MAX)
    body = {"sql": text, "timezone": timezone, "limit": limit}
    if output is not None and output.suffix.lower() == ".parquet":
        _write_parquet(client, body, output)
        return
    answer = client.post(ROUTE, body)
    if output is not None:
        with output.open("w", encoding="utf-8", newline="") as file:
            _write_csv(answer, file)
        note(f"{len(answer['rows'])} rows written to {output}")
    elif as_json:
        print_json(answer)
    elif as_csv:
        _write_csv(answer, sys.stdout)
    else:
        _show(answer)
    _warn(answer["truncated"], limit)


def _show(answer: dict[str, Any]) -> None:
    names = [column["name"] for column in answer["columns"]]
    print_table(names, [[_cell(value) for value in row] for row in answer["rows"]], empty="no rows")


def _cell(value: Any) -> str | None:
    """A float by its shortest text, as everywhere; very long text shortened."""
    text = None if value is None else str(value)
    return text if text is None or len(text) <= CELL_WIDTH_MAX else f"{text[:CELL_WIDTH_MAX]}…"


def _write_csv(answer: dict[str, Any], file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow([column["name"] for column in answer["columns"]])
    writer.writerows([_csv_cell(value) for value in row] for row in answer["rows"])


def _csv_cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else guarded(value) if isinstance(value, str) else value


def _write_parquet(client: Client, body: dict[str, Any], output: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    response = client.post_for(ARROW_STREAM, ROUTE, body)
    table = pa.ipc.open_stream(response.content).read_all()
    partial = output.with_name(output.name + ".partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(output)
    note(f"{table.num_rows} rows written to {output}")
    _warn(response.headers.get("X-Headrace-Truncated") == "true", body["limit"])


def _warn(truncated: bool, limit: int) -> None:
    if truncated:
        note(f"there is more: this stops at {limit} rows or 32 MiB; raise --limit, aggregate, or use history export")


def _prompt(client: Client, timezone: str, limit: int) -> None:
    """Statements over several lines, each ended by `;`. Ctrl-D leaves."""
    try:
        import readline  # noqa: F401  # gives `input` its keys and its memory
    except ImportError:
        pass
    note("tables: samples, minutes, points, assets. End a statement with ';', leave with Ctrl-D")
    lines: list[str] = []
    while True:
        try:
            line = input("  ...> " if lines else "  sql> ")
        except EOFError:
            say()
            return
        lines.append(line)
        if not line.rstrip().endswith(";"):
            lines = [] if not "".join(lines).strip() else lines
            continue
        try:
            answer = client.post(ROUTE, {"sql": "\n".join(lines), "timezone": timezone, "limit": limit})
            _show(answer)
            _warn(answer["truncated"], limit)
        except HeadraceError as error:
            complain(error)
        lines = []
