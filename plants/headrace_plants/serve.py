"""`headrace plant run`: the works in its own process.

options ─► simulation + servers + control socket ─► one JSON line on stdout ─► run until SIGTERM, SIGINT or --for
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.model.errors import ConfigError, HeadraceError
from headrace_plants import control
from headrace_plants.faults import parse_fault
from headrace_plants.layout import POINTS, SERVERS
from headrace_plants.running import Options, RunningWorks


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """`control` None means the user's usual socket, or one with the process number where that is taken."""

    works: Options
    control: Path | None = None
    for_s: float | None = None
    exit_with_parent: bool = False


async def serve(options: ServeOptions) -> None:
    """Serve until cancelled. Prints the ready line. Raises: OSError for a port in use, HeadraceError."""
    async with RunningWorks(options.works) as works:
        door = await _open_door(works, options.control)
        try:
            ready = {
                "ready": True,
                "ports": works.ports,
                "points": len(POINTS),
                "seed": options.works.seed,
                "control": str(door.path),
            }
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            gc.freeze()  # the address spaces stay: later collections need not walk them
            await _run(works, options)
        finally:
            await door.stop()


async def _run(works: RunningWorks, options: ServeOptions) -> None:
    tasks = [asyncio.create_task(works.run())]
    if options.exit_with_parent:
        tasks.append(asyncio.create_task(_until_orphaned(os.getppid())))
    try:
        done, _ = await asyncio.wait(tasks, timeout=options.for_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_orphaned(parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110  (the system sends no event)
        await asyncio.sleep(1.0)


async def _open_door(works: RunningWorks, path: Path | None) -> control.ControlServer:
    usual = control.default_path()
    door = control.ControlServer(works.simulation, path or usual)
    try:
        await door.start()
    except HeadraceError:
        if path is not None:
            raise
        door = control.ControlServer(works.simulation, usual.with_name(f"headrace-plant-{os.getpid()}.sock"))
        await door.start()
    return door


def main(argv: Sequence[str] | None = None) -> int:
    """The process. Returns an exit code; errors are one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="headrace plant run", description="Run the reference works behind real servers."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument(
        "--port", action="append", default=[], metavar="SERVER=PORT", help="e.g. press-1-plc=15020; 0 for any"
    )
    parser.add_argument("--any-port", action="store_true", help="let the system choose every port")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two scans")
    parser.add_argument("--scenario", choices=("showcase", "quiet"), default="showcase")
    parser.add_argument("--fault", action="append", default=[], metavar="TARGET:KIND[@TIME][,…]",
                        help="e.g. press-2:bearing-wear@60s,severity=0.7")  # fmt: skip
    parser.add_argument("--ledger", type=Path, help="append the ground truth to this JSON Lines file")
    parser.add_argument("--control", type=Path, help="control socket (default: the user's runtime folder)")
    parser.add_argument("--for", dest="for_s", type=float, help="stop after so many seconds")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when the starting process ends")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    try:
        options = ServeOptions(
            works=Options(
                host=arguments.host,
                ports=_ports(arguments.port, arguments.any_port),
                seed=arguments.seed,
                speed=_positive("speed", arguments.speed, 1000.0),
                interval_s=_positive("interval", arguments.interval, 60.0),
                scenario=arguments.scenario,
                faults=[parse_fault(text) for text in arguments.fault],
                ledger=arguments.ledger,
            ),
            control=arguments.control,
            for_s=arguments.for_s,
            exit_with_parent=arguments.exit_with_parent,
        )
        asyncio.run(_until_signal(options))
    except (HeadraceError, OSError) as error:
        sys.stderr.write(f"headrace plant: {error}\n")
        return 2
    return 0


async def _until_signal(options: ServeOptions) -> None:
    task = asyncio.ensure_future(serve(options))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _ports(given: Sequence[str], any_port: bool) -> dict[str, int]:
    names = [server.name for server in SERVERS]
    ports = dict.fromkeys(names, 0) if any_port else {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in names or not number.isdigit() or int(number) > 65_535:
            raise ConfigError(f"--port {text}: write SERVER=PORT with one of {', '.join(names)}")
        ports[name] = int(number)
    return ports


def _positive(name: str, value: float, limit: float) -> float:
    if not 0.0 < value <= limit:
        raise ConfigError(f"--{name} is above 0 and at most {limit:g}, not {value:g}")
    return value
