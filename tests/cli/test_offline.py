"""Commands on a home on which nobody runs: they work on the database themselves, or say who is missing."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook
from sqlalchemy import insert, select
from tests.cli.shell import headrace, refused

from headrace.access.factor_tables import totp
from headrace.cli.doctor import _history_disk
from headrace.platform.database import open_database

PLANT = """\
connections: {plc: {driver: modbus, settings: {host: 127.0.0.1, port: 15020}}}
assets: {海川: {level: site, title: {zh: 海川, en: Haichuan}}}
points:
  海川/oil: {type: float64, unit: Cel, range: [0, 120], title: {zh: 油温, en: Oil}, connection: plc,
             address: {table: holding, address: 4, encoding: float32}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    folder = tmp_path / "plant"
    folder.mkdir()
    (folder / "plant.yaml").write_text(PLANT, "utf-8")
    return folder


def test_plan_apply_export_go_round(home: Path, plant: Path, tmp_path: Path) -> None:
    said = headrace("plan", "-f", plant, "--home", home)
    assert said.status == 0
    assert "+ point 海川/oil" in said.out and "3 to create, 0 to change, 0 to remove" in said.out
    assert len(headrace("plan", "-f", plant, "--home", home, "--json").json["changes"]) == 3  # plan changed nothing

    said = headrace("apply", "-f", plant, "--home", home, "--yes", "--json")
    assert said.status == 0 and said.json["revision"] == 1

    (plant / "plant.yaml").write_text(PLANT.replace("[0, 120]", "[0, 140]"), "utf-8")
    said = headrace("plan", "-f", plant, "--home", home)
    assert "~ point 海川/oil" in said.out and "→" in said.out and "140" in said.out

    out = tmp_path / "out"
    assert headrace("export", "-f", out, "--home", home, "--json").json["files"]
    assert headrace("plan", "-f", out, "--home", home, "--json").json["changes"] == []
    assert "nothing to do" in headrace("apply", "-f", out, "--home", home).out


def test_outlets_and_ingest_maps_are_known_without_a_platform(home: Path, plant: Path) -> None:
    outward = """\
ingest: {telegraf: {rules: [{point: "海川/{field}"}]}}
outlets: {erp: {protocol: webhook, settings: {url: "https://erp.example/hook"}}}
"""
    (plant / "outward.yaml").write_text(outward, "utf-8")
    said = headrace("plan", "-f", plant, "--home", home)
    assert "+ ingest telegraf" in said.out and "+ outlet erp" in said.out
    assert headrace("apply", "-f", plant, "--home", home, "--yes").status == 0
    assert not headrace("plan", "-f", plant, "--home", home, "--json").json["changes"]


def test_what_is_not_mentioned_goes_unless_kept(home: Path, plant: Path) -> None:
    headrace("apply", "-f", plant, "--home", home, "--yes")
    (plant / "plant.yaml").write_text("assets: {b: {level: site}}", "utf-8")
    assert "- point 海川/oil" in headrace("plan", "-f", plant, "--home", home).out
    changes = headrace("plan", "-f", plant, "--home", home, "--keep", "--json").json["changes"]
    assert [(change["action"], change["key"]) for change in changes] == [("create", "b")]


def test_apply_asks_and_a_no_changes_nothing(home: Path, plant: Path) -> None:
    said = headrace("apply", "-f", plant, "--home", home, answer="n\n")
    assert said.status == 1 and "Apply this?" in said.err
    assert len(headrace("plan", "-f", plant, "--home", home, "--json").json["changes"]) == 3
    assert headrace("apply", "-f", plant, "--home", home, answer="y\n").status == 0
    assert headrace("plan", "-f", plant, "--home", home, "--json").json["changes"] == []


def test_every_error_of_a_folder_is_told_at_once(home: Path, plant: Path) -> None:
    (plant / "a.yaml").write_text("assets: {x: {level: sight}}")
    (plant / "b.yaml").write_text("asets: {}")
    said = headrace("apply", "-f", plant, "--home", home, "--yes")
    assert said.status == 1 and said.out == ""
    assert "a.yaml:1:" in said.err and "b.yaml:1:" in said.err and "'assets'" in said.err
    assert "2 to mend; nothing was changed." in said.err


@pytest.mark.parametrize(
    ("content", "expected"),
    [("assets: {海川: {level: site}}".encode("gbk"), "UTF-8"), (b"assets: [", ":1:"), (b"- 1", ":1:")],
)
def test_a_file_that_is_no_declaration(home: Path, plant: Path, content: bytes, expected: str) -> None:
    (plant / "bad.yaml").write_bytes(content)
    said = headrace("plan", "-f", plant, "--home", home)
    assert said.status == 1 and expected in said.err and "bad.yaml" in said.err and "Traceback" not in said.err


def test_a_byte_order_mark_is_no_harm(home: Path, plant: Path) -> None:
    (plant / "plant.yaml").write_bytes(codecs.BOM_UTF8 + PLANT.encode())
    assert headrace("plan", "-f", plant, "--home", home, "--json").status == 0


@pytest.mark.parametrize(
    "arguments",
    [("tail",), ("history", "show", "a/b"), ("write", "a/b", "1", "-r", "test"), ("points", "list")],
    ids=lambda arguments: arguments[0],
)
def test_clients_say_how_to_start_a_platform(home: Path, arguments: tuple[str, ...]) -> None:
    assert "headrace serve" in refused(*arguments, "--home", home)


def test_a_server_that_does_not_answer_is_named(home: Path) -> None:
    line = refused("points", "list", "--server", "http://127.0.0.1:1", "--home", home)
    assert "http://127.0.0.1:1" in line and "--server" in line


def test_a_run_file_of_a_dead_process_is_nobody(home: Path, plant: Path) -> None:
    (home / "run").mkdir(parents=True)
    (home / "run" / "server.json").write_text('{"pid": 4194305, "url": "http://127.0.0.1:1"}')
    assert headrace("plan", "-f", plant, "--home", home).status == 0
    assert "headrace serve" in refused("tail", "--home", home)


# --- spreadsheets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_points_go_to_a_spreadsheet_and_back(home: Path, plant: Path, tmp_path: Path, form: str) -> None:
    headrace("apply", "-f", plant, "--home", home, "--yes")
    sheet = tmp_path / f"points.{form}"
    said = headrace("points", "export", sheet, "--home", home)
    assert said.status == 0 and "1 points written" in said.err
    (plant / "plant.yaml").write_text(PLANT[: PLANT.index("points:")], "utf-8")
    said = headrace("points", "import", sheet, "-f", plant, "--json")
    assert said.status == 0 and said.json["points"] == 1 and said.json["undeclared"] == []
    # A sheet says what was left to its default; nothing else has changed.
    changes = headrace("plan", "-f", plant, "--home", home, "--json").json["changes"]
    assert [change["key"] for change in changes] == ["海川/oil"]
    assert {(d["field"], d["old"], d["new"]) for d in changes[0]["details"]} == {
        ("access", None, "read"),
        ("interval", None, "1s"),
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_a_sheet_from_excel_is_read_whatever_it_was_saved_as(tmp_path: Path, encoding: str) -> None:
    sheet = tmp_path / "点表.csv"
    sheet.write_bytes(
        "path,type,unit,title.zh\r\n海川/油温,float64,Cel,油温\r\n海川/压力,float64,bar,压力\r\n".encode(encoding)
    )
    said = headrace("points", "import", sheet, "-f", tmp_path / "plant", "--json")
    assert said.status == 0, said
    assert said.json["points"] == 2 and said.json["undeclared"] == ["海川"]
    assert "油温" in (tmp_path / "plant" / "点表.yaml").read_text("utf-8")


def test_a_workbook_with_a_wrong_row_brings_the_others(tmp_path: Path) -> None:
    book = Workbook()
    assert book.active is not None
    for row in (("path", "type", "unit"), ("a/b", "float64", "bar"), ("a/c", "float63", "bar")):
        book.active.append(row)
    book.save(tmp_path / "points.xlsx")
    said = headrace("points", "import", tmp_path / "points.xlsx", "-f", tmp_path / "plant")
    assert said.status == 1 and "float63" in said.err and "float64" in said.err and "1 points written" in said.err
    assert "a/b" in (tmp_path / "plant" / "points.yaml").read_text("utf-8")


def test_a_spreadsheet_has_one_of_two_forms(home: Path, tmp_path: Path) -> None:
    assert ".csv or .xlsx" in refused("points", "export", tmp_path / "points.ods", "--home", home)
    (tmp_path / "points.xlsx").write_bytes(b"no workbook")
    said = headrace("points", "import", tmp_path / "points.xlsx", "-f", tmp_path / "plant")
    assert said.status == 1 and "Traceback" not in said.err


def test_an_exported_workbook_opens(home: Path, plant: Path, tmp_path: Path) -> None:
    headrace("apply", "-f", plant, "--home", home, "--yes")
    headrace("points", "export", tmp_path / "p.xlsx", "--home", home)
    page = load_workbook(tmp_path / "p.xlsx").active
    assert page is not None and page["A2"].value == "海川/oil"


# --- doctor and user --------------------------------------------------------------------------------------------------


def test_doctor_on_a_sound_installation(home: Path) -> None:
    said = headrace("doctor", "--home", home, "--json")
    assert said.status == 0 and said.json["ok"] is True
    assert {finding["check"] for finding in said.json["findings"]} >= {"Python", "packages", "data folder", "platform"}
    text = headrace("doctor", "--home", home)
    assert text.status == 0 and "✓ Python" in text.out and "✗" not in text.out


WANTED = ["no-such-package>=1", "numpy<9,>=2", "typer!=0.1", "uvicorn[standard]~=0.30", 'nothing>1; extra == "dev"']


def test_doctor_says_when_the_disk_of_the_history_will_be_full() -> None:
    disk = {"state": "low", "free_bytes": 12_300_000_000, "needed_bytes": 300_000_000, "full_in_s": 259_200}
    found = _history_disk(disk)
    assert (found.level, found.found) == ("warn", "12.3 GB free, full in 3.0 days at the present rate")
    assert "retention" in found.advice
    assert _history_disk(disk | {"state": "enough", "full_in_s": None}).advice == ""
    assert _history_disk(disk | {"state": "full"}).level == "fail"


def test_doctor_names_what_is_missing_and_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.cli.doctor.metadata.requires", lambda name: WANTED)
    monkeypatch.setattr("headrace.cli.doctor.time.time", lambda: 0.0)
    said = headrace("doctor", "--home", home)
    assert said.status == 1 and "Traceback" not in said.err
    assert "✗ packages           missing: no-such-package\n" in said.out and "make setup" in said.out
    assert "✗ clock" in said.out and "timedatectl" in said.out
    findings = headrace("doctor", "--home", home, "--json").json
    assert findings["ok"] is False
    assert all(finding["advice"] for finding in findings["findings"] if finding["level"] != "ok")


def test_doctor_sees_a_home_that_is_open_or_is_no_folder(home: Path) -> None:
    home.mkdir(mode=0o755)
    home.chmod(0o755)  # whatever the umask
    assert f"chmod 700 {home}" in headrace("doctor", "--home", home).out
    home.rmdir()
    home.write_text("a file")
    said = headrace("doctor", "--home", home)
    assert said.status == 1 and "✗ data folder" in said.out and "please report" not in said.out


def test_user_reset_factors_lets_in_who_lost_the_phone(home: Path) -> None:
    assert headrace("serve", "--home", home, "--port", "0", "--for", "0.1", "--log", "error").status == 0
    engine = open_database(f"sqlite:///{home / 'database.db'}")
    made = {"user": "admin", "sealed": b"x", "last_step": 0, "created_ns": 0}
    with engine.begin() as connection:
        connection.execute(insert(totp).values(made))
    said = headrace("user", "reset", "admin", "--factors", "--home", home)
    assert said.status == 0 and said.out == "", said
    with engine.connect() as connection:
        assert connection.execute(select(totp)).all() == []
    engine.dispose()
    assert "nobody" in refused("user", "reset", "nobody", "--factors", "--home", home)


def test_user_reset_gives_a_password_once(home: Path) -> None:
    assert headrace("serve", "--home", home, "--port", "0", "--for", "0.1", "--log", "error").status == 0
    first, second = (
        headrace("user", "reset", "admin", "--home", home),
        headrace("user", "reset", "admin", "--home", home),
    )
    assert first.status == second.status == 0
    assert len(first.out.strip()) >= 12 and first.out != second.out
    assert "nobody" in refused("user", "reset", "nobody", "--home", home)
