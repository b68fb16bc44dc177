"""Drivers are found by their manifests, and cost nothing until one is opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.connect import drivers
from headrace.connect.drivers import load
from headrace.connect.trust import TrustStore
from headrace.model.errors import ConfigError

FOLDERS = sorted(path.parent.name for path in Path(drivers.__file__).parent.glob("*/driver.py"))


def test_every_folder_with_a_driver_is_found() -> None:
    assert sorted(load()) == FOLDERS and "modbus" in FOLDERS


@pytest.mark.parametrize("name", FOLDERS)
def test_a_driver_has_its_fixed_files_and_a_contract_test(name: str) -> None:
    folder = Path(drivers.__file__).parent / name
    for file in ("manifest.toml", "config.py", "driver.py", "simulator.py", "sample.yaml", "README.md"):
        assert (folder / file).is_file(), f"{name} lacks {file}"
    tests = Path(__file__).parent / "drivers" / name
    assert any("DriverContract" in test.read_text("utf-8") for test in tests.glob("test_*.py"))


def test_finding_drivers_imports_no_driver_and_no_protocol_library() -> None:
    code = (
        "import sys; from headrace.connect.drivers import load; load();"
        "print([m for m in sys.modules if m.split('.')[0] in ('asyncua', 'pymodbus') or m.endswith('.driver')"
        " and m != 'headrace.sdk.driver'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert ran.stdout.strip() == "[]"


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(drivers.__file__).parents[3])}


def test_a_damaged_manifest_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "manifest.toml").write_text("name = ", "utf-8")
    with pytest.raises(ConfigError, match="manifest"):
        load(tmp_path, "nowhere")


def test_trust_is_durable_and_a_damaged_file_is_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / "state" / "trust.json"
    store = TrustStore(path)
    store.remember("plc", "AA:BB")
    store.remember("other", "CC:DD")
    assert TrustStore(path).get("plc") == "AA:BB" and TrustStore(path).get("nobody") is None
    path.write_text('{"trusted": ["AA"]}', "utf-8")
    with pytest.raises(ConfigError, match="trust the servers again"):
        TrustStore(path)
