"""What the MQTT driver does beyond the contract: Sparkplug STATE, other points, bounds, its settings and its sample."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML
from tests.connect.drivers.mqtt import floor
from tests.connect.drivers.mqtt.floor import binding

from headrace.connect.binding import bind
from headrace.connect.drivers import load
from headrace.connect.drivers import mqtt as package
from headrace.connect.drivers.mqtt.config import Address, Settings, check
from headrace.connect.drivers.mqtt.driver import MqttDriver
from headrace.connect.drivers.mqtt.identity import client_id_of
from headrace.connect.drivers.mqtt.simulator import SimulatedBroker
from headrace.connect.mqtt import packets as p
from headrace.connect.payload import payload_of
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, DeviceError, Refused, Unavailable
from headrace.model.plant import Connection
from headrace.model.points import Access, Point, PointSource
from headrace.sdk.driver import PointBinding
from headrace.sdk.testing.clock import FakeClock

OIL = binding(1, ValueKind.FLOAT64, device="press-3", value="/oil/temperature")
RUNNING = binding(2, ValueKind.BOOL, device="press-3", value="/running")


class Served:
    """A driver as the session has it, what it stored, and how it ended."""

    def __init__(self, driver: MqttDriver, clock: FakeClock) -> None:
        self.driver, self.clock = driver, clock
        self.samples: dict[int, list[tuple[Any, int]]] = {}
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.refuse = False
        self._news = asyncio.Event()

    async def stored(self, batches: Sequence[Batch]) -> None:
        if self.refuse:
            raise Unavailable("the disk is full")
        for batch in batches:
            for handle, value, quality in zip(
                batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
            ):
                self.samples.setdefault(handle, []).append((value, quality))
        self._news.set()

    async def sample(self, handle: int, count: int = 1) -> tuple[Any, int]:
        """The newest, once there are so many."""
        while len(self.samples.get(handle, ())) < count:
            self._news.clear()
            await self._news.wait()
        return self.samples[handle][-1]


@asynccontextmanager
async def served(
    broker: SimulatedBroker, points: Sequence[PointBinding], tmp_path: Path, **settings: Any
) -> AsyncIterator[Served]:
    clock = FakeClock()
    made = Served(floor.driver(broker.port, clock, tmp_path, **settings), clock)
    try:
        async with asyncio.timeout(20):
            await made.driver.connect()
            await made.driver.serve(points, made.stored, made.lost.set_result)
            yield made
    finally:
        await made.driver.close()


SPARKPLUG = {"payload": {"kind": "sparkplug", "sparkplug": {"host": "scada-1"}}}


async def until(holds: Any) -> None:
    while not holds():
        await asyncio.sleep(0.005)


# --- a Sparkplug host on a broker ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_host_connects_clean_with_its_death_as_will_subscribes_and_then_is_born(
    tmp_path: Path, version: str
) -> None:
    async with SimulatedBroker() as broker, served(broker, (), tmp_path, version=version, **SPARKPLUG) as host:
        await until(lambda: len(broker.packets) >= 3)
        connect, subscribe, birth = broker.packets[:3]
        assert isinstance(connect, p.Connect) and connect.clean_start and connect.will is not None
        assert p.Property.SESSION_EXPIRY_INTERVAL not in connect.properties
        will = connect.will
        assert (will.topic, will.qos, will.retain) == ("spBv1.0/STATE/scada-1", 1, True)
        assert isinstance(subscribe, p.Subscribe)
        assert [(one.filter, one.qos) for one in subscribe.subscriptions] == [("spBv1.0/#", 1)]
        assert isinstance(birth, p.Publish)
        assert (birth.topic, birth.qos, birth.retain) == (will.topic, 1, True)
        now_ms = host.clock.now_ns() // 1_000_000
        assert orjson.loads(will.payload) == {"online": False, "timestamp": now_ms}
        assert orjson.loads(birth.payload) == {"online": True, "timestamp": now_ms}


async def test_a_host_that_leaves_on_purpose_says_so_before_it_disconnects(tmp_path: Path) -> None:
    async with SimulatedBroker() as broker:
        async with served(broker, (), tmp_path, **SPARKPLUG) as host:
            host.clock.jump_wall(5)
        await until(lambda: isinstance(broker.packets[-1], p.Disconnect))
        said = broker.packets[-2]
        assert isinstance(said, p.Publish) and (said.qos, said.retain) == (1, True)
        assert orjson.loads(said.payload) == {"online": False, "timestamp": host.clock.now_ns() // 1_000_000}


async def test_a_host_that_is_called_offline_says_at_once_that_it_is_not(tmp_path: Path) -> None:
    async with SimulatedBroker() as broker, served(broker, (), tmp_path, **SPARKPLUG):
        await until(lambda: len(broker.heard) == 1)
        broker.put("spBv1.0/STATE/scada-1", {"online": False, "timestamp": 1})
        await until(lambda: len(broker.heard) == 2)
        assert broker.heard[0] == broker.heard[1]


# --- JSON ---------------------------------------------------------------------------------------------------------


async def test_a_broker_that_keeps_a_session_is_asked_to_and_known_again(tmp_path: Path) -> None:
    async with SimulatedBroker() as broker:
        for _ in range(2):
            async with served(broker, [OIL], tmp_path):
                pass
        first, second = [packet for packet in broker.packets if isinstance(packet, p.Connect)]
        assert first.client_id == second.client_id != "" and not first.clean_start
        assert first.properties[p.Property.SESSION_EXPIRY_INTERVAL] == 86_400
        other = client_id_of("floor", tmp_path / "elsewhere")
        assert other != first.client_id and other.startswith("headrace-floor-")


async def test_nothing_is_acknowledged_that_could_not_be_stored_and_the_session_ends(tmp_path: Path) -> None:
    async with floor.broker() as broker:
        made = Served(floor.driver(broker.port, FakeClock(), tmp_path), FakeClock())
        made.refuse = True
        try:
            await made.driver.connect()
            await made.driver.serve([OIL], made.stored, made.lost.set_result)
            assert isinstance(await made.lost, DeviceError)
        finally:
            await made.driver.close()
        assert not any(isinstance(packet, p.Puback) for packet in broker.packets)


async def test_other_points_need_no_other_session(tmp_path: Path) -> None:
    async with floor.broker() as broker, served(broker, [OIL], tmp_path) as made:
        assert await made.sample(1) == (0.1, q.GOOD)
        rms = binding(5, ValueKind.FLOAT64, topic="sensors/+/rms", encoding="float32", order="little")
        await made.driver.rebind([rms])
        await made.sample(5)
        broker.put("plant/press-3/state", floor.STATE)
        broker.put("sensors/9/rms", b"\0\0\0\0")
        assert await made.sample(5, 2) == (0.0, q.GOOD)
        assert len(made.samples[1]) == 1
        assert sum(isinstance(packet, p.Connect) for packet in broker.packets) == 1
        gone = [packet.filters for packet in broker.packets if isinstance(packet, p.Unsubscribe)]
        assert gone == [("plant/press-3/state",)]


async def test_points_that_cannot_be_served_say_so_and_the_others_are_served(tmp_path: Path) -> None:
    lost = binding(3, ValueKind.FLOAT64, device="press-3", format="nobody", value="/x")
    secret = binding(4, ValueKind.FLOAT64, topic="office/#", value="/coffee")
    async with floor.broker() as broker, served(broker, [OIL, lost, secret], tmp_path) as made:
        assert (await made.sample(3))[1] == q.BAD_CONFIGURATION_ERROR
        assert (await made.sample(4))[1] == q.BAD_NOT_READABLE
        assert await made.sample(1) == (0.1, q.GOOD)


async def test_nonsense_is_counted_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with floor.broker() as broker, served(broker, [OIL], tmp_path) as made:
        await made.sample(1)
        for _ in range(20):
            broker.put("plant/press-3/state", b"{nonsense")
        broker.put("plant/press-3/state", floor.STATE)
        await made.sample(1, 2)
        assert made.driver.counts()["messages that make no sense"] == 20
        assert sum("makes no sense" in record.message for record in caplog.records) == 5


async def test_a_command_goes_where_its_address_says_and_reading_back_waits_for_the_device(tmp_path: Path) -> None:
    pressure = binding(7, ValueKind.FLOAT64, True, device="press-3", value="/setpoint/pressure")
    async with floor.broker() as broker, served(broker, [pressure], tmp_path) as made:
        await made.sample(7)
        await made.driver.write(pressure, 12.5)
        assert (await made.driver.read_back(pressure)).values.tolist() == [12.5]
        assert broker.heard[-1] == ("plant/press-3/set", b'{"setpoint":{"pressure":12.5}}')
        deaf = binding(8, ValueKind.FLOAT64, True, topic="plant/press-3/state", value="/oil/temperature")
        await made.driver.rebind([deaf])
        with pytest.raises(Refused, match="takes no commands"):
            await made.driver.write(deaf, 1.0)


async def test_a_device_that_does_not_answer_a_command_is_read_back_as_it_was(tmp_path: Path) -> None:
    pressure = binding(7, ValueKind.FLOAT64, True, device="press-3", value="/setpoint/pressure", command="nowhere")
    async with floor.broker() as broker, served(broker, [pressure], tmp_path, read_back="100ms") as made:
        await made.sample(7)
        await made.driver.write(pressure, 12.5)
        assert (await made.driver.read_back(pressure)).values.tolist() == [100.0]


# --- declarations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"user": "x"}, "go together"),
        ({"password": "hunter2", "user": "x"}, "env:NAME"),
        ({"ca": "/x.pem"}, "tls: true"),
        ({"tls": True, "certificate": "/x.pem"}, "go together"),
        ({"share": "a/b"}, "share"),
        ({"share": "a", "payload": {"kind": "sparkplug"}}, "one host hears all"),
        ({"payload": {"json": {"time": "ts"}}}, "begins with '/'"),
        ({"timeout": 5}, "number and a unit"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_wrong_settings_say_what_to_write(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings.model_validate({"host": "broker"} | settings)


def test_the_port_follows_from_tls() -> None:
    assert Settings(host="b").port_used == 1883 and Settings(host="b", tls=True).port_used == 8883


def test_the_sample_is_valid_and_every_point_binds_and_is_served() -> None:
    declared = YAML(typ="safe").load((Path(package.__file__).parent / "sample.yaml").read_text("utf-8"))
    connections = {
        name: Connection(name, said["driver"], said["settings"]) for name, said in declared["connections"].items()
    }
    points = [
        Point(
            path,
            ValueKind.from_label(said["type"]),
            access=Access(said.get("access", "read")),
            source=PointSource(said["connection"], said["address"]),
        )
        for path, said in declared["points"].items()
    ]
    bound = bind(points, {point.path: at for at, point in enumerate(points)}, connections, load())
    assert bound.errors == {}
    assert sum(map(len, bound.by_connection.values())) == len(points) == 7
    for name, bindings in bound.by_connection.items():
        settings = Settings.model_validate(connections[name].settings)
        assert payload_of(settings.payload).bind(bindings) == {}


def test_a_point_that_cannot_be_there_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="declare the point int64 or float64"):
        check(Address.model_validate({"topic": "x", "encoding": "uint16"}), ValueKind.TEXT, False)
    with pytest.raises(ConfigError, match="say with 'command'"):
        check(Address.model_validate({"topic": "x/+", "value": "/v"}), ValueKind.FLOAT64, True)
