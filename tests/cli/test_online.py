"""Commands as clients of one running platform with one small Modbus device."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
from tests.cli.shell import headrace, refused
from tests.e2e.modbus_device import DeviceProcess
from tests.e2e.platform_process import PlatformProcess, environment, platform_process, wait_for

from headrace.cli.client import connect

COUNT, SETPOINT, VALVE = "acme/cell/count", "acme/cell/setpoint", "acme/cell/valve"


def declaration(port: int) -> str:
    return f"""\
connections: {{plc: {{driver: modbus, settings: {{host: 127.0.0.1, port: {port}}}}}}}
assets: {{acme: {{level: site}}, acme/cell: {{level: cell}}}}
points:
  {COUNT}: {{type: int64, interval: 100ms, connection: plc, title: {{en: Pieces, zh: 件数}},
             address: {{table: holding, address: 0, encoding: uint32}}}}
  {SETPOINT}: {{type: float64, unit: bar, range: [0, 100], access: read-write, write_range: [10, 90], interval: 100ms,
                decimals: 1, connection: plc, address: {{table: holding, address: 300, encoding: float32}}}}
  {VALVE}: {{type: bool, access: read-write, interval: 100ms, connection: plc, address: {{table: coil, address: 0}}}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    folder = tmp_path_factory.mktemp("site")
    with DeviceProcess() as device:
        (folder / "plant.yaml").write_text(declaration(device.port), "utf-8")
        with platform_process(folder / "home", "-f", str(folder / "plant.yaml")) as platform:
            client = platform.start()
            wait_for(lambda: client.get("/latest", path=[COUNT, SETPOINT, VALVE])["quality"] == [0] * 3, 20, "values")
            yield platform


@pytest.fixture
def home(site: PlatformProcess) -> Path:
    return site.home


@pytest.fixture
def plant(home: Path) -> Path:
    return home.with_name("plant.yaml")


# --- calculated points ------------------------------------------------------------------------------------------------


def test_a_backfill_is_waited_for_and_ctrl_c_cancels_it(home: Path, plant: Path, tmp_path: Path) -> None:
    more, double = tmp_path / "plant.yaml", "acme/cell/double"
    more.write_text(plant.read_text("utf-8") + f"  {double}: {{expression: 2 * count}}\n", "utf-8")
    assert headrace("apply", "-f", more, "--home", home, "--yes").status == 0
    done = headrace("points", "backfill", double, "--from", "now-1h", "--home", home)
    assert done.status == 0 and "of 1 points" in done.err, done
    command = ["points", "backfill", double, "--from", "1990-01-01T00:00:00Z", "--home", str(home), "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "headrace", *command],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        client = connect(home, None)
        where = "/calculations/backfills"
        wait_for(
            lambda: (one := client.get(where)[0])["start"][:4] == "1990" and one["upto"] > one["start"],
            30,
            "the back-fill to go on",
        )
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and "cancelled by" in err and "worked out up to" in err, err
    job = orjson.loads(out)
    assert job["ended_at"] is not None and job["start"] < job["upto"] < job["end"]
    assert client.get(where)[0] == job
    assert headrace("apply", "-f", plant, "--home", home, "--yes").status == 0


# --- declarations -----------------------------------------------------------------------------------------------------


def test_plan_and_export_speak_with_the_platform(home: Path, plant: Path, tmp_path: Path) -> None:
    said = headrace("plan", "-f", plant, "--home", home)
    assert said.status == 0 and "nothing to do" in said.out
    assert headrace("export", "-f", tmp_path, "--home", home, "--json").json["files"]
    assert headrace("plan", "-f", tmp_path, "--home", home, "--json").json["changes"] == []


def test_apply_is_live_at_once(home: Path, plant: Path, tmp_path: Path) -> None:
    more = tmp_path / "plant.yaml"
    more.write_text(plant.read_text("utf-8") + "  acme/cell/new: {type: float64}\n", "utf-8")
    said = headrace("apply", "-f", more, "--home", home, "--yes")
    assert said.status == 0 and "1 created, 0 changed, 0 removed" in said.out
    assert headrace("points", "list", "-q", "new", "--home", home, "--json").json["total"] == 1
    said = headrace("apply", "-f", plant, "--home", home, "--yes", "--json")
    assert said.status == 0 and [change["action"] for change in said.json["changes"]] == ["remove"]
    assert headrace("points", "list", "-q", "new", "--home", home).out.strip() == "no points"


def test_a_platform_tells_errors_as_the_file_does(home: Path, plant: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("asets: {}")
    said = headrace("plan", "-f", tmp_path, "--home", home)
    assert said.status == 1 and "bad.yaml:1:1: " in said.err and said.out == ""


# --- points, tail, write ----------------------------------------------------------------------------------------------


def test_points_are_listed(home: Path) -> None:
    said = headrace("points", "list", "--home", home)
    assert said.status == 0 and "0 … 100" in said.out and "read-write" in said.out and "plc" in said.out
    assert headrace("points", "list", "acme/cell", "--home", home, "--json").json["total"] == 3
    assert "2 of 3 shown" not in headrace("points", "list", "--home", home).err
    assert "2 of 3 shown" in headrace("points", "list", "--limit", "2", "--home", home).err
    assert "nowhere" in refused("points", "list", "nowhere", "--home", home)


@pytest.mark.parametrize("paths", [(), ("acme",), (COUNT,), ("acme/cell", SETPOINT)], ids=len)
def test_tail_ends_after_so_many_values(home: Path, paths: tuple[str, ...]) -> None:
    said = headrace("tail", *paths, "-n", "4", "--home", home)
    assert said.status == 0 and len(said.out.splitlines()) == 4 and COUNT in said.out


def test_tail_as_json_is_one_object_a_line(home: Path) -> None:
    lines = [
        orjson.loads(line) for line in headrace("tail", COUNT, "-n", "3", "--json", "--home", home).out.splitlines()
    ]
    values = [line["value"] for line in lines]
    assert values == sorted(values) and len(values) == 3
    assert {(line["path"], line["quality"]) for line in lines} == {(COUNT, "Good")}


def test_tail_of_nothing_is_told(home: Path) -> None:
    assert "neither an asset nor a point" in refused("tail", "acme/sell", "--home", home)


def test_tail_ends_quietly_by_ctrl_c(home: Path) -> None:
    command = [sys.executable, "-m", "headrace", "tail", "--home", str(home)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert "Traceback" not in process.stderr.read()


def test_tail_into_a_pipe_that_closes(home: Path) -> None:
    command = f'"{sys.executable}" -m headrace tail --home "{home}" | head -n 2'
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), timeout=60)
    assert len(run.stdout.splitlines()) == 2
    assert "Traceback" not in run.stderr and "BrokenPipe" not in run.stderr


def test_a_write_is_confirmed_by_the_device(home: Path) -> None:
    said = headrace("write", SETPOINT, "42.5", "--reason", "trial", "--home", home)
    assert said.status == 0, said
    assert said.out == f"confirmed: {SETPOINT} is 42.5 bar\n"
    said = headrace("write", VALVE, "on", "-r", "trial", "--home", home, "--json")
    assert said.status == 0 and said.json["state"] == "confirmed" and said.json["read_back"] is True
    wait_for(lambda: "42.5 bar" in headrace("tail", SETPOINT, "-n", "1", "--home", home).out, 20, "the new value")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (SETPOINT, "95", "90"),
        (SETPOINT, "much", "not a float64 value"),
        (SETPOINT, "nan", "nan"),
        (VALVE, "maybe", "neither true nor false"),
        (COUNT, "1", "read"),
        ("acme/cell/none", "1", "acme/cell/none"),
    ],
)
def test_a_write_is_refused_with_the_reason(home: Path, path: str, value: str, expected: str) -> None:
    assert expected in refused("write", path, value, "-r", "trial", "--home", home).lower()


# --- history ----------------------------------------------------------------------------------------------------------


def test_history_as_table_json_and_files(home: Path, tmp_path: Path) -> None:
    text = headrace("history", "show", COUNT, "--home", home)
    assert text.status == 0 and "Good" in text.out and COUNT in text.out
    page = headrace("history", "show", COUNT, "--home", home, "--json").json
    assert page["values"] == sorted(page["values"]) and page["path"] == COUNT
    end = page["time"][-1]
    for name in ("x.csv", "x.parquet"):
        said = headrace("history", "show", COUNT, SETPOINT, "--end", end, "--home", home, "-o", tmp_path / name)
        assert said.status == 0 and said.out == "" and f"written to {tmp_path / name}" in said.err
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text("utf-8").splitlines()))
    table = pq.read_table(tmp_path / "x.parquet")
    counts = [int(row["value"]) for row in rows if row["path"] == COUNT]
    assert counts == page["values"][:-1]
    assert len(rows) == len(table)
    assert [value for value in table["int64"].to_pylist() if value is not None] == counts
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x.parquet"]


def test_history_of_many_points_as_json_is_one_document_a_line(home: Path) -> None:
    said = headrace("history", "show", COUNT, SETPOINT, "--home", home, "--limit", "2", "--json")
    assert [orjson.loads(line)["path"] for line in said.out.splitlines()] == [COUNT, SETPOINT]


def test_history_in_buckets(home: Path) -> None:
    said = headrace("history", "show", COUNT, "--width", "1s", "--home", home)
    assert said.status == 0 and "mean" in said.out
    columns = headrace("history", "show", COUNT, "--width", "1s", "--home", home, "--json").json["series"][0]["columns"]
    assert set(columns) == {"min", "mean", "max"} and any(value is not None for value in columns["mean"])


def test_history_says_when_there_is_more_and_when_there_is_nothing(home: Path) -> None:
    said = headrace("history", "show", COUNT, "--limit", "1", "--home", home)
    assert "--limit" in said.err
    said = headrace(
        "history", "show", COUNT, "--start", "2001-01-01T00:00:00Z", "--end", "2001-01-02T00:00:00Z", "--home", home
    )
    assert said.status == 0 and "no samples" in said.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((COUNT, "--start", "yesterday"), "not a time"),
        ((COUNT, "--start", "now", "--end", "now-1h"), "before"),
        ((COUNT, "--width", "soon"), "soon"),
        (("acme/none",), "acme/none"),
        ((COUNT, "-o", "x.xls"), ".parquet or .csv"),
        (("acme/none", "-o", "x.csv"), "acme/none"),
    ],
)
def test_history_refuses_in_one_line(
    home: Path, arguments: tuple[str, ...], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in refused("history", "show", *arguments, "--home", home)
    assert not list(tmp_path.iterdir())


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_doctor_visits_the_platform(home: Path) -> None:
    said = headrace("doctor", "--home", home)
    assert said.status == 0 and "✓ plc" in said.out and "connected, 3 points" in said.out and "✓ platform" in said.out
    findings = headrace("doctor", "--home", home, "--json").json["findings"]
    assert {finding["check"]: finding["level"] for finding in findings}["plc"] == "ok"


def test_a_password_is_not_reset_under_a_running_platform(home: Path) -> None:
    assert "is running" in refused("user", "reset", "admin", "--home", home)


def test_home_url_and_token_may_come_from_the_surroundings(site: PlatformProcess, tmp_path: Path) -> None:
    token = (site.home / "run" / "local.token").read_text().strip()
    url = headrace("doctor", HEADRACE_HOME=str(site.home)).out.split(" at ")[1].split()[0]
    said = headrace("points", "list", "--json", HEADRACE_URL=url, HEADRACE_TOKEN=token, HEADRACE_HOME=str(tmp_path))
    assert said.status == 0 and said.json["total"] == 3
    line = refused("points", "list", HEADRACE_URL=url, HEADRACE_TOKEN="no such token", HEADRACE_HOME=str(tmp_path))
    assert "HEADRACE_TOKEN" in line or "token" in line.lower() or "sign in" in line.lower()


# --- stream functions -------------------------------------------------------------------------------------------------

MEAN = """
from headrace.sdk.stream import reduced
mean = reduced("mean", {"mean": ("count", "mean", "")}, inputs={"count": "count int64"}, window="1s", version="%s")
"""


def test_stream_functions_by_way_of_the_platform(site: PlatformProcess, home: Path, tmp_path: Path) -> None:
    source = tmp_path / "mean.py"
    for version in ("1", "2"):
        source.write_text(MEAN % version, "utf-8")
        assert f"mean {version} is shadow" in headrace("stream", "add", source, "--home", home).err
    assert "active" in headrace("stream", "promote", "mean", "1", "--why", "first", "--home", home).err

    def listed() -> dict[str, dict[str, object]]:
        rows = headrace("stream", "list", "--json", "--home", home).json
        return {row["version"]: row for row in rows}

    def compared() -> bool:
        rows = listed()
        different = rows["2"]["difference"]
        return isinstance(different, dict) and different["same"] > 0

    wait_for(compared, 60, "a shadow that is compared", listed)
    assert listed()["1"]["run"]["running"] is True  # type: ignore[index]
    assert "mean" in headrace("stream", "list", "--home", home).out
    assert "no version before" in refused("stream", "rollback", "mean", "--home", home)
    assert "known: 1, 2" in refused("stream", "promote", "mean", "9", "--home", home)
    for version in ("1", "2"):
        assert headrace("stream", "retire", "mean", version, "--home", home).status == 0
    assert "first" in headrace("stream", "journal", "--home", home).out
    told = headrace("audit", "tail", "-n", 100, "--json", "--home", home).out
    acts = [orjson.loads(line)["action"] for line in told.splitlines()]
    assert acts.count("stream.add") == 2 and acts.count("stream.retire") == 2 and "stream.promote" in acts
