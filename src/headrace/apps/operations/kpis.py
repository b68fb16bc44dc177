"""The 34 KPIs of ISO 22400-2 as one table: number, formula over summed elements, unit, which way is better.

    symbols (sums.py) ─► numerator, denominator ─► value

A ratio is formed once, of sums: over units, shifts and orders the elements add up and ratios never do. Both parts are
told with the value. What nobody measures has no value, and says which symbol is missing; nor has a ratio whose
denominator is 0. Nothing is clipped: an effectiveness over 100 % says that the planned run time is wrong.

Source: ISO 22400-2:2014 §6, with Amd 1:2017; elements in `elements.py`. Values of % are fractions: 0.75 is 75 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Symbols = Mapping[str, float]
Part = Callable[[Symbols], float]
Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Kpi:
    """`number` is that of the standard's order; 0 for figures that stand beside it. `formula` is what it says."""

    number: int
    code: str
    en: str
    zh: str
    formula: str
    unit: str
    better: Better
    numerator: Part
    denominator: Part
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` is None where `why` says so. Units: of the KPI; times in h."""

    kpi: Kpi
    value: float | None
    numerator: float | None
    denominator: float | None
    why: str = ""


def figure(kpi: Kpi, symbols: Symbols) -> Figure:
    """One KPI of these elements."""
    try:
        numerator, denominator = kpi.numerator(symbols), kpi.denominator(symbols)
    except KeyError as missing:
        return Figure(kpi, None, None, None, f"nobody measures {missing.args[0]}")
    if denominator == 0:
        return Figure(kpi, None, numerator, denominator, f"{kpi.formula}: the denominator is 0")
    return Figure(kpi, numerator / denominator, numerator, denominator)


def figures(symbols: Symbols) -> list[Figure]:
    """All of `KPIS` and `BESIDE`, in their order."""
    return [figure(kpi, symbols) for kpi in (*KPIS, *BESIDE)]


def _of(symbol: str) -> Part:
    return lambda s: s[symbol]


def _sum(*symbols: str) -> Part:
    return lambda s: sum(s[symbol] for symbol in symbols)


def _good_share(s: Symbols) -> float:
    """Quality ratio within a product of ratios: 0 where nothing was produced, so that OEE is 0 and not unknown."""
    return s["GQ"] / s["PQ"] if s["PQ"] else 0.0


def _nee(s: Symbols) -> float:
    return s["AUPT"] * s["IDEAL"] * _good_share(s)


def _nearer(s: Symbols, mean: str) -> float:
    return min(s["USL"] - s[mean], s[mean] - s["LSL"])


def _width(s: Symbols) -> float:
    return s["USL"] - s["LSL"]


_FE: Final = "FE + 1 as the standard writes; the figure of usual practice, over FE, stands beside it"

KPIS: Final[tuple[Kpi, ...]] = (
    Kpi(1, "worker-efficiency", "Worker efficiency", "人员效率", "APWT / APAT", "%", "higher",
        _of("APWT"), _of("APAT"), "work of one person at several units at once is split among them"),
    Kpi(2, "allocation-ratio", "Allocation ratio", "分配率", "ΣAUBT / AOET", "%", "higher",
        _of("AUBT"), _of("AOET"), "of production orders"),
    Kpi(3, "throughput-rate", "Throughput rate", "产出率", "PQ / AOET", "1/h", "higher", _of("PQ"), _of("AOET")),
    Kpi(4, "allocation-efficiency", "Allocation efficiency", "分配效率", "AUBT / PBT", "%", "higher",
        _of("AUBT"), _of("PBT")),
    Kpi(5, "utilization-efficiency", "Utilization efficiency", "利用效率", "APT / AUBT", "%", "higher",
        _of("APT"), _of("AUBT")),
    Kpi(6, "oee", "OEE index", "设备综合效率", "Availability · Effectiveness · Quality ratio", "%", "higher",
        lambda s: s["IDEAL"] * _good_share(s), _of("PBT"),
        "APT/PBT · PRI·PQ/APT · GQ/PQ = PRI·PQ/PBT · GQ/PQ; of sums, never a mean of OEEs"),
    Kpi(7, "nee", "NEE index", "净设备效率", "AUPT / PBT · Effectiveness · Quality ratio", "%", "higher",
        _nee, lambda s: s["PBT"] * s["APT"], "counts setup as used time: NEE ≥ OEE"),
    Kpi(8, "availability", "Availability", "可用率", "APT / PBT", "%", "higher", _of("APT"), _of("PBT"),
        "setup and waiting are losses here; tools that write (PBT − down time) / PBT give more"),
    Kpi(9, "effectiveness", "Effectiveness", "性能率", "PRI · PQ / APT", "%", "higher", _of("IDEAL"), _of("APT"),
        "may exceed 100 %, which says that a planned run time is too long; never clipped"),
    Kpi(10, "quality-ratio", "Quality ratio", "合格率", "GQ / PQ", "%", "higher", _of("GQ"), _of("PQ")),
    Kpi(11, "setup-ratio", "Setup ratio", "换型占比", "AUST / AUPT", "%", "lower", _of("AUST"), _of("AUPT")),
    Kpi(12, "technical-efficiency", "Technical efficiency", "技术效率", "APT / (APT + ADET)", "%", "higher",
        _of("APT"), _sum("APT", "ADET")),
    Kpi(13, "production-process-ratio", "Production process ratio", "生产过程比率", "ΣAPT / AOET", "%", "higher",
        _of("APT"), _of("AOET"), "of production orders"),
    Kpi(14, "actual-to-planned-scrap", "Actual to planned scrap ratio", "实际与计划废品比", "SQ / PSQ", "%", "lower",
        _of("SQ"), _of("PSQ"), "PSQ is the order's planned share of scrap, times what was made; none where it is 0"),
    Kpi(15, "first-pass-yield", "First pass yield", "一次通过率", "GP / IP", "%", "higher", _of("GP"), _of("IP"),
        "needs serial numbers: each part counts once, at its first inspection"),
    Kpi(16, "scrap-ratio", "Scrap ratio", "废品率", "SQ / PQ", "%", "lower", _of("SQ"), _of("PQ")),
    Kpi(17, "rework-ratio", "Rework ratio", "返工率", "RQ / PQ", "%", "lower", _of("RQ"), _of("PQ")),
    Kpi(18, "fall-off-ratio", "Fall off ratio", "脱落率", "SQ / PQ of the first operation", "%", "lower",
        _of("SQ"), _of("PQ1"), "scrap of all operations over what the first one made"),
    Kpi(19, "cm", "Machine capability index", "机器能力指数 Cm", "(USL − LSL) / 6s", "1", "higher",
        _width, lambda s: 6 * s["S"], "s of one run of the machine"),
    Kpi(20, "cmk", "Critical machine capability index", "临界机器能力指数 Cmk",
        "min(USL − x̄, x̄ − LSL) / 3s", "1", "higher", lambda s: _nearer(s, "XBAR"), lambda s: 3 * s["S"]),
    Kpi(21, "cp", "Process capability index", "过程能力指数 Cp", "(USL − LSL) / 6σ̂", "1", "higher",
        _width, lambda s: 6 * s["SIGMA"], "σ̂ from within subgroups: R̄/d₂ or s̄/c₄"),
    Kpi(22, "cpk", "Critical process capability index", "临界过程能力指数 Cpk",
        "min(USL − x̿, x̿ − LSL) / 3σ̂", "1", "higher", lambda s: _nearer(s, "XBARBAR"), lambda s: 3 * s["SIGMA"]),
    Kpi(23, "energy", "Comprehensive energy consumption", "综合能耗", "(ΣMi·Ri + Q) / PQ", "kgce/unit", "lower",
        lambda s: s["CE"] + s.get("CEQ", 0.0), _of("PQ"), "Q is 0 where nothing is exchanged with the surroundings"),
    Kpi(24, "inventory-turns", "Inventory turns", "库存周转", "TH / average inventory", "1/period", "higher",
        _of("TH"), lambda s: s["INV"] / s["INVT"] if s["INVT"] else 0.0, "the level averaged over time"),
    Kpi(25, "finished-goods-ratio", "Finished goods ratio", "成品率", "GQ / CM", "%", "higher", _of("GQ"), _of("CM")),
    Kpi(26, "integrated-goods-ratio", "Integrated goods ratio", "综合成品率", "IGQ / CM", "%", "higher",
        _of("IGQ"), _of("CM")),
    Kpi(27, "production-loss-ratio", "Production loss ratio", "生产损失率", "PL / CM", "%", "lower",
        _of("PL"), _of("CM")),
    Kpi(28, "storage-loss-ratio", "Storage and transportation loss ratio", "储运损失率", "STL / CM", "%", "lower",
        _of("STL"), _of("CM")),
    Kpi(29, "other-loss-ratio", "Other loss ratio", "其他损失率", "OL / CM", "%", "lower", _of("OL"), _of("CM")),
    Kpi(30, "equipment-load-ratio", "Equipment load ratio", "设备负荷率", "PQ / EPC", "%", "higher",
        _of("PQ"), _of("EPC"), "EPC is the unit's capacity an hour, times its planned busy time"),
    Kpi(31, "mtbf", "Mean operating time between failures", "平均故障间隔时间", "ΣTBF / (FE + 1)", "h", "higher",
        _of("TBF"), lambda s: s["FE"] + 1, _FE),
    Kpi(32, "mttf", "Mean time to failure", "平均失效前时间", "ΣTTF / (FE + 1)", "h", "higher",
        _of("TTF"), lambda s: s["FE"] + 1, _FE),
    Kpi(33, "mttr", "Mean time to repair", "平均修复时间", "ΣTTR / (FE + 1)", "h", "lower",
        _of("TTR"), lambda s: s["FE"] + 1, _FE),
    Kpi(34, "corrective-maintenance-ratio", "Corrective maintenance ratio", "事后维修比", "CMT / (CMT + PMT)", "%",
        "lower", _of("CMT"), _sum("CMT", "PMT")),
)  # fmt: skip

BESIDE: Final[tuple[Kpi, ...]] = (
    Kpi(0, "mtbf-fe", "MTBF over FE", "平均故障间隔时间（按故障次数）", "ΣTBF / FE", "h", "higher",
        _of("TBF"), _of("FE"), "usual practice"),
    Kpi(0, "mttf-fe", "MTTF over FE", "平均失效前时间（按故障次数）", "ΣTTF / FE", "h", "higher",
        _of("TTF"), _of("FE"), "usual practice"),
    Kpi(0, "mttr-fe", "MTTR over FE", "平均修复时间（按故障次数）", "ΣTTR / FE", "h", "lower",
        _of("TTR"), _of("FE"), "usual practice"),
    Kpi(0, "failure-downtime-rate", "Failure down time rate", "故障停机率", "ΣTTR / (operating time + ΣTTR)", "%",
        "lower", _of("TTR"), _sum("OT", "TTR")),
    Kpi(0, "failures-per-1000h", "Failures in 1,000 operating hours", "千小时故障次数", "1000 · FE / operating time",
        "1", "lower", lambda s: 1000 * s["FE"], _of("OT")),
    Kpi(0, "pp", "Process performance Pp", "过程性能指数 Pp", "(USL − LSL) / 6s", "1", "higher",
        _width, lambda s: 6 * s["S_ALL"], "s of all values, whatever moved between subgroups"),
    Kpi(0, "ppk", "Process performance Ppk", "过程性能指数 Ppk", "min(USL − x̿, x̿ − LSL) / 3s", "1", "higher",
        lambda s: _nearer(s, "XBARBAR"), lambda s: 3 * s["S_ALL"]),
    Kpi(0, "no-data-share", "Share of planned busy time without data", "无数据时间占比", "no data / PBT", "%",
        "lower", _of("NO_DATA"), _of("PBT"), "counts as a loss of availability until it is known"),
    Kpi(0, "attendance", "Attended hours for a produced piece", "单件出勤工时", "APAT / PQ", "h", "lower",
        _of("APAT"), _of("PQ")),
)  # fmt: skip
"""What people ask for beside the standard, and other definitions of the same words."""

BY_CODE: Final = {kpi.code: kpi for kpi in (*KPIS, *BESIDE)}
