"""A small plant as an engineer would write it, and helpers to plan it."""

from __future__ import annotations

from tests.registry.fakes import DRIVERS, MESSENGERS

from headrace.model.plant import PlantModel
from headrace.registry.declared import parse
from headrace.registry.expand import expand
from headrace.registry.problems import Problems
from headrace.sdk.services import SourceFile

PRESS = """\
types:
  hydraulic-press:
    version: 1
    title: {en: Hydraulic press, zh: 液压机}
    parameters: {base: 0, node: ""}
    points:
      oil.temperature:
        type: float64
        unit: Cel
        range: [0, 120]
        interval: 500ms
        decimals: 1
        address: {table: holding, address: "{base+4}", encoding: float32, node: "ns=2;s={node}.Oil"}
      oil.setpoint: {unit: Cel, range: [0, 120]}
      pressure:
        unit: bar
        range: [0, 350]
        access: read-write
        write_range: [80, 280]
        address: {table: holding, address: "{base}"}
      running: {type: bool, address: {table: coil, address: "{base}"}}
      state: {type: text}
    alarms:
      oil.temperature:hot:
        condition: high
        limit: 75
        hysteresis: 2
        on_delay: 5s
        priority: high
        message: {en: Oil too hot, zh: 油温过高}
      oil.temperature:off: {condition: deviation, limit: 10, reference: oil.setpoint}
      pressure:silent: {condition: stale, limit: 30s}
      running:stopped: {condition: equals, limit: false, priority: low}
connections:
  plc-1: {driver: modbus, settings: {host: 127.0.0.1, port: 15020}}
  plc-2: {driver: modbus, settings: {host: 127.0.0.1}, enabled: false}
assets:
  acme: {level: enterprise, title: Acme}
  acme/suzhou: {level: site}
  acme/suzhou/press-3:
    type: hydraulic-press
    connection: plc-1
    parameters: {base: 300, node: Press3}
    title: {en: Press 3, zh: 3号压机}
    attributes: {maker: Krafft, year: 2019}
  acme/suzhou/press-4: {type: hydraulic-press, connection: plc-1, parameters: {base: 400}}
points:
  acme/suzhou/power: {unit: kW, range: [0, 1000], connection: plc-2, address: {table: input, address: 7}}
  acme/suzhou/press-4/pressure: {range: [0, 200], write_range: [80, 180]}
alarms:
  acme/suzhou/power:peak: {condition: high, limit: 800, priority: low}
  acme/suzhou/press-4/oil.temperature:hot: {limit: 65}
"""


def files(text: str, name: str = "plant.yaml") -> list[SourceFile]:
    return [SourceFile(name, text)]


def expanded(text: str) -> tuple[PlantModel, list[str]]:
    """The model of one file, and its problems as text."""
    problems = Problems()
    model = expand(parse(files(text), problems), DRIVERS, problems, messengers=MESSENGERS)
    return model, [str(error) for error in problems.errors()]
