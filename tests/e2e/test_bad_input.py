"""What goes wrong on a real site, seen from the command: each time one clear line, and the rest goes on."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.cli.shell import headrace
from tests.e2e.modbus_device import DeviceProcess
from tests.e2e.platform_process import headrace as process
from tests.e2e.platform_process import platform_process, wait_for


def served(*arguments: str) -> str:
    """Stderr of a platform that must not start, in a process of its own, without a traceback."""
    run = process("serve", "--port", "0", *arguments)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    return run.stderr


def said(*arguments: str) -> str:
    """Stderr of a command that must fail, without a traceback."""
    run = headrace(*arguments)
    assert run.status == 1, run.out + run.err
    assert "Traceback" not in run.err
    return run.err


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert port in served("--home", str(tmp_path / "home"), "--port", port)


def test_one_home_has_one_platform(tmp_path: Path) -> None:
    with platform_process(tmp_path / "home") as platform:
        platform.start()
        assert platform.process is not None
        message = served("--home", str(tmp_path / "home"))
        assert str(platform.process.pid) in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("points: {a/b: {tpye: float64}}", "p.yaml:1:16: "),
        ("assets: {a: {level: site}}\npoints: {a/b: {type: float64, unit: degC}}", "Cel"),
        ("connections: {c: {driver: modbsu, settings: {}}}", "modbus"),
        ("connections: {c: {driver: modbus, settings: {host: h, port: 70000}}}", "65535"),
        (
            "connections: {c: {driver: modbus, settings: {host: h}}}\nassets: {a: {level: site}}\n"
            "points: {a/b: {type: float64, connection: c, address: {table: holding, address: 70000}}}",
            "65535",
        ),
        ("assets: {a: {level: site}, a: {level: site}}", "p.yaml:1:28"),
    ],
)
def test_a_wrong_declaration_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    message = said("plan", "-f", str(tmp_path / "p.yaml"), "--home", str(tmp_path / "home"))
    assert expected in message


def test_an_empty_folder_says_how_to_begin(tmp_path: Path) -> None:
    assert "export" in said("plan", "-f", str(tmp_path), "--home", str(tmp_path / "home"))


def test_nobody_runs(tmp_path: Path) -> None:
    assert "headrace serve" in said("tail", "--home", str(tmp_path / "home"))


def test_a_sheet_in_gbk_brings_its_good_rows(tmp_path: Path) -> None:
    sheet = tmp_path / "点表.csv"
    rows = [
        "path,type,unit,low,high,connection,address,title.zh",
        '厂/压机/油温,float64,Cel,0,120,plc,"{""table"": ""holding"", ""address"": 0}",油温',
        '厂/压机/压力,float64,furlong,0,400,plc,"{""table"": ""holding"", ""address"": 2}",压力',
    ]
    sheet.write_bytes("\r\n".join(rows).encode("gbk"))
    run = headrace("points", "import", str(sheet), "-f", str(tmp_path / "plant"))
    assert run.status == 1
    assert "furlong" in run.err
    written = (tmp_path / "plant" / "点表.yaml").read_text("utf-8")
    assert "油温" in written
    assert "压力" not in written


def test_a_lying_device_costs_its_own_points_alone(tmp_path: Path) -> None:
    """One point past the end of the device's registers: it is bad, its neighbours are good."""
    with DeviceProcess() as device:
        plant = tmp_path / "plant.yaml"
        plant.write_text(
            f"connections: {{plc: {{driver: modbus, settings: {{host: 127.0.0.1, port: {device.port}}}}}}}\n"
            "assets: {a: {level: site}}\n"
            "points:\n"
            "  a/good: {type: int64, interval: 100ms, connection: plc, "
            "address: {table: holding, address: 0, encoding: uint32}}\n"
            "  a/nan: {type: float64, interval: 100ms, connection: plc, "
            "address: {table: input, address: 0, encoding: float32}}\n"
        )
        with platform_process(tmp_path / "home", "-f", str(plant)) as platform:
            client = platform.start()
            wait_for(lambda: client.get("/latest", path=["a/good"])["quality"] == [0], 20, "a good value")


def test_unicode_and_json_everywhere(tmp_path: Path) -> None:
    (tmp_path / "plant.yaml").write_text(
        "assets: {海川: {level: enterprise, title: {zh: 海川, en: Haichuan}}}", "utf-8"
    )
    home = str(tmp_path / "home")
    run = headrace("apply", "-f", str(tmp_path / "plant.yaml"), "--home", home, "--yes", "--json")
    assert run.json["changes"][0]["key"] == "海川"
    run = headrace("export", "-f", str(tmp_path / "out"), "--home", home, "--json")
    assert run.status == 0, run.err
    again = headrace("plan", "-f", str(tmp_path / "out"), "--home", home, "--json")
    assert again.json["changes"] == []


def test_the_declaration_of_the_works_survives_export(tmp_path: Path) -> None:
    home, works, out = (str(tmp_path / name) for name in ("home", "works", "out"))
    assert process("plant", "declare", works).returncode == 0  # it becomes another program
    assert headrace("apply", "-f", works, "--home", home, "--yes").status == 0
    assert headrace("export", "-f", out, "--home", home).status == 0
    again = headrace("plan", "-f", out, "--home", home, "--json")
    assert again.status == 0, again.err
    assert again.json["changes"] == []
