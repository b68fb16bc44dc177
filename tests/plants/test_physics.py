"""The physics of the works, without servers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigError, DataError, NotFound, Refused
from headrace_plants.faults import parse_fault
from headrace_plants.layout import POINTS
from headrace_plants.physics.press import OIL_KJ_PER_K
from headrace_plants.physics.utilities import WATER_KJ_PER_K
from headrace_plants.simulation import Simulation, simulate

PRESS = "acme/suzhou/press-shop/line-1/press-{}/{}"
SEED = 11
Columns = dict[str, NDArray]


@pytest.fixture(scope="module")
def quiet() -> Columns:
    return simulate(300, SEED, scenario="quiet")


def test_one_seed_makes_one_history() -> None:
    first, again, other = (simulate(40, seed) for seed in (SEED, SEED, SEED + 1))
    assert all(np.array_equal(first[path], again[path]) for path in first)
    assert any(not np.array_equal(first[path], other[path]) for path in first)


def test_faults_elsewhere_leave_the_draws_of_a_machine_alone() -> None:
    plain = simulate(40, SEED, scenario="quiet")
    faulty = simulate(40, SEED, scenario="quiet", faults=["press-2:bearing-wear@5s"])
    path = PRESS.format(1, "cylinder.pressure")
    assert np.array_equal(plain[path], faulty[path])


def test_every_reading_stays_on_its_scale(quiet: Columns) -> None:
    for point in POINTS:
        column = quiet[point.path]
        assert len(column) == 300
        if point.row.kind in (ValueKind.FLOAT64, ValueKind.INT64) and point.row.high > point.row.low:
            assert np.all(np.isfinite(column.astype(float)))
            assert column.min() >= point.row.low and column.max() <= point.row.high, point.path


def test_oil_and_water_keep_their_energy_balance() -> None:
    plant = Simulation(SEED)
    oil, oil_heat = plant.presses.oil_cel.copy(), plant.presses.heat_kj.copy()
    water, water_heat = plant.chiller.supply_cel.copy(), plant.chiller.heat_kj.copy()
    plant.advance(120)
    np.testing.assert_allclose(
        (plant.presses.oil_cel - oil) * OIL_KJ_PER_K, plant.presses.heat_kj - oil_heat, rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(
        (plant.chiller.supply_cel - water) * WATER_KJ_PER_K, plant.chiller.heat_kj - water_heat, rtol=1e-6, atol=1e-6
    )


def test_temperatures_settle(quiet: Columns) -> None:
    for press in range(1, 5):
        oil = quiet[PRESS.format(press, "oil.temperature")]
        assert np.ptp(oil[-120:]) < 0.6
        assert 44 < oil[-1] < 52
    zone = quiet["acme/suzhou/moulding-shop/line-1/moulder-1/zone3.temperature"]
    assert np.abs(zone - 215.0).max() < 2.0
    assert np.abs(quiet["acme/suzhou/utilities/chiller-1/supply.temperature"] - 15.0).max() < 1.5


def test_parts_add_up(quiet: Columns) -> None:
    for point in POINTS:
        if point.row.name != "cycle.count":
            continue
        asset = point.path.rpartition("/")[0]
        made = np.diff(quiet[point.path])
        parts = np.diff(quiet[f"{asset}/parts.good"]) + np.diff(quiet[f"{asset}/parts.scrap"])
        assert np.array_equal(made, parts), asset
        assert made.sum() > 12, asset


def test_energy_counters_are_the_integral_of_power(quiet: Columns) -> None:
    energy = np.ptp(quiet["acme/suzhou/utilities/compressor-1/energy.total"])
    mean_kw = quiet["acme/suzhou/utilities/compressor-1/motor.power"].mean()
    assert energy == pytest.approx(mean_kw * 299 / 3600, rel=0.02)
    apparent, active, reactive = (
        quiet[f"acme/suzhou/utilities/meter-1/{name}"] for name in ("power.apparent", "power", "power.reactive")
    )
    np.testing.assert_allclose(apparent**2, active**2 + reactive**2, rtol=0.05, atol=0.3)


def test_wear_only_grows_and_raises_vibration_and_scrap() -> None:
    plant = Simulation(SEED, scenario="quiet", faults=[parse_fault("press-2:bearing-wear@5s,severity=0.9")])
    before, wear = float(plant.presses.vibration[1]), [plant.presses.wear.copy()]
    scrap = plant.truth[_index(PRESS.format(2, "parts.scrap"))]
    for _ in range(25):
        plant.advance(10)
        wear.append(plant.presses.wear.copy())
    assert np.all(np.diff(np.array(wear), axis=0) >= 0)
    assert plant.presses.vibration[1] > 7.1 > 2.0 > before
    assert plant.truth[_index(PRESS.format(2, "parts.scrap"))] - scrap >= 1
    assert plant.presses.vibration[0] < 2.0


def test_a_leak_lowers_pressure_and_costs_pump_power() -> None:
    sound = simulate(90, SEED, scenario="quiet")
    leaking = simulate(90, SEED, scenario="quiet", faults=["press-1:leak@0s,severity=0.8"])
    peak, energy, drain = (PRESS.format(1, name) for name in ("cylinder.pressure", "energy.total", "pump.drain.flow"))
    assert sound[peak].max() > 195 > 185 > leaking[peak][20:].max()
    assert np.ptp(leaking[energy]) > 1.3 * np.ptp(sound[energy])
    assert leaking[drain].max() > 20 > sound[drain].max()


def test_hot_oil_slows_the_cycle() -> None:
    def cycle_s(oil_cel: float) -> float:
        plant = Simulation(SEED, scenario="quiet")
        plant.presses.oil_cel[:] = oil_cel
        plant.advance(40)
        return float(plant.presses.block["cycle.time"][0])

    assert cycle_s(76.0) > cycle_s(46.0)


def test_a_press_with_boiling_oil_protects_itself_and_recovers() -> None:
    plant = Simulation(SEED, scenario="quiet")
    plant.presses.oil_cel[0] = 83.0
    plant.advance(2)
    assert plant.value(PRESS.format(1, "machine.fault")) is True
    count = plant.value(PRESS.format(1, "cycle.count"))
    plant.advance(30)
    assert plant.value(PRESS.format(1, "cycle.count")) in (count, int(count) + 1)  # the stroke under way ends
    plant.presses.oil_cel[0] = 60.0
    plant.advance(30)
    assert plant.value(PRESS.format(1, "machine.fault")) is False


def test_setpoints_act_on_force_and_energy() -> None:
    high, low = Simulation(SEED, scenario="quiet"), Simulation(SEED, scenario="quiet")
    low.write(PRESS.format(2, "setpoint.pressure"), 120.0)
    force, energy = ([], []), ([], [])
    for number, plant in enumerate((high, low)):
        start = plant.truth[_index(PRESS.format(2, "energy.total"))]
        for _ in range(60):
            plant.advance(1)
            force[number].append(plant.value(PRESS.format(2, "cylinder.force")))
        energy[number].append(plant.truth[_index(PRESS.format(2, "energy.total"))] - start)
    assert max(force[0][20:]) == pytest.approx(1000, rel=0.02)
    assert max(force[1][20:]) == pytest.approx(600, rel=0.02)
    assert energy[1][0] < 0.8 * energy[0][0]


def test_warm_water_opens_the_coolers_of_the_presses() -> None:
    cold, warm = Simulation(SEED, scenario="quiet"), Simulation(SEED, scenario="quiet")
    warm.write("acme/suzhou/utilities/chiller-1/setpoint.run", False)
    for plant in (cold, warm):
        plant.advance(120)
    assert warm.chiller.supply_cel[0] > cold.chiller.supply_cel[0] + 4
    assert warm.presses.valve[0] > cold.presses.valve[0] + 0.03


def test_a_stopped_machine_finishes_its_stroke_and_rests() -> None:
    plant = Simulation(SEED, scenario="quiet")
    plant.write(PRESS.format(1, "setpoint.run"), False)
    plant.advance(30)
    count = plant.value(PRESS.format(1, "cycle.count"))
    plant.advance(30)
    assert plant.value(PRESS.format(1, "cycle.count")) == count
    assert plant.value(PRESS.format(1, "machine.state")) == 0
    assert plant.presses.block["motor.power"][0] < 1.0


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("setpoint.pressure", 281.0, Refused),
        ("setpoint.pressure", 79.9, Refused),
        ("setpoint.pressure", float("nan"), Refused),
        ("setpoint.pressure", "120", DataError),
        ("setpoint.run", 1, DataError),
        ("oil.temperature", 20.0, Refused),
        ("no.such.point", 20.0, NotFound),
    ],
)
def test_a_machine_keeps_its_limits(name: str, value: float, error: type[Exception]) -> None:
    plant = Simulation(SEED, scenario="quiet")
    with pytest.raises(error):
        plant.write(PRESS.format(1, name), value)


def test_a_minute_of_the_showcase_crosses_three_limits_and_no_more() -> None:
    columns = simulate(75, SEED)
    assert columns[PRESS.format(3, "oil.temperature")][-10:].min() > 65
    assert columns[PRESS.format(2, "bearing.vibration")][-10:].min() > 4.5
    assert columns[PRESS.format(4, "filter.pressure.drop")][-10:].min() > 2.5
    assert columns[PRESS.format(1, "oil.temperature")].max() < 50
    assert columns[PRESS.format(2, "bearing.vibration")].max() < 7.1


def test_sensors_stick_and_drift_and_come_back() -> None:
    plant = Simulation(SEED, scenario="quiet")
    oil, valve = PRESS.format(1, "oil.temperature"), PRESS.format(2, "oil.temperature")
    plant.inject(parse_fault("press-1/oil.temperature:stuck,for=20s"))
    plant.inject(parse_fault("press-2/oil.temperature:drift,rate=0.5,for=20s"))
    plant.advance(1)
    stuck, before = plant.value(oil), plant.value(valve)
    seen = set()
    for _ in range(15):
        plant.advance(1)
        seen.add(plant.value(oil))
    assert seen == {stuck}
    assert plant.value(valve) == pytest.approx(before + 7.5, abs=1.0)
    plant.advance(10)
    assert plant.value(valve) == pytest.approx(float(plant.presses.oil_cel[1]), abs=0.2)
    assert plant.active == []


def test_the_ledger_tells_the_truth() -> None:
    plant = Simulation(SEED, scenario="quiet", faults=[parse_fault("press-1:leak@5s,severity=1,for=60s")])
    plant.advance(120)
    events = [(entry["event"], entry["machine"], entry["t_s"]) for entry in plant.ledger.entries]
    assert ("fault.start", "press-1", 5.0) in events and ("fault.stop", "press-1", 65.0) in events
    scrap = [entry for entry in plant.ledger.entries if entry["event"] == "scrap" and entry["machine"] == "press-1"]
    assert scrap and {"low pressure"} >= {entry["cause"] for entry in scrap if entry["t_s"] < 60}
    assert all(entry["seed"] == SEED and entry["time"].endswith("Z") for entry in plant.ledger.entries)
    assert plant.clear("press-1") == 0


def test_orders_end_and_the_next_begins() -> None:
    plant = Simulation(SEED, scenario="quiet")
    plant.truth[_index(PRESS.format(1, "order.done"))] = plant.truth[_index(PRESS.format(1, "order.target"))] - 1
    first = plant.value(PRESS.format(1, "order.number"))
    plant.advance(30)
    assert plant.value(PRESS.format(1, "order.number")) != first
    assert plant.value(PRESS.format(1, "machine.state")) == 1  # set-up
    kinds = [entry["event"] for entry in plant.ledger.entries if entry["machine"] == "press-1"]
    assert kinds.index("order.end") < len(kinds) - 1 - kinds[::-1].index("order.start")


@pytest.mark.parametrize(
    "text",
    [
        "press-9:leak", "press-1:melt", "press-1", "press-1:leak@soon", "press-1:leak,severity=2",
        "press-1:leak,rate=1", "press-1/operator:stuck", "press-1/nothing:drift", "nobody:network-cut",
        "press-1-plc:clock-jump", "moulding-cell:slow,delay=-1", "press-1:leak,severity=nan",
        "press-1/oil.temperature:drift,rate=inf",
    ],
)  # fmt: skip
def test_a_wrong_fault_is_refused_in_plain_words(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_fault(text)


@given(st.text(max_size=60))
def test_any_text_is_a_fault_or_a_clear_error(text: str) -> None:
    try:
        parse_fault(text)
    except ConfigError as error:
        assert str(error)


def _index(path: str) -> int:
    return next(point.index for point in POINTS if point.path == path)
