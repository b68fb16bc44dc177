"""Writes docs/conformance/mqtt.md: every normative statement of MQTT 3.1.1 and 5.0, and the test that holds us to it.

    tests/connect/gateway/conformance/{v311,v5}.tsv     statement, in our words, tests or why not
    python -m tools.conformance [--check]

A test is named `file/beginning of its name`; one that begins so must exist, and be the only one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests/connect/gateway/conformance"
PAGE = ROOT / "docs/conformance/mqtt.md"
FILES = {
    "codec": "mqtt/test_codec.py",
    "client": "mqtt/test_client.py",
    **{
        name: f"gateway/test_{name}.py"
        for name in ("connecting", "sessions", "subscribing", "storing", "bounds", "commands", "websocket")
    },
}
#: How many statements each section of the standards has; a number that is missing here is missing there.
STATEMENTS = {
    "v311": """
        1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3 3.3.4:1 3.3.5:2
        3.6.1:1 3.8.1:1 3.8.3:4 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1 3.14.4:3 4.1.0:2 4.2.0:1
        4.3.1:1 4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3 4.7.2:1 4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 7.1.1:1
        7.1.2:1""",
    "v5": """
        1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:2-6 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2 3.2.2:22 3.3.1:13
        3.3.2:20 3.3.4:10 3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8 3.9.2:2 3.9.3:2 3.10.1:1
        3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:4 3.14.4:3 3.15.1:1 3.15.2:3 4.1.0:2
        4.2.0:1 4.3.1:1 4.3.2:5 4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2 4.7.2:1 4.7.3:4 4.8.2:6 4.9.0:3
        4.12.0:7 4.12.1:2 4.13.1:1 4.13.2:1 6.0.0:4""",
}
TITLES = {"v311": "MQTT 3.1.1", "v5": "MQTT 5.0"}


@dataclass(frozen=True)
class Row:
    """`reasons` say where we differ, or why a statement is not ours."""

    number: str
    says: str
    tests: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def result(self) -> str:
        if any(reason.startswith("differs: ") for reason in self.reasons):
            return "differs"
        return "not applicable" if self.reasons and not self.tests else "holds"


def expected(version: str) -> list[str]:
    numbers = []
    for section in STATEMENTS[version].split():
        name, _, span = section.partition(":")
        first, _, last = span.rpartition("-")
        numbers += [f"{name}-{number}" for number in range(int(first or 1), int(last) + 1)]
    return numbers


def rows(version: str) -> list[Row]:
    """Raises: ValueError for a test that is not there, or a name that several have."""
    found = []
    for line in (FOLDER / f"{version}.tsv").read_text("utf-8").splitlines():
        number, says, where = line.split("\t")
        parts = [part.strip() for part in where.split("; ")]
        tests, reasons = [], []
        for part in parts:
            head, colon, rest = part.rpartition(": ")
            if part.startswith(("n/a: ", "differs: ")):
                if colon and "/" in rest and " " not in rest:  # a reason that names its own test
                    tests.append(_test(rest))
                    part = head
                reasons.append(part)
            else:
                tests.append(_test(part))
        found.append(Row(number, says, tuple(tests), tuple(reasons)))
    return found


def _test(name: str) -> str:
    file, _, beginning = name.partition("/")
    text = (ROOT / "tests/connect" / FILES[file]).read_text("utf-8")
    matching = re.findall(rf"^(?:async )?def (test_{re.escape(beginning)}\w*)", text, re.M)
    if len(matching) != 1:
        raise ValueError(f"'{name}' names {len(matching)} tests: {matching}")
    return f"{FILES[file]}::{matching[0]}"


def page() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    tables = {version: rows(version) for version in TITLES}
    yield """# MQTT: every normative statement, and the test that holds us to it

Statements are numbered as the OASIS standards number them and told in our words. *Holds* means that the tests named
pass: they are part of every build. Generated from `tests/connect/gateway/conformance/` by `make docs`; a test fails
where a statement is missing, or a test that is named does not exist. Tests are below `tests/connect/`.

| | statements | hold | differ | not applicable |
|---|---|---|---|---|"""
    for version, table in tables.items():
        counts = [sum(row.result == result for row in table) for result in ("holds", "differs", "not applicable")]
        yield f"| {TITLES[version]} | {len(table)} | {' | '.join(map(str, counts))} |"
    for version, table in tables.items():
        yield f"\n## {TITLES[version]}\n\n| statement | says | result | by |\n|---|---|---|---|"
        for row in table:
            by = [f"`{test}`" for test in row.tests]
            by += [reason.partition(": ")[2] for reason in row.reasons]
            yield f"| MQTT-{row.number} | {row.says} | {row.result} | {'; '.join(by)} |"
    yield """
## The client tests of the Eclipse Paho interoperability suite

Run by hand against a gateway (the suite is no part of this repository). Beside each is the test of ours that holds us
to the same.

| test | result | ours |
|---|---|---|"""
    for line in (FOLDER / "paho.tsv").read_text("utf-8").splitlines():
        name, result, where = line.split("\t")
        yield f"| `{name}` | {result} | `{_test(where)}` |"


def main() -> int:
    text = page()
    if "--check" in sys.argv:
        if not PAGE.exists() or PAGE.read_text("utf-8") != text:
            print("docs/conformance/mqtt.md is not what the tests say: run `make docs`", file=sys.stderr)
            return 1
        return 0
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, "utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
