"""What an engineer writes for a gateway, and what is said where it does not fit."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from headrace.connect import drivers
from headrace.connect.drivers.gateway import driver
from headrace.connect.drivers.gateway.config import Address, LimitSettings, Settings, limits_of
from headrace.connect.drivers.gateway.simulator import run_fleet
from headrace.connect.gateway.limits import Limits

FOLDER = Path(drivers.__file__).parent / "gateway"
README = (FOLDER / "README.md").read_text("utf-8")


def test_the_sample_is_valid_and_in_the_readme() -> None:
    text = (FOLDER / "sample.yaml").read_text("utf-8")
    declared = YAML(typ="safe").load(text)
    for connection in declared["connections"].values():
        Settings.model_validate(connection["settings"])
    for point in declared["points"].values():
        Address.model_validate(point["address"])
    assert text.strip() in README


def test_the_example_of_the_readme_runs() -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(code, {})


@pytest.mark.parametrize("model", [Settings, LimitSettings, Address])
def test_the_readme_names_every_field(model: type[BaseModel]) -> None:
    names = [field.alias or name for name, field in model.model_fields.items()]
    assert [name for name in names if f"`{name}`" not in README] == []


def test_the_loaded_type_is_the_driver_s_own() -> None:
    loaded, own = drivers.load()["gateway"], driver.DRIVER
    assert (loaded.name, loaded.title, loaded.settings, loaded.address, loaded.check) == (
        own.name,
        own.title,
        own.settings,
        own.address,
        own.check,
    )


def test_it_listens_on_loopback_and_lets_no_stranger_wait_unless_told() -> None:
    settings = Settings()
    assert settings.listen == "127.0.0.1:1883" and settings.enrolment is None and settings.tls is None


def test_what_limits_say_is_what_the_gateway_keeps() -> None:
    assert limits_of(LimitSettings()) == Limits()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"listen": "1883"}, "write host:port"),
        ({"listen": "127.0.0.1:99999"}, "write host:port"),
        ({"listen": "0.0.0.0:1883"}, "allow_plain"),
        ({"listen": "127.0.0.1:1883", "websocket": "[::]:8083"}, "allow_plain"),
        ({"tls": {"certificate": "a"}}, "go together"),
        ({"enrolment": {"key": "open sesame"}}, "env:NAME or file:"),
        ({"limits": {"gather": 5}}, "write a number and a unit"),
        ({"limits": {"pending_bytes": 1}}, "greater than or equal"),
        ({"port": 1883}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_explained(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        Settings.model_validate(settings)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:1883", "localhost:1883"])
def test_loopback_needs_no_tls(listen: str) -> None:
    assert Settings(listen=listen).listen == listen


async def test_a_fleet_reports_until_it_is_cancelled(tmp_path: Path) -> None:
    from tests.connect.gateway.bed import binding, gateway

    points = [binding(at, device=f"dev-{at}", value="/temperature") for at in range(3)]
    payload = {"topic": "devices/{device}/state"}
    async with gateway(tmp_path, points, payload=payload) as bed:
        names = {f"dev-{at}": None for at in range(3)}
        fleet = asyncio.create_task(run_fleet(bed.port, names, interval_s=0.01))
        await bed.until(lambda: all(len(bed.store.values(at)) > 2 for at in range(3)))
        fleet.cancel()
        await asyncio.wait({fleet})
