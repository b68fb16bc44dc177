"""`make audit`: which of the packages in our locks have known holes.

    requirements.lock        ──► pip-audit  ─┐
    console/package-lock.json ──► npm audit ─┴─► findings ─ exceptions (audit.toml) ──► exit status 1, or a line

Both ask a service on the internet. Where it does not answer, or does not know our packages, nothing is known: one line
says so and the build goes on, unless HEADRACE_REQUIRE_AUDIT=1. "Not looked up" is never taken for "no holes".
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXCEPTIONS = ROOT / "tools/audit.toml"
PIP = (
    sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--requirement", "requirements.lock",
    "--format", "json", "--progress-spinner", "off",
)  # fmt: skip
NPM = ("npm", "audit", "--omit=dev", "--json", "--prefix", "console")
_TIMEOUT_S = 300.0

#: Runs a command and gives what it printed; None where it could not run or took too long.
Run = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True)
class Finding:
    package: str
    version: str
    ids: tuple[str, ...]
    fixed: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}: {', '.join(self.ids)} (mended in {self.fixed or 'no version yet'})"


@dataclass(frozen=True)
class Answer:
    """`missing` says in words what could not be looked up; empty where everything was."""

    findings: tuple[Finding, ...] = ()
    missing: str = ""


def of_pip(text: str | None) -> Answer:
    """What pip-audit's JSON says."""
    document = _json(text)
    if not isinstance(document.get("dependencies"), list):
        return Answer(missing="the advisory service for Python packages did not answer")
    findings, skipped = [], 0
    for entry in document["dependencies"]:
        skipped += "skip_reason" in entry
        findings += [
            Finding(
                entry["name"], entry["version"], (hole["id"], *hole.get("aliases", ())), _last(hole["fix_versions"])
            )
            for hole in entry.get("vulns", ())
        ]
    total = len(document["dependencies"])
    missing = f"the advisory service does not know {skipped} of {total} Python packages" if skipped or not total else ""
    return Answer(tuple(findings), missing)


def of_npm(text: str | None) -> Answer:
    """What `npm audit --json` says. A package that only passes on the hole of another is not a second finding."""
    document = _json(text)
    if not isinstance(document.get("vulnerabilities"), dict) or "error" in document:
        return Answer(missing="the advisory service for the console's packages did not answer")
    findings = []
    for name, entry in document["vulnerabilities"].items():
        for via in entry["via"]:
            if isinstance(via, dict):
                fix = entry.get("fixAvailable")
                fixed = f"{fix['name']} {fix['version']}" if isinstance(fix, dict) else "a newer version" if fix else ""
                identity = str(via.get("url", "")).rpartition("/")[2] or str(via.get("source", "?"))
                findings.append(Finding(name, str(via.get("range", "")), (identity,), fixed))
    return Answer(tuple(findings))


def judge(answers: Sequence[Answer], exceptions: Sequence[Mapping[str, Any]], today: datetime.date) -> list[str]:
    """What stands in the way, a line each. Raises: ValueError for an exception without reason or end."""
    wrong, used = [], set()
    for entry in exceptions:
        if entry.keys() != {"id", "package", "reason", "until"} or not str(entry["reason"]).strip():
            raise ValueError(f"an exception in tools/audit.toml has id, package, reason and until: {dict(entry)}")
    for finding in (each for answer in answers for each in answer.findings):
        matching = [e for e in exceptions if e["package"] == finding.package and e["id"] in finding.ids]
        used.update(entry["id"] for entry in matching)
        if not matching:
            wrong.append(str(finding))
        elif all(today > entry["until"] for entry in matching):
            wrong.append(f"{finding}; its exception ended on {matching[0]['until']}: look again")
    if not any(answer.missing for answer in answers):
        wrong += [
            f"nothing has {e['id']} any more; take it out of tools/audit.toml"
            for e in exceptions
            if e["id"] not in used
        ]
    return wrong


def audit(
    run: Run, exceptions: Sequence[Mapping[str, Any]], today: datetime.date, *, required: bool
) -> tuple[int, list[str]]:
    """Exit status, and what to print."""
    answers = [of_pip(run(PIP)), of_npm(run(NPM))]
    wrong = judge(answers, exceptions, today)
    lines = [f"✗ {line}" for line in wrong]
    missing = [answer.missing for answer in answers if answer.missing]
    if missing:
        lines.append(
            f"! NOT AUDITED: {'; '.join(missing)}"
            + ("" if required else " (HEADRACE_REQUIRE_AUDIT=1 makes this an error)")
        )
    elif not wrong:
        lines.append("✓ no known holes in what we depend on")
    return int(bool(wrong or (missing and required))), lines


def _json(text: str | None) -> dict[str, Any]:
    try:
        document = json.loads(text or "")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _last(versions: Sequence[str]) -> str:
    return versions[-1] if versions else ""


def _run(command: Sequence[str]) -> str | None:
    path = f"{os.environ.get('PATH', '')}:{ROOT / '.cache/node-bin'}"
    program = shutil.which(command[0], path=path)
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout


def main() -> int:
    exceptions = tomllib.loads(EXCEPTIONS.read_text("utf-8"))["exception"]
    today = datetime.datetime.now(datetime.UTC).date()
    status, lines = audit(_run, exceptions, today, required=os.environ.get("HEADRACE_REQUIRE_AUDIT") == "1")
    for line in lines:
        print(line, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
