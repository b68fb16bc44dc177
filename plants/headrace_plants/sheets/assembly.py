"""Assembly station: four screws, one press fit, one leak test, then good or rejected with a code.

Reject codes: 0 good, 1 torque low, 2 torque high, 3 press fit, 4 leak.
"""

from headrace_plants.sheets.words import AlarmRow, Sheet, flag, production, real, text, whole

SCREWS = 4

ASSEMBLY_STATION = Sheet(
    "assembly-station",
    ("Assembly station", "装配工位"),
    rows=(
        *(
            real(f"screw{n}.torque", f"Screw {n} final torque", f"螺钉{n}终拧扭矩", "N.m", 0, 20, 2)
            for n in range(1, SCREWS + 1)
        ),
        *(
            real(f"screw{n}.angle", f"Screw {n} final angle", f"螺钉{n}终拧角度", "deg", 0, 1080, 0)
            for n in range(1, SCREWS + 1)
        ),
        real("spindle.torque", "Spindle torque", "拧紧轴扭矩", "N.m", 0, 20, 2, 0.02),
        real("fit.force", "Press-fit force", "压装力", "kN", 0, 10, 2, 0.01),
        real("fit.distance", "Press-fit distance", "压装位移", "mm", 0, 30, 2, 0.005),
        real("leak.rate", "Leak rate of the last part", "上一件泄漏率", "cm3/min", 0, 20, 2, 0.01),
        real("air.pressure", "Air pressure at the station", "工位气压", "bar", 0, 10, 2, 0.01),
        real("power", "Station power", "工位功率", "kW", 0, 10, 2, 0.01),
        flag("part.present", "Part present", "工件在位"),
        flag("part.passed", "Last part passed", "上一件合格", start=True),
        whole("reject.code", "Reject code of the last part", "上一件不合格代码", 0, 4),
        text("part.serial", "Serial number", "序列号", interval_s=1),
        *production(("Fixture", "夹具编号"), ("Fixture cycles", "夹具循环")),
        real("setpoint.torque", "Torque setpoint", "扭矩设定", "N.m", 0, 20, 2, write=(4, 12), start=8),
    ),
    alarms=(
        AlarmRow(
            "air.pressure", "low", "low", 5.5, ("Air pressure low at the station", "工位气压低"), "high", 0.3, 5, 5
        ),
        AlarmRow(
            "machine.fault", "fault", "equals", 1, ("Station stopped by a fault", "工位故障停机"), "high", 0, 1, 2
        ),
        AlarmRow("leak.rate", "high", "high", 5, ("Leak test limit exceeded", "气密测试超限"), "low", 0.5, 0, 5),
        AlarmRow("cycle.time", "slow", "high", 30, ("Station slower than planned", "工位节拍超时"), "low", 2, 5, 5),
    ),
    attributes={"maker": "Acme Automation", "model": "AS-4S"},
)
