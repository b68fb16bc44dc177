"""The command inside the test's own process: the same `main`, without the half second that a new Python takes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from dataclasses import dataclass
from typing import Any
from unittest import mock

from headrace.cli.main import main


@dataclass(frozen=True, slots=True)
class Said:
    """What a run of the command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def headrace(*arguments: object, answer: str = "", **variables: str) -> Said:
    """Run `headrace …`; `answer` is typed at its prompt. Another exception than SystemExit is a failure of the test."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with (
        mock.patch.object(sys, "argv", ["headrace", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.StringIO(answer)),
        mock.patch.dict(os.environ, {"NO_COLOR": "1", **variables}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name in ("HEADRACE_HOME", "HEADRACE_URL", "HEADRACE_TOKEN"):
            if name not in variables:
                os.environ.pop(name, None)
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return Said(status, out.getvalue(), err.getvalue())


def refused(*arguments: object, **variables: str) -> str:
    """The one line of a command that must fail: status 1, nothing on stdout, no traceback."""
    said = headrace(*arguments, **variables)
    assert said.status == 1, said
    assert said.out == ""
    assert "Traceback" not in said.err
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, said.err
    return lines[0]
