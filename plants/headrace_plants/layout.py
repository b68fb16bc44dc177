"""The works as it stands: which machines there are, where each is in the hierarchy, and which column is whose.

    sheets ──► Machine (sheet, path, server) ──► Layout: one vector of numbers, one of texts
                                                   numbers[index]  float64, bool and int64 points (exact below 2^53)
                                                   texts[index]    text points

Machines of one type lie side by side: row `r` of machine `m` is `offset + r * machines + m`, so a physical law is
written once for all machines of a type, on views of shape (machines,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import ValueKind
from headrace_plants.sheets import SHEETS, Row, Sheet
from headrace_plants.sheets.words import Title

ENTERPRISE = "acme"
SITE = "acme/suzhou"


@dataclass(frozen=True, slots=True)
class Area:
    """A level above the machines, as declared."""

    path: str
    level: str
    title: Title


AREAS: tuple[Area, ...] = (
    Area(ENTERPRISE, "enterprise", ("Acme Components", "阿克米零部件")),
    Area(SITE, "site", ("Suzhou works", "苏州工厂")),
    Area(f"{SITE}/press-shop", "area", ("Press shop", "压制车间")),
    Area(f"{SITE}/press-shop/line-1", "line", ("Press line 1", "压制一线")),
    Area(f"{SITE}/moulding-shop", "area", ("Moulding shop", "注塑车间")),
    Area(f"{SITE}/moulding-shop/line-1", "line", ("Moulding line 1", "注塑一线")),
    Area(f"{SITE}/assembly", "area", ("Assembly", "装配车间")),
    Area(f"{SITE}/assembly/line-1", "line", ("Assembly line 1", "装配一线")),
    Area(f"{SITE}/utilities", "area", ("Utilities", "公用工程")),
)


@dataclass(frozen=True, slots=True)
class Server:
    """One protocol server of the plant; `name` is also the connection in the declaration."""

    name: str
    protocol: str
    port: int
    title: Title


SERVERS: tuple[Server, ...] = (
    Server("moulding-cell", "opcua", 14840, ("Moulding cell controller", "注塑单元控制器")),
    Server("assembly-cell", "opcua", 14841, ("Assembly and utilities controller", "装配与公用工程控制器")),
    *(
        Server(f"press-{n}-plc", "modbus", 15019 + n, (f"Press {n} PLC and meter", f"{n}号压机 PLC 与电表"))
        for n in range(1, 5)
    ),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """One asset with points. `name` is short and unique; `place` is its column among the machines of its type."""

    name: str
    path: str
    sheet: Sheet
    title: Title
    server: str
    place: int
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def feeds(self) -> tuple[str, ...]:
        """The areas that stand still without it."""
        return FEEDS.get(self.name, ())


#: Air drives the stations' screwdrivers and the moulders' ejectors; chilled water cools moulds and the oil of presses.
FEEDS: dict[str, tuple[str, ...]] = {
    "compressor-1": (f"{SITE}/assembly/line-1", f"{SITE}/moulding-shop/line-1"),
    "chiller-1": (f"{SITE}/moulding-shop/line-1", f"{SITE}/press-shop/line-1"),
}


def _machines() -> list[Machine]:
    by_name = {sheet.name: sheet for sheet in SHEETS}
    found: list[Machine] = []

    def add(kind: str, name: str, folder: str, title: Title, server: str, **attributes: str) -> None:
        place = sum(machine.sheet.name == kind for machine in found)
        found.append(Machine(name, f"{SITE}/{folder}/{name}", by_name[kind], title, server, place, {**attributes}))

    for n, year in zip(range(1, 5), ("2019", "2017", "2014", "2021"), strict=True):
        add(
            "hydraulic-press",
            f"press-{n}",
            "press-shop/line-1",
            (f"Press {n}", f"{n}号压机"),
            f"press-{n}-plc",
            year=year,
        )
    for n in range(1, 5):
        add("energy-meter", f"meter-{n}", "utilities", (f"Meter of press {n}", f"{n}号压机电表"), f"press-{n}-plc")
    for n, year in zip(range(1, 5), ("2018", "2020", "2020", "2022"), strict=True):
        title = (f"Moulder {n}", f"{n}号注塑机")
        add("injection-moulder", f"moulder-{n}", "moulding-shop/line-1", title, "moulding-cell", year=year)
    for n in (1, 2):
        add(
            "assembly-station",
            f"station-{n}",
            "assembly/line-1",
            (f"Station {n}", f"{n}号工位"),
            "assembly-cell",
            year="2021",
        )
    add("air-compressor", "compressor-1", "utilities", ("Compressor 1", "1号空压机"), "assembly-cell", year="2016")
    add("chiller", "chiller-1", "utilities", ("Chiller 1", "1号冷水机组"), "assembly-cell", year="2015")
    add("shift", "shift", "assembly", ("Shift on duty", "当班班次"), "assembly-cell")
    return found


MACHINES: tuple[Machine, ...] = tuple(_machines())


@dataclass(frozen=True, slots=True)
class PlantPoint:
    """One point of one machine; `index` is into the numbers, or into the texts where `row.kind` is text."""

    path: str
    machine: Machine
    row: Row
    index: int


def _points(machines: Sequence[Machine]) -> list[PlantPoint]:
    found: list[PlantPoint] = []
    numbers = texts = 0
    for sheet in SHEETS:
        members = [machine for machine in machines if machine.sheet is sheet]
        for row in sheet.rows:
            is_text = row.kind is ValueKind.TEXT
            first = texts if is_text else numbers
            found += [
                PlantPoint(f"{machine.path}/{row.name}", machine, row, first + machine.place) for machine in members
            ]
            if is_text:
                texts += len(members)
            else:
                numbers += len(members)
    return found


POINTS: tuple[PlantPoint, ...] = tuple(_points(MACHINES))
POINT_BY_PATH: dict[str, PlantPoint] = {point.path: point for point in POINTS}
NUMBERS = sum(point.row.kind is not ValueKind.TEXT for point in POINTS)
TEXTS = len(POINTS) - NUMBERS


class Block:
    """The points of one machine type by row name: numbers as float64 views, texts as object views, (machines,) each."""

    def __init__(self, sheet_name: str, numbers: NDArray[np.float64], texts: NDArray[np.object_]) -> None:
        members = [point for point in POINTS if point.machine.sheet.name == sheet_name]
        self.machines = [machine for machine in MACHINES if machine.sheet.name == sheet_name]
        self.count = len(self.machines)
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._texts: dict[str, NDArray[np.object_]] = {}
        for point in members:
            if point.machine.place:
                continue
            span = slice(point.index, point.index + self.count)
            if point.row.kind is ValueKind.TEXT:
                self._texts[point.row.name] = texts[span]
                texts[span] = point.row.start
            else:
                self._numbers[point.row.name] = numbers[span]
                numbers[span] = point.row.start

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self._numbers[name]

    def __setitem__(self, name: str, value: NDArray[Any] | float) -> None:
        """In place: the views of others stay true."""
        self._numbers[name][...] = value

    def text(self, name: str) -> NDArray[np.object_]:
        return self._texts[name]

    def __contains__(self, name: str) -> bool:
        return name in self._numbers

    def matrix(self, numbers: NDArray[np.float64], first: str, rows: int) -> NDArray[np.float64]:
        """`rows` neighbouring rows as one view. Shape: (rows, machines)."""
        start = next(p.index for p in POINTS if p.row.name == first and p.machine is self.machines[0])
        return numbers[start : start + rows * self.count].reshape(rows, self.count)
