"""`headrace plant replay FILE.csv`: a recording served live over OPC UA or Modbus, value for value.

    recording ─► pace (speed, rate, or the reader's own reads) ─► server ─► whoever reads
                 └── loop: again, later by its own length

Exact. A float64 is an OPC UA Double, or four Modbus registers; int64, bool and text likewise: not a bit changes.

OPC UA. Each cell is reported with its row's source time, also where the value repeats; nothing is dropped from a queue,
and playing waits while more than `BACKLOG_MAX` rows are on their way to the slowest subscriber. So nothing is lost as
long as the session holds. The first row is in the nodes from the start and arrives as the initial value of a
subscription; with `--wait-for-client` the second row waits until every node is watched. An empty cell changes nothing.
Source times have the resolution of the server library, 1 µs.

Modbus. A poll carries no time, so each row brings two more points: `row`, its number from 0, and `time`, its recorded
time in ns; both are read in the same request as the values. A reader that polls faster than the rows change
sees every row at least once, in order; `row` proves that none was missed or torn, and by it the history of the points
folds back into the recording. With `--step-on-read` the next row appears once every register has been read: one reader,
one row a poll, none twice. After a pause of this process no row is cut short to catch up. An empty cell is NaN in a
float64 and the value before in the others.

When the last row is out (and sent), one JSON line `{"done": true, …}` is printed; the server keeps answering unless
`--exit` is given.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.model.errors import ConfigError, HeadraceError
from headrace.model.time import SECOND_NS
from headrace_plants import stages
from headrace_plants.declaration import write_files
from headrace_plants.recording import Recording, read_recording
from headrace_plants.stages import ModbusStage, OpcUaStage, Stage, segment

BACKLOG_MAX = 500


@dataclass(frozen=True, slots=True)
class Options:
    """`rate` (rows a second) overrules `speed` (recorded seconds a second). `times`: `recorded` or `now`."""

    protocol: str = "opcua"
    host: str = "127.0.0.1"
    port: int = 0
    asset: str = ""
    speed: float = 1.0
    rate: float | None = None
    loop: bool = False
    times: str = "recorded"
    wait_for_client: bool = False
    step_on_read: bool = False
    exit: bool = False


class Replay:
    """One recording behind one server: `start`, `play` (returns the rows played), `stop`."""

    def __init__(self, recording: Recording, options: Options) -> None:
        if options.protocol not in ("opcua", "modbus"):
            raise ConfigError(f"'{options.protocol}' is no protocol to replay over; use opcua or modbus")
        if options.step_on_read and options.protocol != "modbus":
            raise ConfigError("--step-on-read is for Modbus; over OPC UA nothing is lost anyway")
        if recording.times_ns is None and options.rate is None:
            raise ConfigError(
                f"{recording.name} has no time column: give --rate (rows a second) or name it with --time-column"
            )
        self.recording, self.options = recording, options
        self.rows_played = 0
        self._due_s = _schedule(recording, options)
        source = np.asarray(self._due_s * SECOND_NS, dtype=np.int64)
        if options.times == "recorded" and recording.times_ns is not None:
            source = recording.times_ns
        else:
            source = source + time.time_ns()
        self._source_ns = source
        # A lap lasts from the first row to one usual gap after the last.
        usual_ns = int(np.median(np.diff(source))) if recording.rows > 1 else SECOND_NS
        self.hold_s = float(np.median(np.diff(self._due_s))) if recording.rows > 1 else 1.0
        self._lap_ns = int(source[-1] - source[0]) + max(usual_ns, 1)
        self._lap_s = float(self._due_s[-1]) + self.hold_s
        self._stage: Stage = OpcUaStage(self) if options.protocol == "opcua" else ModbusStage(self)

    @property
    def asset(self) -> str:
        return self.options.asset or f"replay/{segment(self.recording.name)}"

    @property
    def port(self) -> int:
        return self._stage.port

    def row_time_ns(self, number: int) -> int:
        """Source time of a row, counted over all laps."""
        lap, row = divmod(number, self.recording.rows)
        return int(self._source_ns[row]) + lap * self._lap_ns

    async def start(self) -> None:
        """Serve the first row. Raises: OSError where the port is in use."""
        await self._stage.start()
        self.rows_played = 1

    async def play(self) -> int:
        """All rows (for ever with `loop`); returns how many were shown. Cancel to stop."""
        stage, rows, loop = self._stage, self.recording.rows, asyncio.get_running_loop()
        if self.options.wait_for_client:
            await _until(stage.attended)
        began = loop.time()
        number = 1
        while number < rows or self.options.loop:
            if self.options.step_on_read:
                await stage.was_read()
            else:
                lap, row = divmod(number, rows)
                late_s = loop.time() - began - (float(self._due_s[row]) + lap * self._lap_s)
                if late_s < 0:
                    await asyncio.sleep(-late_s)
                elif self.options.protocol == "modbus" and late_s > self.hold_s / 4:
                    # To catch up would show rows for no time, and polls would miss them.
                    began += late_s + self.hold_s
                    await asyncio.sleep(self.hold_s)
                elif number % 50 == 0:
                    await asyncio.sleep(0)  # catching up must not starve the sockets
            await _until(lambda: stage.backlog() <= BACKLOG_MAX)
            await stage.show(number)
            number += 1
            self.rows_played = number
        if self.options.step_on_read:
            await stage.was_read()
        await _until(lambda: stage.backlog() == 0)
        return number

    async def stop(self) -> None:
        await self._stage.stop()

    def declaration(self) -> list[tuple[str, str]]:
        """(file name, YAML text): one connection, one asset, its points."""
        return [(f"{segment(self.recording.name)}.yaml", self._stage.declaration())]

    def names(self) -> list[str]:
        """The point name of each column: its title with what a path may not hold replaced."""
        taken: set[str] = {stages.ROW, stages.TIME} if self.options.protocol == "modbus" else set()
        found = []
        for column in self.recording.columns:
            base = segment(column.name)
            name, number = base, 2
            while name in taken:
                name, number = f"{base}-{number}", number + 1
            taken.add(name)
            found.append(name)
        return found


def _schedule(recording: Recording, options: Options) -> NDArray[np.float64]:
    """Seconds after the start at which each row is due. Shape: (rows,). A recorded step back is no wait."""
    if options.rate is not None:
        return np.arange(recording.rows) / options.rate
    assert recording.times_ns is not None
    gaps = np.maximum(np.diff(recording.times_ns), 0) / SECOND_NS / options.speed
    return np.concatenate(([0.0], np.cumsum(gaps)))


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  (the server library has no event for it)
        await asyncio.sleep(0.01)


async def serve(
    recording: Recording, options: Options, report: Callable[[dict[str, Any]], None], declare: Path | None
) -> None:
    """Play once (or loop), reporting `ready` and `done`. Raises: OSError for a port in use."""
    replay = Replay(recording, options)
    try:
        await replay.start()
        if declare is not None:
            write_files(declare, replay.declaration())
        facts = {"rows": recording.rows, "columns": len(recording.columns), "asset": replay.asset}
        report({"ready": True, "ports": {"replay": replay.port}, **facts, "encoding": recording.encoding})
        played = await replay.play()
        report({"done": True, "rows": played})
        if options.exit:
            await asyncio.sleep(1.0)  # the last Publish is on its way
        else:
            await asyncio.Event().wait()
    finally:
        await replay.stop()


def main(argv: Sequence[str] | None = None) -> int:
    """The process. Returns an exit code; errors are one line on stderr."""
    parser = argparse.ArgumentParser(prog="headrace plant replay", description="Serve a recorded table live.")
    parser.add_argument("file", type=Path, help="CSV file, any common delimiter, UTF-8 or GBK")
    parser.add_argument("--protocol", choices=("opcua", "modbus"), default="opcua")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: any free one, printed when ready")
    parser.add_argument("--speed", type=float, default=1.0, help="recorded seconds a second")
    parser.add_argument("--rate", type=float, help="rows a second, whatever was recorded")
    parser.add_argument("--loop", action="store_true", help="begin again at the end")
    parser.add_argument(
        "--time", choices=("recorded", "now"), default="recorded", help="source times as recorded, or from now"
    )
    parser.add_argument("--time-column", help="name of the column with the time (default: found by itself)")
    parser.add_argument("--utc-offset", default="Z", help="of times that carry none, for example +08:00")
    parser.add_argument("--asset", default="", help="asset path in the declaration (default: replay/<file>)")
    parser.add_argument("--declare", type=Path, metavar="FOLDER", help="write the declaration there")
    parser.add_argument("--wait-for-client", action="store_true", help="hold the first row until somebody reads")
    parser.add_argument("--step-on-read", action="store_true", help="Modbus: next row once all registers were read")
    parser.add_argument("--exit", action="store_true", help="end after the last row")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    try:
        for name, value in (("speed", given.speed), ("rate", given.rate)):
            if value is not None and not 0 < value <= 1e6:
                raise ConfigError(f"--{name} is above 0 and at most 1,000,000, not {value:g}")
        options = Options(
            protocol=given.protocol, host=given.host, port=given.port, asset=given.asset, speed=given.speed,
            rate=given.rate, loop=given.loop, times=given.time, wait_for_client=given.wait_for_client,
            step_on_read=given.step_on_read, exit=given.exit,
        )  # fmt: skip
        recording = read_recording(given.file, time_column=given.time_column, utc_offset=given.utc_offset)
        asyncio.run(_until_signal(recording, options, given.declare))
    except (HeadraceError, OSError) as error:
        sys.stderr.write(f"headrace plant replay: {error}\n")
        return 2
    return 0


async def _until_signal(recording: Recording, options: Options, declare: Path | None) -> None:
    def report(facts: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    task = asyncio.ensure_future(serve(recording, options, report, declare))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
