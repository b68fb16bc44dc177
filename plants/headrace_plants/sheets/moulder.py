"""Injection moulding machine, 1,600 kN clamp. Source of the words: EUROMAP 77 (OPC 40077)."""

from headrace_plants.sheets.words import AlarmRow, Row, Sheet, flag, production, real, text

ZONES = 5
ZONE_SETPOINTS = (190.0, 205.0, 215.0, 225.0, 230.0)


def _zones() -> tuple[Row, ...]:
    """Barrel zones from the hopper (1) to the nozzle (5); each group stays together, so the model sees a matrix."""
    numbers = range(1, ZONES + 1)
    return (
        *(real(f"zone{n}.temperature", f"Barrel zone {n} temperature", f"料筒{n}区温度", "Cel", 0, 400, 1, 0.05)
          for n in numbers),
        *(real(f"zone{n}.output", f"Barrel zone {n} heater output", f"料筒{n}区加热输出", "%", 0, 100, 1)
          for n in numbers),
        *(real(f"zone{n}.setpoint", f"Barrel zone {n} setpoint", f"料筒{n}区温度设定", "Cel", 0, 400, 1,
               write=(150, 290), start=ZONE_SETPOINTS[n - 1]) for n in numbers),
    )  # fmt: skip


MOULDER = Sheet(
    "injection-moulder",
    ("Injection moulding machine", "注塑机"),
    rows=(
        *_zones(),
        real("melt.temperature", "Melt temperature", "熔体温度", "Cel", 0, 400, 1, 0.1),
        real("melt.pressure", "Melt pressure", "熔体压力", "bar", 0, 2000, 0, 1.0),
        real("melt.pressure.peak", "Peak melt pressure of the last shot", "上一模熔体峰值压力", "bar", 0, 2000, 0, 0.5),
        real("screw.position", "Screw position", "螺杆位置", "mm", 0, 200, 1, 0.03),
        real("screw.speed", "Screw speed", "螺杆转速", "/min", 0, 400, 0, 0.3),
        real("screw.torque", "Screw torque", "螺杆扭矩", "N.m", 0, 2000, 0, 1.5),
        real("screw.cushion", "Cushion of the last shot", "上一模残料垫", "mm", 0, 50, 2, 0.02),
        real("clamp.force", "Clamp force", "锁模力", "kN", 0, 2000, 0, 0.8),
        real("clamp.position", "Mould opening", "开模位置", "mm", 0, 500, 1, 0.05),
        real("mould.temperature", "Mould temperature", "模具温度", "Cel", 0, 200, 1, 0.05),
        real("coolant.flow", "Coolant flow", "冷却水流量", "L/min", 0, 60, 1, 0.05),
        real("coolant.inlet", "Coolant inlet temperature", "冷却水进口温度", "Cel", 0, 100, 1, 0.03),
        real("coolant.outlet", "Coolant outlet temperature", "冷却水出口温度", "Cel", 0, 100, 1, 0.03),
        real("injection.time", "Filling time of the last shot", "上一模充填时间", "s", 0, 20, 2, 0.003),
        real("plasticising.time", "Plasticising time of the last shot", "上一模塑化时间", "s", 0, 60, 2, 0.01),
        real("bearing.vibration", "Drive bearing vibration", "驱动轴承振动速度", "mm/s", 0, 30, 2, 0.03),
        real("motor.power", "Drive power", "驱动功率", "kW", 0, 90, 2, 0.02),
        real("motor.current", "Drive current", "驱动电流", "A", 0, 200, 1, 0.1),
        real("heater.power", "Heater power", "加热功率", "kW", 0, 40, 2),
        real("part.weight", "Last part weight", "上一件重量", "g", 0, 500, 2, 0.005),
        real("hopper.level", "Hopper level", "料斗料位", "%", 0, 100, 1, 0.1),
        real("dryer.temperature", "Dryer temperature", "干燥机温度", "Cel", 0, 150, 1, 0.1),
        real("dryer.dew.point", "Dryer dew point", "干燥机露点", "Cel", -80, 20, 1, 0.1),
        flag("guard.closed", "Guard closed", "安全门关闭", start=True),
        text("scrap.reason", "Reason of the last scrap part", "最近报废原因"),
        text("material", "Material", "原料", "PP-GF20"),
        *production(("Mould", "模具编号"), ("Mould shots", "模具模次")),
        real(
            "setpoint.injection.speed",
            "Injection speed setpoint",
            "注射速度设定",
            "mm/s",
            0,
            200,
            0,
            write=(20, 150),
            start=80,
        ),
        real(
            "setpoint.hold.pressure",
            "Hold pressure setpoint",
            "保压压力设定",
            "bar",
            0,
            1200,
            0,
            write=(100, 900),
            start=450,
        ),
        real("setpoint.cooling.time", "Cooling time setpoint", "冷却时间设定", "s", 0, 60, 1, write=(2, 40), start=8),
    ),
    alarms=(
        AlarmRow(
            "zone4.temperature",
            "deviation",
            "deviation",
            8,
            ("Barrel zone 4 away from its setpoint", "料筒4区偏离设定"),
            "medium",
            2,
            10,
            10,
            "zone4.setpoint",
        ),
        AlarmRow(
            "melt.pressure",
            "high",
            "high",
            1500,
            ("Melt pressure high: blocked nozzle or gate", "熔体压力高：喷嘴或浇口堵塞"),
            "high",
            100,
            1,
            5,
        ),
        AlarmRow(
            "mould.temperature",
            "hot",
            "high",
            65,
            ("Mould hot: check coolant", "模温偏高：检查冷却水"),
            "medium",
            2,
            10,
            10,
        ),
        AlarmRow(
            "bearing.vibration",
            "warning",
            "high",
            4.5,
            ("Bearing vibration in zone C: plan its replacement", "轴承振动进入 C 区：安排更换"),
            "medium",
            0.5,
            5,
            15,
        ),
        AlarmRow("hopper.level", "low", "low", 10, ("Hopper nearly empty", "料斗将空"), "low", 5, 5, 5),
        AlarmRow(
            "machine.fault",
            "fault",
            "equals",
            1,
            ("Moulding machine stopped by a fault", "注塑机故障停机"),
            "high",
            0,
            1,
            2,
        ),
    ),
    attributes={"maker": "Jinji Plastics Machinery", "model": "JPM-160", "clamp": "1600 kN"},
)
