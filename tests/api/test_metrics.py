"""/metrics, read by a parser as strict as Prometheus: one TYPE a family, samples of it together, labels escaped."""

from __future__ import annotations

import re

import httpx
import pytest
from tests.api.fakes import World

from headrace.api.metrics import CONTENT_TYPE, Family, _text
from headrace.sdk.testing.device_door import enrolling

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (NaN|[+-]Inf|[-+0-9.e]+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse(text: str) -> dict[str, tuple[str, dict[tuple[tuple[str, str], ...], float]]]:
    families: dict[str, tuple[str, dict[tuple[tuple[str, str], ...], float]]] = {}
    helped: set[str] = set()
    current = ""
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in helped, f"{name} is described twice"
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert current in helped and current not in families and kind in ("counter", "gauge")
            assert (kind == "counter") == current.endswith("_total"), current
            families[current] = (kind, {})
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            name, inside, value = found.groups()
            assert name == current, f"{line} is outside its family"
            labels = LABEL.findall(inside or "")
            assert "".join(f'{key}="{text}",' for key, text in labels).rstrip(",") == (inside or "")
            key = tuple(sorted(labels))
            assert key not in families[name][1], f"{line} is there twice"
            families[name][1][key] = float(value)
    return families


@pytest.mark.clause("62443-3-3 SR 6.2")
async def test_prometheus_reads_it(viewer: httpx.AsyncClient, world: World) -> None:
    await world.devices.door.admit(enrolling("new-1"))
    await world.edges.invite("wang", "suzhou", "acme/suzhou")
    answer = await viewer.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"] == CONTENT_TYPE
    families = parse(answer.text)
    assert families["headrace_resident_memory_bytes"][1][()] == 101_000_000
    state = (("connection", "press-plc-1"), ("driver", "modbus"), ("state", "connected"))
    assert families["headrace_connection_state"][1][state] == 1
    assert sum(families["headrace_connection_state"][1].values()) == 1
    assert families["headrace_alarms"][1][(("priority", "high"), ("state", "unack-active"))] == 1
    assert families["headrace_alarms"][1][(("priority", "critical"), ("state", "unack-active"))] == 0
    assert families["headrace_devices"][1][(("state", "quarantined"),)] == 1
    assert families["headrace_edge_connected"][1][(("edge", "suzhou"),)] == 0
    assert families["headrace_history_detail"][1][(("name", "durable_lag_ms"),)] == 1.5
    assert {"headrace_feed_frames_total", "headrace_queue_dropped_samples_total"} <= set(families)


def test_labels_are_escaped_and_odd_numbers_named() -> None:
    odd = [({"a": 'x"y\\z\nw'}, float("nan")), ({"a": "油"}, float("inf")), ({"a": ""}, -1.5e-9)]
    families = parse(_text(Family("headrace_odd", "gauge", "Odd.", odd)))
    assert list(families["headrace_odd"][1]) == [(("a", r"x\"y\\z\nw"),), (("a", "油"),), (("a", ""),)]


def test_a_counter_may_be_an_integer() -> None:
    """Those of a gateway's workers are: `int.is_integer` is younger than the oldest Python that runs us."""
    assert _text(Family("x", "counter", "h", [({}, 7), ({}, 2.5)])).splitlines()[2:] == ["x 7", "x 2.5"]


async def test_what_was_told_is_counted(viewer: httpx.AsyncClient, world: World) -> None:
    counters = world.services.notifications.counters
    counters.sent, counters.failed, counters.pending = 7, 2, 3
    families = parse((await viewer.get("/metrics")).text)
    told = {name: families[f"headrace_notifications_{name}"] for name in ("sent_total", "failed_total", "pending")}
    assert {name: one[1][()] for name, one in told.items()} == {"sent_total": 7, "failed_total": 2, "pending": 3}
