"""A simulated floor: presses that tell their state as JSON, a sensor that tells raw numbers, and a driver for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from headrace.connect.drivers.mqtt.config import Address, Settings
from headrace.connect.drivers.mqtt.driver import MqttDriver
from headrace.connect.drivers.mqtt.simulator import SimulatedBroker
from headrace.model.batch import ValueKind
from headrace.sdk.clock import Clock
from headrace.sdk.driver import DriverContext, PointBinding

STATE = {
    "ts": 1_767_225_600_123,
    "oil": {"temperature": 0.1},
    "strokes": 2**62 + 1,
    "running": True,
    "recipe": "油温 °C",
    "setpoint": {"pressure": 100.0},
}
PAYLOAD: dict[str, Any] = {"topic": "plant/{device}/state", "command": "plant/{device}/set", "json": {"time": "/ts"}}


def binding(handle: int, kind: ValueKind, writable: bool = False, **address: Any) -> PointBinding:
    return PointBinding(handle, f"acme/p{handle}", kind, Address.model_validate(address), 10**9, writable)


def broker(port: int = 0) -> SimulatedBroker:
    """Press 3 does what it is told; nobody may hear the office."""
    made = SimulatedBroker(port=port)
    state = dict(STATE)

    def do(topic: str, payload: bytes) -> None:
        if topic == "plant/press-3/set":
            state.update(orjson.loads(payload), ts=state["ts"] + 1)
            made.put("plant/press-3/state", state)

    made.on_command = do
    made.refused.add("office/#")
    made.put("plant/press-3/state", state)
    made.put("sensors/7/rms", b"\xcd\xcc\xcc\x3d")
    made.put("sensors/8/open", b"ON")
    return made


def driver(port: int, clock: Clock, state_dir: Path, name: str = "floor", **settings: Any) -> MqttDriver:
    made = Settings.model_validate(
        {"host": "127.0.0.1", "port": port, "timeout": "500ms", "keep_alive": "5s", "payload": PAYLOAD} | settings
    )
    return MqttDriver(made, DriverContext(name, clock, state_dir))
