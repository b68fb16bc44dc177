"""The bill of materials says what the locks say, in the form of the standard, and every licence in it is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tests.cli.shell import headrace
from tools import sbom

TEXT = sbom.TARGET.read_text("utf-8")
BILL = json.loads(TEXT)
LISTED = pytest.mark.clause("62443-3-3 SR 7.8", "62443-4-2 CR 7.8")


@LISTED
def test_it_is_what_the_locks_say() -> None:
    made = json.loads(sbom.document())
    listed = {part["purl"]: part for part in BILL["components"]}
    wanted = {part["purl"]: part for part in made["components"]}
    assert listed.keys() == wanted.keys(), "run `make sbom`"
    assert made == BILL, "run `make sbom`"


def test_it_is_the_same_bytes_each_time_and_has_a_time_only_where_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sbom.document() == sbom.document()
    assert "timestamp" not in json.loads(sbom.document())["metadata"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1780000000")
    assert json.loads(sbom.document())["metadata"]["timestamp"].startswith("2026-05-28T20:26:40")


def test_it_has_the_form_of_cyclonedx_1_6() -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(TEXT) is None
    assert validator.validate_str(TEXT.replace('"type": "library"', '"type": "books"', 1)) is not None


def test_everything_in_it_can_be_found_and_checked() -> None:
    for part in BILL["components"]:
        assert part["purl"].startswith(("pkg:pypi/", "pkg:npm/")) and part["version"]
        if not part["name"].startswith("headrace"):
            assert part["hashes"], part["name"]
    names = {part["name"] for part in BILL["components"]}
    assert {"numpy", "cryptography", "asyncua", "react", "uvloop", "colorama", "psycopg"} <= names
    assert not names & {"pytest", "hypothesis", "mypy", "ruff", "vite", "typescript", "pip-audit"}
    known = {part["bom-ref"] for part in [BILL["metadata"]["component"], *BILL["components"]]}
    for edge in BILL["dependencies"]:
        assert {edge["ref"], *edge.get("dependsOn", [])} <= known
    reached, waiting = set(), [BILL["metadata"]["component"]["bom-ref"]]
    needs = {edge["ref"]: edge.get("dependsOn", []) for edge in BILL["dependencies"]}
    while waiting:
        if (ref := waiting.pop()) not in reached:
            reached.add(ref)
            waiting += needs[ref]
    assert reached == known, "what nobody needs is not shipped"


def test_every_licence_is_one_that_we_may_distribute_with() -> None:
    refused = {}
    for part in BILL["components"]:
        choice = part["licenses"][0]
        expression = choice["expression"] if "expression" in choice else choice["license"]["id"]
        if bad := sbom.forbidden(expression, beside=part["purl"].startswith("pkg:pypi/")):
            refused[part["purl"]] = bad
    assert refused == {}


@pytest.mark.parametrize(
    ("expression", "beside", "allowed"),
    [
        ("MIT", False, True),
        ("GPL-3.0-only", True, False),
        ("MIT OR GPL-3.0-only", False, True),
        ("MIT AND GPL-3.0-only", True, False),
        ("LGPL-3.0-only", True, True),
        ("LGPL-3.0-only", False, False),
        ("AGPL-3.0-or-later", True, False),
        ("SSPL-1.0", True, False),
        ("MIT AND (Apache-2.0 OR GPL-2.0-only)", False, True),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", True, False),
        ("GPL-3.0-or-later WITH Classpath-exception-2.0", True, False),
    ],
)
def test_the_policy_reads_expressions(expression: str, beside: bool, allowed: bool) -> None:
    assert (sbom.forbidden(expression, beside=beside) == []) is allowed


@LISTED
def test_the_command_prints_the_one_that_is_shipped() -> None:
    assert headrace("sbom").out == TEXT
    assert "pkg:pypi/numpy" in headrace("sbom", "--table").out
    assert "*.cdx.json" in (Path(sbom.ROOT) / "pyproject.toml").read_text()
