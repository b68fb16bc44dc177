"""`make audit`: a hole fails, an exception has a reason and an end, and silence of the service is not good news."""

from __future__ import annotations

import datetime
import json
import tomllib
from collections.abc import Sequence
from typing import Any

import pytest
from tools import audit

TODAY = datetime.date(2026, 11, 26)
CLEAN_PIP = {"dependencies": [{"name": "numpy", "version": "2.4.6", "vulns": []}], "fixes": []}
HOLE = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1", "GHSA-aaaa-bbbb-cccc"],
    "fix_versions": ["2.5.0"],
    "description": "…",
}
HOLED_PIP = {"dependencies": [{"name": "numpy", "version": "2.4.6", "vulns": [HOLE]}], "fixes": []}
SKIPPED_PIP = {"dependencies": [{"name": "numpy", "skip_reason": "not found"}, *CLEAN_PIP["dependencies"]], "fixes": []}
CLEAN_NPM: dict[str, Any] = {"auditReportVersion": 2, "vulnerabilities": {}, "metadata": {}}
ADVISORY = {"source": 7, "url": "https://github.com/advisories/GHSA-dddd-eeee-ffff", "range": "<2"}
HOLED_NPM = {
    "auditReportVersion": 2,
    "vulnerabilities": {
        "react": {"name": "react", "via": [ADVISORY], "fixAvailable": {"name": "react", "version": "2.0.0"}},
        "react-dom": {"name": "react-dom", "via": ["react"], "fixAvailable": True},
    },
}
REFUSED_NPM = {"statusCode": 405, "error": {"summary": ""}, "body": ""}
UNTIL = {"id": "CVE-2026-1", "package": "numpy", "reason": "we never call it", "until": TODAY}


def said(pip: Any, npm: Any, exceptions: Sequence[dict[str, Any]] = (), required: bool = False) -> tuple[int, str]:
    texts = {audit.PIP: pip, audit.NPM: npm}

    def run(command: Sequence[str]) -> str | None:
        answer = texts[tuple(command)]
        return answer if answer is None or isinstance(answer, str) else json.dumps(answer)

    status, lines = audit.audit(run, exceptions, TODAY, required=required)
    return status, "\n".join(lines)


def test_no_holes_is_one_line() -> None:
    assert said(CLEAN_PIP, CLEAN_NPM, required=True) == (0, "✓ no known holes in what we depend on")


def test_holes_fail_with_package_advisory_and_what_mends_them() -> None:
    status, text = said(HOLED_PIP, HOLED_NPM)
    assert status == 1
    assert "numpy 2.4.6: PYSEC-2026-1, CVE-2026-1, GHSA-aaaa-bbbb-cccc (mended in 2.5.0)" in text
    assert "GHSA-dddd-eeee-ffff" in text and text.count("✗") == 2


@pytest.mark.parametrize("npm", [None, "", "<html>", REFUSED_NPM, []])
@pytest.mark.parametrize("pip", [None, "", "Traceback", SKIPPED_PIP, {"dependencies": []}])
def test_what_was_not_looked_up_is_said_and_is_an_error_where_it_must_be(pip: Any, npm: Any) -> None:
    for first, second in ((pip, npm), (pip, CLEAN_NPM), (CLEAN_PIP, npm)):
        status, text = said(first, second)
        assert status == 0 and text.startswith("! NOT AUDITED: ") and "✓" not in text and text.count("\n") == 0
        assert said(first, second, required=True)[0] == 1
    assert said(HOLED_PIP, npm)[0] == 1  # what is known counts all the same


def test_an_exception_has_a_reason_and_an_end() -> None:
    assert said(HOLED_PIP, CLEAN_NPM, [UNTIL])[0] == 0
    status, text = said(HOLED_PIP, CLEAN_NPM, [{**UNTIL, "until": TODAY - datetime.timedelta(days=1)}])
    assert status == 1 and "ended on 2026-11-25" in text
    assert said(HOLED_PIP, CLEAN_NPM, [{**UNTIL, "package": "scipy"}])[0] == 1
    status, text = said(CLEAN_PIP, CLEAN_NPM, [UNTIL])
    assert status == 1 and "take it out" in text
    for broken in ({**UNTIL, "reason": " "}, {key: UNTIL[key] for key in ("id", "package", "reason")}):
        with pytest.raises(ValueError, match="reason and until"):
            said(HOLED_PIP, CLEAN_NPM, [broken])


def test_the_exceptions_that_we_have_are_of_that_form() -> None:
    audit.judge([], tomllib.loads(audit.EXCEPTIONS.read_text())["exception"], TODAY)
