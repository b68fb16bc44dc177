"""`ingest:` and `outlets:` in the plant's text: what is wrong is named with its place, what is right comes back."""

from __future__ import annotations

import pytest

from headrace.connect import drivers, outlets
from headrace.model.ingest import PLAIN_RULE, SeriesRule
from headrace.model.outlets import Waiting
from headrace.model.plant import PlantModel
from headrace.registry.declared import parse
from headrace.registry.emit import emit
from headrace.registry.expand import expand
from headrace.registry.problems import Problems
from headrace.sdk.services import SourceFile

HEAD = """assets:
  acme: {level: site}
points:
  acme/oil: {type: float64}
"""


def read(text: str) -> tuple[PlantModel, list[str]]:
    problems = Problems()
    declared = parse([SourceFile("p.yaml", HEAD + text)], problems)
    plant = expand(declared, drivers.load(), problems, outlets=outlets.load())
    if not problems:
        again = parse(emit(declared.values()), problems)
        assert {key: one.spec for key, one in again.items()} == {key: one.spec for key, one in declared.items()}
    return plant, [str(one) for one in problems.errors()]


def test_both_come_back_as_they_were_written() -> None:
    plant, errors = read(
        """ingest:
  t:
    bucket: telegraf
    rules:
      - {point: "acme/{field}", measurement: press, tags: {site: suzhou}}
      - {point: acme/oil, field: x}
    unknown: ignore
outlets:
  erp:
    protocol: webhook
    title: {en: ERP, zh: 企业资源计划}
    points: [acme]
    waiting: disk
    wait_mb: 10
    enabled: false
    settings: {url: "https://erp.example/h", samples: true}
"""
    )
    assert errors == []
    made = plant.ingest["t"]
    assert (made.bucket, made.ignore_unknown, len(made.rules)) == ("telegraf", True, 2)
    assert made.rules[0] == SeriesRule("acme/{field}", "press", None, {"site": "suzhou"})
    outlet = plant.outlets["erp"]
    assert (outlet.protocol, outlet.points, outlet.waiting, outlet.wait_bytes) == (
        "webhook", ("acme",), Waiting.DISK, 10 << 20,
    )  # fmt: skip
    assert not outlet.enabled and outlet.takes("acme/oil") and not outlet.takes("acmex/oil")


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("ingest: {t: {}}", 5, "lacks 'rules'"),
        ("ingest:\n  t: {rules: [{point: acme/oli}]}", 6, "did you mean 'acme/oil'?"),
        ('ingest:\n  t: {rules: [{point: "acme/{a"}]}', 6, "a brace alone"),
        ('ingest:\n  t: {rules: [{point: "acme/{}"}]}', 6, "a brace alone"),
        ("ingest:\n  t: {rules: {}}", 6, "must be a list of rules"),
        ("ingest:\n  t: {rules: [], unknown: drop}", 6, "must be refuse or ignore"),
        ("connections:\n  a: {driver: [x]}", 6, "'driver' must be text"),
        ("outlets:\n  a: {protocol: [x]}", 6, "'protocol' must be text"),
        ("outlets:\n  a: {protocol: webhok}", 6, "did you mean 'webhook'?"),
        ("outlets:\n  a: {protocol: webhook, settings: {url: 'http://erp.example/'}}", 6, "use https://"),
        ("outlets:\n  a: {protocol: webhook, settings: {urll: x}}", 6, "did you mean 'url'?"),
        ("outlets:\n  a: {protocol: mqtt, waiting: disk, settings: {host: x}}", 6, "nothing needs to wait on disk"),
        ("outlets:\n  a: {protocol: mqtt, points: [acme/oli], settings: {host: x}}", 6, "did you mean 'acme/oil'?"),
        ("outlets:\n  a: {protocol: opcua, wait_samples: 1}", 6, "must be 100 to"),
    ],
)
def test_what_is_wrong_is_named(text: str, line: int, why: str) -> None:
    _, errors = read(text + "\n")
    assert any(one.startswith(f"p.yaml:{line}") and why in one for one in errors), errors


def test_rules_fit_and_fill_in() -> None:
    rule = SeriesRule("a/{host}/{field}", tags={"site": "x"})
    assert rule.fits("m", {"host": "h", "site": "x"}, "f")
    assert not rule.fits("m", {"host": "h"}, "f") and not rule.fits("m", {"site": "x"}, "f")
    assert rule.path("m", {"host": "h", "site": "x"}, "f") == "a/h/f"
    assert PLAIN_RULE.path("acme/p3", {}, "oil") == "acme/p3/oil"
