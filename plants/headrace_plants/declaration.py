"""The works as a folder of declarations: what an engineer would have written, made from the data sheets.

    layout + sheets + ports ──► <type>.yaml, connections.yaml, assets.yaml

It is the first declaration that a newcomer reads, so it is laid out like one written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.model.batch import ValueKind
from headrace_plants.layout import AREAS, MACHINES, SERVERS
from headrace_plants.registers import UNIT, base_of, register_map
from headrace_plants.sheets import SHEETS, AlarmRow, Care, Reason, Row, Sheet
from headrace_plants.sheets.words import Calculated, Title

WIDTH = 118
_MARKS = re.compile(r""": | #|[,\[\]{}"'=%&*!|>@`]|^(?:true|false|yes|no|on|off|null|~)$""")
_WORDY = re.compile(r"\d+(?:s|m|h)|\d.*[^\x00-\x7f].*|\d[\d.]* ?[A-Za-z].*")
MODBUS_TYPES = {machine.sheet.name for machine in MACHINES if machine.server.endswith("-plc")}


def declaration(ports: Mapping[str, int] | None = None, host: str = "127.0.0.1") -> list[tuple[str, str]]:
    """(file name, YAML text) of each file. `ports` by server name; the usual ones where left out."""
    files = [(f"{sheet.name}.yaml", _type_file(sheet)) for sheet in SHEETS]
    files.append(("connections.yaml", _connections_file(dict(ports or {}), host)))
    files.append(("assets.yaml", _assets_file()))
    return files


def write_files(folder: Path, files: Sequence[tuple[str, str]]) -> None:
    """Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files:
        (folder / name).write_text(text, encoding="utf-8")


def _type_file(sheet: Sheet) -> str:
    modbus = sheet.name in MODBUS_TYPES
    lines = [f"# {sheet.title[0]} · {sheet.title[1]}: {len(sheet.rows)} points, {len(sheet.alarms)} alarms"]
    lines += ["types:", f"  {sheet.name}:", "    version: 1", f"    title: {_flow(_title(sheet.title))}"]
    if modbus:
        lines.append("    parameters: {base: 0}  # first register of the machine in its PLC")
    else:
        lines.append('    parameters: {machine: ""}  # name of the machine in its OPC UA server')
    lines.append("    points:")
    places = register_map(sheet) if modbus else {}
    for row in sheet.rows:
        if modbus:
            place = places[row.name]
            address: dict[str, Any] = {"table": place.table}
            address["address"] = f"{{base+{place.address}}}" if place.table == "holding" else place.address
            if row.wire != "bool":
                address["encoding"] = row.wire
            if row.wire == "text":
                address["length"] = place.length
            elif place.length > 1 and sheet.word_order != "ABCD":
                address["order"] = sheet.word_order
            if row.scale != 1.0:
                address["scale"] = row.scale
        else:
            address = {"node": f"ns=2;s={{machine}}.{row.name}"}
        lines += _entry(6, row.name, _point(row), *_care(row.care), ("address", address))
    for one in sheet.calculated:
        lines += _entry(6, one.name, _calculated(one))
    if sheet.alarms:
        lines.append("    alarms:")
        for alarm in sheet.alarms:
            name = f"{alarm.point}:{alarm.rule}"
            lines += _entry(6, name, _alarm(alarm), ("message", _title(alarm.message)), *_reason(alarm.reason))
    return "\n".join(lines) + "\n"


def _point(row: Row) -> dict[str, Any]:
    entry: dict[str, Any] = {"title": _title(row.title), "type": row.kind.label}
    if row.unit and row.unit != "1":
        entry["unit"] = row.unit
    if row.high > row.low:
        entry["range"] = [row.low, row.high]
    if row.write is not None:
        entry["access"] = "read-write"
        if row.kind is not ValueKind.BOOL:
            entry["write_range"] = list(row.write)
    if row.kind is ValueKind.FLOAT64:
        entry["decimals"] = row.decimals
    if row.interval_s != 1:
        entry["interval"] = f"{row.interval_s}s"
    return entry


def _calculated(one: Calculated) -> dict[str, Any]:
    return {
        "title": _title(one.title), "unit": one.unit, "range": [one.low, one.high], "decimals": one.decimals,
        "expression": one.expression,
    }  # fmt: skip


def _care(care: Care | None) -> list[tuple[str, Any]]:
    if care is None:
        return []
    interlocks = [{"point": one.point, "is": one.wanted, "text": _title(one.text)} for one in care.interlocks]
    return [("critical", True), ("limits", {"step": care.step, "rate": care.rate}), ("interlocks", interlocks)]


def _reason(reason: Reason | None) -> list[tuple[str, Any]]:
    if reason is None:
        return []
    said = (("cause", reason.cause), ("consequence", reason.consequence), ("response", reason.response))
    return [*((name, _title(text)) for name, text in said), ("time_to_respond", f"{reason.minutes}m")]


def _alarm(alarm: AlarmRow) -> dict[str, Any]:
    limit = f"{alarm.limit:g}s" if alarm.condition == "stale" else alarm.limit
    entry: dict[str, Any] = {"condition": alarm.condition, "limit": limit}
    if alarm.reference:
        entry["reference"] = alarm.reference
    if alarm.hysteresis:
        entry["hysteresis"] = alarm.hysteresis
    if alarm.on_delay_s:
        entry["on_delay"] = f"{alarm.on_delay_s}s"
    if alarm.off_delay_s:
        entry["off_delay"] = f"{alarm.off_delay_s}s"
    entry["priority"] = alarm.priority
    return entry


def _connections_file(ports: dict[str, int], host: str) -> str:
    lines = ["# One session a server; the plant prints its ports when it is ready", "connections:"]
    for server in SERVERS:
        port = ports.get(server.name, server.port)
        settings: dict[str, Any] = (
            {"url": f"opc.tcp://{host}:{port}/", "security": "none"}
            if server.protocol == "opcua"
            else {"host": host, "port": port, "unit": UNIT}
        )
        lines += [
            f"  {server.name}:",
            f"    driver: {server.protocol}",
            f"    settings: {_flow(settings)}",
            f"    title: {_flow(_title(server.title))}",
        ]
    return "\n".join(lines) + "\n"


def _assets_file() -> str:
    lines = ["# Levels as in ISA-95: enterprise, site, area, line, equipment", "assets:"]
    lines += [f"  {area.path}: {_flow({'level': area.level, 'title': _title(area.title)})}" for area in AREAS]
    for machine in MACHINES:
        parameters: dict[str, Any] = (
            {"base": base_of(machine)} if machine.sheet.name in MODBUS_TYPES else {"machine": machine.name}
        )
        lines += [
            f"  {machine.path}:",
            "    level: equipment",
            f"    title: {_flow(_title(machine.title))}",
            f"    type: {machine.sheet.name}",
            f"    connection: {machine.server}",
            f"    parameters: {_flow(parameters)}",
        ]
        if machine.feeds:
            lines.append(f"    feeds: {_flow(list(machine.feeds))}")
        attributes = {**machine.sheet.attributes, **machine.attributes}
        if attributes:
            lines.append(f"    attributes: {_flow(attributes)}")
    return "\n".join(lines) + "\n"


# --- YAML in the flow style of a data sheet ---------------------------------------------------------------------------


def _title(title: Title) -> dict[str, str]:
    return {"en": title[0], "zh": title[1]}


def _entry(indent: int, key: str, fields: Mapping[str, Any], *rest: tuple[str, Any]) -> list[str]:
    """`key: {…}` on one line if it fits, else each of the `rest` on a line of its own."""
    pad = " " * indent
    one = f"{pad}{key}: {_flow({**fields, **dict(rest)})}"
    if len(one) <= WIDTH:
        return [one]
    lines = [f"{pad}{key}:", f"{pad}  {_flow(fields)[:-1]},"]
    for name, value in rest:
        text = f"{pad}   {_flow({name: value})[1:-1]},"
        if len(text) <= WIDTH or not isinstance(value, list):
            lines.append(text)
            continue
        items = [f"{pad}      {_flow(item)}," for item in value]
        lines += [f"{pad}   {name}: [", *items[:-1], items[-1][:-1] + "],"]
    return [*lines[:-1], lines[-1][:-1] + "}"]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e5 else str(int(value))
    if isinstance(value, int):
        return str(value)
    return _plain(str(value))


def _plain(text: str) -> str:
    """Quoted only where YAML would read something else."""
    safe = text and not _MARKS.search(text) and (not text[0].isdigit() or _WORDY.fullmatch(text))
    return text if safe else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
