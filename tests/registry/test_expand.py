"""What declarations come to mean."""

from __future__ import annotations

from tests.registry.plants import PRESS, expanded

from headrace.model.alarms import AlarmCondition, Priority
from headrace.model.assets import Level
from headrace.model.batch import ValueKind
from headrace.model.points import Access, Range


def test_a_type_gives_its_points_to_each_asset_with_templates_filled_in() -> None:
    model, problems = expanded(PRESS)
    assert problems == []
    point = model.points["acme/suzhou/press-3/oil.temperature"]
    assert (point.kind, point.unit, point.range, point.decimals) == (ValueKind.FLOAT64, "Cel", Range(0.0, 120.0), 1)
    assert point.source is not None
    assert point.source.connection == "plc-1"
    assert point.source.interval_ns == 500_000_000
    assert point.source.address == {
        "table": "holding",
        "address": 304,
        "encoding": "float32",
        "node": "ns=2;s=Press3.Oil",
    }
    other = model.points["acme/suzhou/press-4/oil.temperature"].source
    assert other is not None
    assert (other.address["address"], other.address["node"]) == (404, "ns=2;s=.Oil")
    assert model.points["acme/suzhou/press-3/state"].source is None
    assert model.types["hydraulic-press"].points[0] == "oil.temperature"
    assert model.assets["acme/suzhou/press-3"].level is Level.EQUIPMENT
    assert model.assets["acme/suzhou/press-3"].attributes == {"maker": "Krafft", "year": "2019"}
    assert model.assets["acme"].title == {"en": "Acme"}
    assert not model.connections["plc-2"].enabled


def test_an_override_replaces_fields_of_one_asset_and_keeps_the_rest() -> None:
    model, _ = expanded(PRESS)
    plain, changed = (model.points[f"acme/suzhou/press-{n}/pressure"] for n in (3, 4))
    assert (plain.range, plain.write_range) == (Range(0.0, 350.0), Range(80.0, 280.0))
    assert (changed.range, changed.write_range) == (Range(0.0, 200.0), Range(80.0, 180.0))
    assert changed.access is Access.READ_WRITE
    assert changed.source is not None
    assert changed.source.address == {"table": "holding", "address": 400}
    hot = model.alarms["acme/suzhou/press-4/oil.temperature:hot"]
    assert (hot.limit, hot.hysteresis, hot.priority) == (65.0, 2.0, Priority.HIGH)


def test_alarms_refer_to_points_of_their_own_asset() -> None:
    model, _ = expanded(PRESS)
    off = model.alarms["acme/suzhou/press-3/oil.temperature:off"]
    assert off.reference == "acme/suzhou/press-3/oil.setpoint"
    assert model.alarms["acme/suzhou/press-3/pressure:silent"].limit == 30.0
    stopped = model.alarms["acme/suzhou/press-3/running:stopped"]
    assert (stopped.condition, stopped.limit) == (AlarmCondition.EQUALS, 0.0)
    assert len(model.alarms) == 9


def test_what_is_wrong_is_left_out_and_the_rest_goes_on() -> None:
    model, problems = expanded(PRESS.replace("acme/suzhou/power: {unit: kW", "acme/suzhou/power: {unit: kWh"))
    assert problems == ["plant.yaml:48:29: 'kWh' is no UCUM unit; did you mean 'kW.h'?"]
    assert "acme/suzhou/power" not in model.points
    assert "acme/suzhou/power:peak" not in model.alarms
    assert len(model.points) == 10


def test_anchors_and_merge_keys_save_typing() -> None:
    model, problems = expanded(
        """
assets: {a: {}}
connections: {c: {driver: modbus, settings: {host: h}}}
points:
  a/x: &base {unit: bar, connection: c, address: {table: input, address: 1}}
  a/y: {<<: *base, unit: kPa}
"""
    )
    assert problems == []
    assert model.points["a/y"].unit == "kPa"
    assert model.points["a/y"].source == model.points["a/x"].source


def test_the_same_register_may_be_read_twice() -> None:
    text = "assets: {a: {}}\nconnections: {c: {driver: modbus, settings: {host: h}}}\npoints:\n"
    point = "{connection: c, address: {table: holding, address: 1}}"
    model, problems = expanded(text + f"  a/x: {point}\n  a/y: {point}\n")
    assert problems == []
    assert len(model.points) == 2


def test_names_are_normalised_and_any_script_is_welcome() -> None:
    decomposed = "assets:\n  werk: {}\n  werk/ku\u0308hler: {}\npoints:\n  werk/k\u00fchler/温度: {unit: Cel}\n"
    model, problems = expanded(decomposed)
    assert problems == []
    assert list(model.points) == ["werk/k\u00fchler/温度"]


def test_lone_braces_and_doubled_braces_in_templates() -> None:
    model, problems = expanded(PRESS.replace("ns=2;s={node}.Oil", "{{{node}}}"))
    assert problems == []
    source = model.points["acme/suzhou/press-3/oil.temperature"].source
    assert source is not None
    assert source.address["node"] == "{Press3}"
