"""`headrace backtest`: alarm rules over a stretch of history, before anybody has to live with them."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.declarations import read_folder
from headrace.cli.output import note, print_json, print_table
from headrace.model.errors import DataError


def backtest(
    start: Annotated[str, typer.Option("--from", help="RFC 3339, or before now such as now-7d.")],
    end: Annotated[str | None, typer.Option("--to", help="Default: now.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--file", "-f", help="Declarations to test beside what is there; nothing is applied.")
    ] = None,
    rule: Annotated[list[str] | None, typer.Option("--rule", "-r", help="Only alarms like this: */oil*:hot.")] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what alarm rules would have raised, beside what was and what operators did."""
    client = connect(home, server)
    files = [{"name": file.name, "text": file.text} for file in read_folder(folder)] if folder is not None else []
    job = client.post("/backtests", {"start": start, "end": end, "files": files})
    while job["ended_at"] is None:
        time.sleep(0.25)
        job = client.get(f"/backtests/{job['id']}")
        if not as_json:
            note(f"up to {job['upto']}: {job['samples']} samples, {job['raised']} alarms")
    if job["error"]:
        raise DataError(job["error"])
    job = client.get(f"/backtests/{job['id']}")
    if rule:
        for part in ("rules", "episodes"):
            job[part] = [one for one in job[part] if any(fnmatchcase(one["rule"], pattern) for pattern in rule)]
    if as_json:
        print_json(job)
        return
    print_table(
        ("alarm", "priority", "would", "active", "longest", "was", "acknowledged", "after"),
        [
            (
                one["rule"], one["priority"], one["raised"], _span(one["active_s"]), _span(one["longest_s"]),
                one["really_raised"], one["really_acknowledged"], _span(one["median_acknowledge_s"]),
            )
            for one in job["rules"]
        ],
        empty="no alarm rules",
    )  # fmt: skip
    note(f"{job['samples']} samples in {job['elapsed_s']:.2f} s; --json has each alarm with its times")


def _span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
