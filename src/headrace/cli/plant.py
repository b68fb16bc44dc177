"""`headrace plant`: the reference plant and recorded data, as real protocol servers in a process of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from headrace.model.errors import Unavailable
from headrace.sdk.services import SourceFile

READY_WITHIN_S = 30.0

app = typer.Typer(help="A plant to try things on: run it, break it, or replay a recording.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class RunningPlant:
    """A plant process that serves, and the declaration that connects to it."""

    pid: int
    declaration: list[SourceFile]


def _passed_on(name: str, help_text: str) -> None:
    """The plant package owns its options; `--help` is its own."""

    @app.command(
        name,
        help=help_text,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    )
    def command(context: typer.Context) -> None:
        program = [sys.executable, "-m", "headrace_plants", name, *context.args]
        if os.name == "nt":
            raise typer.Exit(subprocess.call(program))
        os.execv(sys.executable, program)  # one process: who ends the command ends the plant


_passed_on("run", "Serve the reference works over OPC UA and Modbus (run --help).")
_passed_on("replay", "Serve a recorded CSV live over OPC UA or Modbus (replay --help).")
_passed_on("fault", "Inject a fault into the running works, for example press-2:leak,severity=0.5")
_passed_on("clear", "End the faults of a machine, sensor or server.")
_passed_on("declare", "Write the declaration of the reference works into a folder.")


@asynccontextmanager
async def plant_process(options: Sequence[str], home: Path) -> AsyncIterator[RunningPlant]:
    """Start the reference plant on free ports, wait until it serves, and stop it at the end. Raises: Unavailable."""
    folder = home / "plant"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "plant.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "headrace_plants",
            "run",
            "--any-port",
            "--exit-with-parent",
            "--ledger",
            str(folder / "truth.jsonl"),
            *options,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        try:
            ports = await _ready(process, folder / "plant.log")
            from headrace_plants.works import declaration

            files = [SourceFile(name, text) for name, text in declaration(ports)]
            yield RunningPlant(process.pid, files)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _ready(process: asyncio.subprocess.Process, log: Path) -> dict[str, int]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while line := await process.stdout.readline():
                with contextlib.suppress(ValueError):
                    document = json.loads(line)
                    if document.get("ready"):
                        ports: dict[str, int] = document["ports"]
                        return ports
    except TimeoutError:
        raise Unavailable(f"the plant did not start within {READY_WITHIN_S:.0f} s; see {log}") from None
    raise Unavailable(f"the plant stopped before it served; see {log}")
