"""The unified namespace on a real Mosquitto, seen by its own subscriber."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.connect.outlets.broker import broker
from tests.connect.outlets.here import OutletsHere

from headrace.connect.outlets.mqtt.config import Settings
from headrace.model import quality as q
from headrace.model.outlets import Outlet
from headrace.sdk.field import LinkState
from headrace.sdk.testing.outlet import POINTS, OutletContract, Taker, plant, sample


class TestMqtt(OutletsHere, OutletContract):
    protocol = "mqtt"
    newest_only = True

    @asynccontextmanager
    async def taker(self, folder: Path) -> AsyncIterator[Taker]:
        async with broker(folder) as made:
            yield made

    async def test_a_message_says_value_time_quality_and_unit_and_stays(self, tmp_path: Path) -> None:
        async with broker(tmp_path) as taker, self.running(self.declared(taker), tmp_path) as run:
            await self.until_state(run, LinkState.CONNECTED)
            await run.publish([sample("acme/p3/oil", 62.5, 0.25, q.UNCERTAIN)])
            await self.until_seen(taker, "acme/p3/oil", 62.5)
            assert await taker.newest("uns/acme/p3/oil") == {
                "value": 62.5,
                "time": "2026-05-28T20:26:40.25Z",
                "quality": "Uncertain",
                "unit": "Cel",
            }
            await taker.listen()  # somebody who comes later
            await self.until(lambda: ("uns/acme/p3/oil", True) in {(one[0], one[2]) for one in taker.messages}, "it")

    async def test_only_changes_are_published(self, tmp_path: Path) -> None:
        async with broker(tmp_path) as taker, self.running(self.declared(taker), tmp_path) as run:
            await self.until_state(run, LinkState.CONNECTED)
            for at in range(5):
                await run.publish([sample("acme/p3/oil", 1.0, at)])
            await run.publish([sample("acme/p3/oil", 1.0, 5, q.BAD_TIMEOUT)])
            await run.publish([sample("acme/p3/oil", 2.0, 6)])
            await self.until_seen(taker, "acme/p3/oil", 2.0)
            assert (await taker.values())["acme/p3/oil"] == [1.0, 1.0, 2.0]

    async def test_with_an_interval_the_newest_comes_when_its_time_has_come(self, tmp_path: Path) -> None:
        async with broker(tmp_path) as taker:
            outlet = Outlet("out", "mqtt", {**taker.settings, "interval": "200ms"})
            async with self.running(outlet, tmp_path) as run:
                await self.until_state(run, LinkState.CONNECTED)
                for at in range(50):
                    await run.publish([sample("acme/p3/oil", float(at), at)])
                await self.until_seen(taker, "acme/p3/oil", 49.0)
                assert len((await taker.values())["acme/p3/oil"]) < 10

    async def test_it_says_when_it_is_there_and_when_it_is_not(self, tmp_path: Path) -> None:
        async with broker(tmp_path) as taker:
            async with self.running(self.declared(taker), tmp_path) as run:
                await self.until_state(run, LinkState.CONNECTED)

                async def online() -> bool:
                    said = await taker.newest("uns/_headrace/out")
                    return said is not None and bool(said["online"])

                await self.until(online, "it says that it is online")

            async def offline() -> bool:
                return not await online()

            await self.until(offline, "it says that it has gone")

    async def test_a_point_that_is_no_longer_declared_is_cleared(self, tmp_path: Path) -> None:
        async with broker(tmp_path) as taker:
            outlet = self.declared(taker)
            async with self.running(outlet, tmp_path) as run:
                await self.until_state(run, LinkState.CONNECTED)
                await run.publish([sample("acme/p3/order", "A7")])
                await self.until_seen(taker, "acme/p3/order", "A7")
                await run.supervisor.reconcile(*plant(outlet, POINTS[:3]))
                await self.until(lambda: ("uns/acme/p3/order", b"") in {one[:2] for one in taker.messages}, "cleared")
                assert run.status.counters.connects == 1


@pytest.mark.parametrize("root", ["/a", "a/", "a/+/b", "#", "$SYS"])
def test_roots_that_are_no_topics(root: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"host": "x", "root": root})


@pytest.mark.parametrize("wrong", [{"user": "a"}, {"ca": "x.pem"}, {"interval": "2h"}, {"qos": 2}, {"password": "p"}])
def test_settings_that_do_not_fit(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"host": "x", **wrong})
