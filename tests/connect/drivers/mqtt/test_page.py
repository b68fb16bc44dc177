"""The page on MQTT: what it declares binds, and the messages it shows become good samples of its points."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headrace.connect.binding import bind
from headrace.connect.drivers import load
from headrace.connect.drivers.mqtt.config import Settings
from headrace.connect.payload import Message, payload_of
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.plant import Connection
from headrace.model.points import Access, Point, PointSource

DOCS = Path(__file__).parents[4] / "docs"
BLOCK = re.compile(r"^```(yaml|json|text) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str, str]]:
    """(language, topic, text) of each."""
    return BLOCK.findall((DOCS / page).read_text("utf-8"))


def test_both_languages_show_the_same_examples() -> None:
    assert blocks("mqtt.md") == blocks("mqtt.zh-CN.md") != []


def test_every_point_binds_and_every_message_is_understood() -> None:
    declared: dict[str, dict[str, Any]] = {"connections": {}, "points": {}}
    messages = []
    for language, topic, text in blocks("mqtt.md"):
        if language == "yaml":
            for section, entries in YAML(typ="safe").load(text).items():
                declared[section].update(entries)
        else:
            messages.append(Message("floor", topic, text.strip().encode(), 1))
    connections = {
        name: Connection(name, said["driver"], said["settings"]) for name, said in declared["connections"].items()
    }
    points = [
        Point(
            path,
            ValueKind.from_label(said["type"]),
            access=Access(said.get("access", "read")),
            source=PointSource(said["connection"], said["address"]),
        )
        for path, said in declared["points"].items()
    ]
    bound = bind(points, {point.path: at for at, point in enumerate(points)}, connections, load())
    assert bound.errors == {} and len(points) == 8
    payload = payload_of(Settings.model_validate(connections["floor"].settings).payload)
    assert payload.bind(bound.by_connection["floor"]) == {}
    decoded = payload.decode(messages)
    assert decoded.refused == [] and decoded.ignored == 0
    samples = [
        (points[handle].path, value)
        for batch in decoded.batches
        for handle, value, quality in zip(
            batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
        )
        if quality == q.GOOD
    ]
    assert sorted(samples) == [
        ("acme/door-3/open", True),
        ("acme/press-3/oil.temperature", 62.4),
        ("acme/press-3/running", True),
        ("acme/press-3/strokes", 9007199254740993),
        ("acme/press-4/power", 11.5),
        ("acme/press-4/power", 11.75),
        ("acme/saw-1/speed", 31.5),
    ]
