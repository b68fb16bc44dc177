"""What can go wrong, on purpose. A fault is written as one line of text:

    press-2:bearing-wear@60s,severity=0.7,for=10m
    press-1/oil.temperature:stuck@30s                  press-1/oil.temperature:drift@30s,rate=0.05
    press-3-plc:network-cut@20s,for=15s                moulding-cell:slow@10s,delay=0.8
    moulding-cell:clock-jump@10s,by=3600

    of a machine    bearing-wear  leak  cooler  filter  heater  nozzle  fouling     severity 0…1
    of a sensor     stuck  drift (rate: units a second)
    of a server     network-cut  slow (delay: seconds)  clock-jump (by: seconds, may be negative)

`@` is simulated time since start (now, if left out); `for` ends the fault, which for a machine means a repair.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigError, DataError
from headrace.model.time import SECOND_NS, parse_duration_ns
from headrace_plants.layout import MACHINES, POINT_BY_PATH, SERVERS

MACHINE_FAULTS: dict[str, dict[str, str]] = {
    "hydraulic-press": {"bearing-wear": "wear", "leak": "leak", "cooler": "cooler", "filter": "filter"},
    "injection-moulder": {"bearing-wear": "wear", "heater": "heater", "nozzle": "nozzle"},
    "assembly-station": {"bearing-wear": "wear", "leak": "leak"},
    "air-compressor": {"bearing-wear": "wear", "leak": "leak"},
    "chiller": {"fouling": "fouling"},
}
SENSOR_FAULTS = ("stuck", "drift")
SERVER_FAULTS = ("network-cut", "slow", "clock-jump")
_OPTIONS = {"stuck": set(), "drift": {"rate"}, "network-cut": set(), "slow": {"delay"}, "clock-jump": {"by"}}
_DEFAULTS = {"severity": 0.7, "rate": 0.05, "delay": 0.8, "by": 3600.0}
_TEXT = re.compile(r"(?P<target>[\w.\-/]+):(?P<kind>[a-z\-]+)(?:@(?P<start>[\w.]+))?(?P<options>(?:,[a-z]+=[^,]+)*)")


@dataclass(frozen=True, slots=True)
class Fault:
    """`target` is a machine, a machine's point (`press-1/oil.temperature`) or a server."""

    target: str
    kind: str
    start_s: float | None = None
    duration_s: float | None = None
    amount: float = 0.0

    @property
    def machine(self) -> str:
        return self.target.partition("/")[0]

    @property
    def point_path(self) -> str:
        """The full path of a sensor fault's point."""
        name, _, row = self.target.partition("/")
        return next(f"{machine.path}/{row}" for machine in MACHINES if machine.name == name)

    @property
    def on_server(self) -> bool:
        return self.kind in SERVER_FAULTS


def parse_fault(text: str) -> Fault:
    """Raises: ConfigError that says what is wrong and what exists."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"'{text}' is not a fault; write for example press-2:bearing-wear@60s,severity=0.7")
    target, kind = found["target"], found["kind"]
    allowed = {"for"} | _allowed_options(target, kind)
    values: dict[str, str] = {}
    for part in filter(None, found["options"].split(",")):
        key, _, value = part.partition("=")
        if key not in allowed:
            raise ConfigError(f"'{key}' does not belong to {kind}; it takes {', '.join(sorted(allowed))}")
        values[key] = value
    amount_key = next(iter(sorted(allowed - {"for"})), "")
    try:
        amount = float(values.get(amount_key, _DEFAULTS.get(amount_key, 0.0)))
        start_s = parse_duration_ns(found["start"]) / SECOND_NS if found["start"] else None
        duration_s = parse_duration_ns(values["for"]) / SECOND_NS if "for" in values else None
    except (ValueError, DataError) as error:
        raise ConfigError(f"in fault '{text}': {error}") from None
    if amount_key == "severity" and not 0.0 <= amount <= 1.0:
        raise ConfigError(f"severity is 0 to 1, not {amount}")
    if kind == "slow" and not 0.0 <= amount <= 60.0:
        raise ConfigError(f"delay is 0 to 60 s, not {amount}")
    if amount != amount or abs(amount) > 1e9:
        raise ConfigError(f"in fault '{text}': {amount_key} is out of bounds")
    return Fault(target, kind, start_s, duration_s, amount)


def _allowed_options(target: str, kind: str) -> set[str]:
    name, slash, row = target.partition("/")
    server_names = [server.name for server in SERVERS]
    if kind in SERVER_FAULTS:
        if target not in server_names:
            raise ConfigError(f"there is no server '{target}'; there are {', '.join(server_names)}")
        if kind == "clock-jump" and next(s for s in SERVERS if s.name == target).protocol != "opcua":
            raise ConfigError(f"{target} speaks Modbus, which carries no time: clock-jump needs an OPC UA server")
        return set(_OPTIONS[kind])
    machine = next((machine for machine in MACHINES if machine.name == name), None)
    if machine is None:
        raise ConfigError(f"there is no machine '{name}'; there are {', '.join(m.name for m in MACHINES)}")
    if kind in SENSOR_FAULTS:
        point = POINT_BY_PATH.get(f"{machine.path}/{row}")
        if not slash or point is None or point.row.kind is not ValueKind.FLOAT64:
            raise ConfigError(f"'{target}' is no measured point; write for example press-1/oil.temperature:{kind}")
        return set(_OPTIONS[kind])
    kinds = MACHINE_FAULTS.get(machine.sheet.name, {})
    if slash or kind not in kinds:
        known = ", ".join((*kinds, *SENSOR_FAULTS, *SERVER_FAULTS))
        raise ConfigError(f"'{kind}' does not happen to {target}; a {machine.sheet.name} knows {known}")
    return {"severity"}
