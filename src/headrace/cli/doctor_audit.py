"""What the doctor sees of the audit trail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.cli.finding import Finding


def audit_findings(state: Mapping[str, Any]) -> Iterator[Finding]:
    """From the answer of the API."""
    for text in state["trouble"]:
        level = "warn" if "full" in text and state["failing_since"] is None else "fail"
        yield Finding("audit trail", level, text, "see Audit trail in the console, and docs/operations.md")
    if not state["trouble"]:
        signed = state["checkpoint"]
        ahead = state["head"]["sequence"] - (0 if signed is None else signed["sequence"])
        yield Finding("audit trail", "ok", f"{state['head']['sequence']} entries, all but the newest {ahead} signed")
