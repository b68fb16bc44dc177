"""Files of history, out and in, through a real platform: exact both ways, and every wrong row named."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.shell import headrace, refused
from tests.e2e.platform_process import PlatformProcess, platform_process

from headrace.cli.client import connect

DATA = Path(os.environ.get("HEADRACE_DATA") or Path(__file__).parents[3] / "shared" / "data")
SPAN = ("--start", "1990-01-01T00:00:00Z", "--end", "2100-01-01T00:00:00Z")
FLOW = "skab/rig/Volume Flow RateRMS"
SKAB = ["Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Temperature", "Thermocouple", "Voltage"]
PLANT = """\
assets: {a: {level: site}, b: {level: site}, skab: {level: site}, skab/rig: {level: equipment}}
points:
  a/t: {type: float64, unit: Cel}
  a/n: {type: int64}
  a/on: {type: bool}
  a/order: {type: text}
  b/t: {type: float64}
  skab/rig/flow: {type: float64}
""" + "".join(f"  skab/rig/{name}: {{type: float64}}\n" for name in SKAB)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "plant.yaml").write_text(PLANT, "utf-8")
    with platform_process(folder / "home", "-f", str(folder / "plant.yaml")) as platform:
        platform.start()
        yield platform


@pytest.fixture
def home(site: PlatformProcess) -> Path:
    return site.home


def raw(home: Path, path: str, **span: str) -> list[tuple[str, Any, int]]:
    asked = {"start": "1990-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z", **span}
    answer = connect(home, None).get("/history/raw", path=path, **asked)
    return list(zip(answer["time"], answer["values"], answer["quality"], strict=True))


def test_long_csv_comes_in_and_wrong_rows_are_named(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "late.csv"
    file.write_text(
        "path,time,value,quality\n"
        "a/t,2026-01-01T00:00:00Z,20.5,good\n"
        "a/t,2026-01-01T08:00:01.123456789+08:00,1e-3,Bad\n"
        "a/t,yesterday,1,good\n"
        'a/t,2026-01-01T00:00:02Z,"3,5",good\n'
        "a/n,2026-01-01T00:00:00Z,9007199254740993,0x40900000\n"
        "a/n,2026-01-01T00:00:01Z,1.5,good\n"
        "a/on,2026-01-01 00:00:00,是,good\n"
        'a/order,2026-01-01T00:00:00Z,"line 1\nline 2 ""q""",good\n'
        "a/order,1767225601,after,fine\n"
        "a/orders,2026-01-01T00:00:00Z,x,good\n"
        "a/t,2026-01-01T00:00:03Z\n"
        "a/order,1767225602,油温,good\n",
        "utf-8",
    )
    dry = headrace("history", "import", file, "--dry-run", "--home", home, "--json")
    assert dry.status == 1 and dry.json["files"][0]["rows"] == 6 and raw(home, "a/t") == []
    said = headrace("history", "import", file, "--home", home)
    assert said.status == 1 and "6 samples of 4 points brought in" in said.err and said.out == ""
    for expected in (
        "late.csv:4: 'yesterday' is no time",
        "late.csv:5: '3,5' is not a float64 value",
        "late.csv:7: '1.5' is not a int64 value",
        "late.csv:11: 'fine' is no quality",
        "late.csv:13: 2 cells, but the header has 4",
        "'a/orders' is no declared point, 1 samples left out; did you mean 'a/order'?",
    ):
        assert expected in said.err, said.err
    assert raw(home, "a/t") == [
        ("2026-01-01T00:00:00.000000000Z", 20.5, 0),
        ("2026-01-01T00:00:01.123456789Z", 0.001, 0x80000000),
    ]
    assert raw(home, "a/n") == [("2026-01-01T00:00:00.000000000Z", "9007199254740993", 0x40900000)]
    assert raw(home, "a/on")[0][1] is True
    assert [value for _, value, _ in raw(home, "a/order")] == ['line 1\nline 2 "q"', "油温"]


def test_what_was_exported_comes_back_exactly_and_twice_changes_nothing(home: Path, tmp_path: Path) -> None:
    client = connect(home, None)
    floats = np.array([0.1, -0.0, 1e300, 5e-324, np.inf, np.nan, *np.random.default_rng(3).random(70_000)])
    table = pa.table(
        {
            "path": pa.array(["b/t"] * len(floats)).dictionary_encode(),
            "source_time": pa.array(np.arange(len(floats)) * 1_234_567 + 10**18).view(pa.timestamp("ns", tz="UTC")),
            "float64": floats,
            "quality": pa.array(np.arange(len(floats)) % 3, pa.uint32()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with client.streaming("POST", "/history/import", content=sink.getvalue().to_pybytes()) as response:
        response.read()
        assert response.json() == {"rows": len(floats), "points": 1, "refused": []}
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    said = headrace("history", "export", "b/t", *SPAN, "-o", first, "--home", home, "--json")
    assert said.json["rows"] == len(floats)
    got = pq.read_table(first)
    assert np.array_equal(got["float64"].to_numpy().view(np.int64), floats.view(np.int64))
    for _ in range(2):
        assert headrace("history", "import", first, "--home", home).status == 0
    headrace("history", "export", "--asset", "b", *SPAN, "-o", second, "--home", home)
    again = pq.read_table(second)
    assert again.drop_columns("float64").equals(got.drop_columns("float64"))
    assert np.array_equal(again["float64"].to_numpy().view(np.int64), floats.view(np.int64))
    lines = tmp_path / "lines.csv"
    assert headrace("history", "export", "--asset", "b", *SPAN, "-o", lines, "--bom", "--home", home).status == 0
    assert lines.read_bytes().startswith(b"\xef\xbb\xbfpath,")
    assert headrace("history", "import", lines, "--home", home).status == 0
    headrace("history", "export", "--all", *SPAN, "-o", second, "--home", home)
    everything = pq.read_table(second)
    assert everything.filter(pa.compute.equal(everything["path"].cast(pa.string()), "b/t")).num_rows == len(floats)
    audit = connect(home, None).get("/audit")["entries"]
    assert {entry["subject"] for entry in audit if entry["action"] == "history.import"} >= {
        "first.parquet",
        "lines.csv",
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_wide_csv_in_any_encoding_and_zone(home: Path, tmp_path: Path, encoding: str, packed: bool) -> None:
    file = tmp_path / ("wide.csv.gz" if packed else "wide.csv")
    content = "时间;油温;n;备注\n2027-03-01 08:00:00;1.5;7;x\n2027-03-01 08:00:01.5;;8;y\n".encode(encoding)
    file.write_bytes(gzip.compress(content) if packed else content)
    said = headrace(
        "history", "import", file, "--asset", "a", "--map", "油温=a/t", "--map", "备注=", "--timezone", "Asia/Shanghai",
        "--home", home, "--json",
    )  # fmt: skip
    assert said.status == 0 and said.json["files"][0]["rows"] == 3, said
    assert said.json["files"][0]["unknown"] == {}
    assert raw(home, "a/t", start="2027-01-01T00:00:00Z") == [("2027-03-01T00:00:00.000000000Z", 1.5, 0)]
    assert [time for time, _, _ in raw(home, "a/n", start="2027-01-01T00:00:00Z")] == [
        "2027-03-01T00:00:00.000000000Z",
        "2027-03-01T00:00:01.500000000Z",
    ]


def test_files_that_cannot_be_understood(home: Path, tmp_path: Path) -> None:
    def complaint(content: bytes, *options: str, name: str = "x.csv") -> str:
        (tmp_path / name).write_bytes(content)
        return refused("history", "import", tmp_path / name, *options, "--home", home)

    assert "is empty" in complaint(b"")
    assert "has no column of times" in complaint(b"a,b\n1,2\n")
    assert "has no column 'when'" in complaint(b"time,b\n1,2\n", "--map", "when=time")
    assert "should be COLUMN=TARGET" in complaint(b"time,b\n1,2\n", "--map", "when")
    assert "is no time zone" in complaint(b"time,b\n1,2\n", "--timezone", "Mars")
    assert "there is no encoding" in complaint(b"time,b\n1,2\n", "--encoding", "klingon")
    assert "damaged gzip" in complaint(gzip.compress(b"time,b\n1,2\n" * 99)[:-20], name="x.csv.gz")
    assert "damaged Parquet" in complaint(b"PAR1" + bytes(99) + b"PAR1", name="x.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "y.parquet")
    assert "not as `history export` writes it" in refused("history", "import", tmp_path / "y.parquet", "--home", home)
    assert "name points, or --asset, or --all" in refused("history", "export", "-o", "x.csv", "--home", home)
    assert ".parquet or .csv" in refused("history", "export", "a/t", "-o", "x.txt", "--home", home)
    assert "no point 'nowhere'" in refused("history", "export", "nowhere", "-o", tmp_path / "x.csv", "--home", home)
    assert not list(tmp_path.glob("*.partial"))


def test_a_real_recording_semicolons_and_all(home: Path, tmp_path: Path) -> None:
    recording = DATA / "ai" / "skab" / "anomaly-free" / "anomaly-free.csv"
    if not recording.exists():
        pytest.skip("the SKAB recording is not here: set HEADRACE_DATA to the folder of public data sets")
    said = headrace(
        "history", "import", recording, "--asset", "skab/rig", "--map", "Volume Flow RateRMS=skab/rig/flow",
        "--home", home, "--json",
    )  # fmt: skip
    rows = list(csv.DictReader(recording.open(), delimiter=";"))
    report = said.json["files"][0]
    assert (said.status, report["rows"], report["points"]) == (0, 8 * len(rows), 8)
    found = headrace(
        "sql", "SELECT avg(value), count(*) FROM samples WHERE path = 'skab/rig/flow'", "--home", home, "--json"
    )
    ((mean, count),) = found.json["rows"]
    assert count == len(rows) and mean == pytest.approx(np.mean([float(row["Volume Flow RateRMS"]) for row in rows]))


def test_a_real_table_with_days_first_and_gaps(home: Path, tmp_path: Path) -> None:
    table = DATA / "ai" / "steel_energy" / "Steel_industry_data.csv"
    if not table.exists():
        pytest.skip("the steel energy table is not here: set HEADRACE_DATA to the folder of public data sets")
    said = headrace(
        "history", "import", table, "--map", "Usage_kWh=b/t", "--map", "NSM=a/n", "--map", "Day_of_week=a/order",
        "--time-format", "%d/%m/%Y %H:%M", "--timezone", "Asia/Seoul", "--home", home, "--json",
    )  # fmt: skip
    report = said.json["files"][0]
    assert said.status == 0 and report["rows"] == 3 * 35_040 and len(report["unknown"]) == 7
    first = raw(home, "a/order", start="2017-12-31T00:00:00Z", end="2018-01-01T00:00:00Z")[0]
    assert first == ("2017-12-31T15:00:00.000000000Z", "Monday", 0) or first[1] == "Monday"


# --- sql --------------------------------------------------------------------------------------------------------------


def test_sql_as_table_json_csv_and_files(home: Path, tmp_path: Path) -> None:
    query = "SELECT path, unit, declared FROM points WHERE asset = 'a' ORDER BY path"
    said = headrace("sql", query, "--home", home)
    assert said.status == 0 and "a/t" in said.out and "Cel" in said.out and said.err == ""
    assert headrace("sql", query, "--home", home, "--json").json["rows"][3] == ["a/t", "Cel", True]
    assert headrace("sql", query, "--home", home, "--csv").out.splitlines()[:2] == ["path,unit,declared", "a/n,1,true"]
    assert headrace("sql", "--home", home, "--csv", answer="SELECT 1 AS one").out == "one\r\n1\r\n"
    assert headrace("sql", query, "-o", tmp_path / "p.parquet", "--home", home).status == 0
    assert pq.read_table(tmp_path / "p.parquet")["path"].to_pylist() == ["a/n", "a/on", "a/order", "a/t"]
    assert headrace("sql", query, "-o", tmp_path / "p.csv", "--home", home).status == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 5
    said = headrace("sql", "SELECT * FROM range(5)", "--limit", "2", "--home", home)
    assert "there is more" in said.err
    assert headrace("sql", "SELECT * FROM points WHERE false", "--home", home).out == "no rows\n"
    assert ".parquet or .csv" in refused("sql", query, "-o", "p.txt", "--home", home)
    assert "no files, no network" in refused("sql", "SELECT * FROM '/etc/passwd.csv'", "--home", home)
