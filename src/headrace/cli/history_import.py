"""`headrace history import`: files of history into a running platform. Reads here, checks there too.

GET /points ─► what is declared ─► import_files.py ─► blocks ─► POST /history/import, one request a file ─► what came in
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from headrace.cli.client import DEFAULT_HOME, Client, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.import_cells import Clock
from headrace.cli.import_files import Findings, Reading, import_schema, read_file
from headrace.cli.output import note, print_json, say
from headrace.cli.progress import RowBar, row_bar
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError

SHOWN_MAX = 20
PAGE = 5_000


def import_files(
    files: Annotated[
        list[Path], typer.Argument(help="*.csv or *.parquet, also gzipped.", exists=True, dir_okay=False, readable=True)
    ],
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="COLUMN=time|path|value|quality|received, COLUMN=path/of/point, or COLUMN= to leave out."
        ),
    ] = None,
    asset: Annotated[str, typer.Option(help="Asset that the columns of a wide file belong to.")] = "",
    timezone: Annotated[str, typer.Option(help="Of times that carry no offset, such as Asia/Shanghai.")] = "UTC",
    time_format: Annotated[str, typer.Option(help="Of unusual times, as strptime: '%d/%m/%Y %H:%M'.")] = "",
    encoding: Annotated[str, typer.Option(help="Of the files, where it is not told right.", show_default="told")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, store nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring history in. Wrong rows are named and the good ones stored; doing it again changes nothing."""
    client = connect(home, server)
    try:
        clock = Clock(ZoneInfo(timezone), timezone, time_format)
    except (KeyError, ValueError, OSError):
        raise DataError(f"'{timezone}' is no time zone, such as UTC or Asia/Shanghai") from None
    reading = Reading(clock, declared(client), _columns(columns or []), asset.strip("/"), encoding)
    reports = [_bring_in(client, file, reading, dry_run) for file in files]
    if as_json:
        print_json({"files": reports, "dry_run": dry_run})
    else:
        for report in reports:
            _tell(report, reading, dry_run)
    if any(report["wrong_rows"] or report["refused"] or not report["rows"] for report in reports):
        raise typer.Exit(1)


def declared(client: Client) -> dict[str, ValueKind]:
    """Every point and what its values are."""
    found: dict[str, ValueKind] = {}
    cursor = None
    while True:
        page = client.get("/points", limit=PAGE, cursor=cursor)
        found.update((point["path"], ValueKind.from_label(point["kind"])) for point in page["points"])
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def _columns(entries: list[str]) -> dict[str, str]:
    columns = {}
    for entry in entries:
        name, equals, target = entry.rpartition("=")
        if not equals:
            raise DataError(f"--map '{entry}' should be COLUMN=TARGET, such as datetime=time")
        columns[name] = target.strip()
    return columns


def _bring_in(client: Client, file: Path, reading: Reading, dry_run: bool) -> dict[str, Any]:
    findings = Findings()
    params = {"label": file.name[:200], "dry_run": str(dry_run).lower()}
    with row_bar(file.name, file.stat().st_size) as bar:
        body = _stream(file, reading, findings, bar)
        headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
        with client.streaming("POST", "/history/import", params=params, content=body, headers=headers) as response:
            response.read()
            answer = response.json()
    return {
        "file": str(file),
        "rows": answer["rows"],
        "points": answer["points"],
        "wrong_rows": findings.count,
        "wrong": findings.rows,
        "unknown": dict(findings.unknown),
        "refused": answer["refused"],
    }


def _stream(file: Path, reading: Reading, findings: Findings, bar: RowBar) -> Iterator[bytes]:
    """The file as an Arrow stream, a block at a time: as fast as it is taken."""
    import pyarrow as pa

    sink = _Outlet()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), import_schema(), options=options) as writer:
        for block in read_file(file, reading, findings):
            writer.write_batch(block.batch)
            yield sink.take()
            bar.advance(block.batch.num_rows, block.position)
    yield sink.take()


def _tell(report: dict[str, Any], reading: Reading, dry_run: bool) -> None:
    for line in report["wrong"][:SHOWN_MAX]:
        say(f"✗ {line}", err=True, fg="red")
    if report["wrong_rows"] > SHOWN_MAX:
        say(f"✗ {report['wrong_rows']} rows of {report['file']} are wrong in all", err=True, fg="red")
    for one in report["refused"][:SHOWN_MAX]:
        say(f"✗ {one['path']} {one['reason']}: {one['rows']} rows refused", err=True, fg="red")
    pool = list(reading.points)[:20_000]
    for path, rows in list(report["unknown"].items())[:SHOWN_MAX]:
        near = difflib.get_close_matches(path, pool, 1, 0.6)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        say(f"✗ '{path}' is no declared point, {rows} samples left out{hint}", err=True, fg="yellow")
    if len(report["unknown"]) > SHOWN_MAX:
        note(f"and {len(report['unknown']) - SHOWN_MAX} more names that are no point")
    done = "could be brought in" if dry_run else "brought in"
    note(f"{report['file']}: {report['rows']} samples of {report['points']} points {done}")


class _Outlet:
    """A file to write to whose bytes are taken away as they come."""

    closed = False

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._position = 0

    def write(self, data: Any) -> int:
        self._chunks.append(bytes(data))
        self._position += len(self._chunks[-1])
        return len(self._chunks[-1])

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def take(self) -> bytes:
        chunks, self._chunks = self._chunks, []
        return b"".join(chunks)
