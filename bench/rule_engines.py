"""Rules of edge gateways beside ours: Telegraf and eKuiper over the same samples, CPU of their process on one core.

    windows     mean, min, max and standard deviation of each asset over 10 s
    threshold   every sample against a limit; what is above goes on

200 assets at 10 Hz. The peers read a file of text, as they usually do (line protocol; JSON), and throw away what is
left; ours are given columns. So each is told twice: with its reading, and less what the same program needs to read the
file and do nothing. Telegraf's windows are of its own clock, so they close once, at the end; eKuiper's of event time.

Telegraf comes with `tools/setup.sh services`. eKuiper is built from its source, as `bench/RESULTS.md` says. Each is
looked for in `.cache/go-bin` and on the PATH, and left out where it is not.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from bench import alarms, streams
from bench.harness import Measure

ROOT: Final = Path(__file__).parents[1]
ASSETS: Final = 200
HZ: Final = 10
SECONDS: Final = 240
SAMPLES: Final = ASSETS * HZ * SECONDS
T0_MS: Final = 1_700_000_000_000
LIMIT: Final = 62.0
RUNS: Final = 3
WITHIN_S: Final = 300.0
STATS: Final = ("mean", "min", "max", "stdev")


def measures(_: Sequence[str] = ()) -> Iterator[Measure]:
    from headrace.sdk.stream import reduced

    told = {what: ("x", what, "") for what in ("mean", "min", "max", "std")}
    function = reduced("m", told, inputs={"x": "x"}, window="10s", lateness="2s")
    ours = {
        "windows": ("10 s windows of 200 assets, four aggregates", lambda: streams._rate(function, assets=ASSETS)),
        "threshold": ("a threshold rule on each of 10,000 points", lambda: alarms._rules_rate(alarms.POINTS)),
    }
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        engines = [one for one in (Telegraf(Path(folder)), EKuiper(Path(folder))) if one.program is not None]
        reading = {one.name: statistics.median(one.cpu_s("nothing") for _ in range(RUNS)) for one in engines}
        for task, (what, rate) in ours.items():
            rates: list[float] = []
            spent: dict[str, float] = {}
            for one in engines:
                rates.append(rate())
                spent[one.name] = statistics.median(one.cpu_s(task) for _ in range(RUNS))
            own = statistics.median(rates or [rate()])
            yield Measure(what, own, "samples/CPU-s")
            for name, cpu_s in spent.items():
                yield Measure(
                    f"… beside {name}", own, "samples/CPU-s", SAMPLES / cpu_s, f"{name}, its reading included"
                )
                if cpu_s > 1.1 * reading[name]:  # else its work is lost in the noise of reading
                    alone = SAMPLES / (cpu_s - reading[name])
                    yield Measure(f"… beside {name}, less reading", own, "samples/CPU-s", alone, name)


class Telegraf:
    """One process for each run, `--once`: the file in, aggregates or what is above the limit out, to nowhere."""

    name = "Telegraf 1.37"

    def __init__(self, folder: Path) -> None:
        self.program = _program("telegraf")
        self._folder, self._lines = folder, folder / "samples.lp"
        if self.program is not None:
            lines = (f"m,asset=p{asset} x={value:.3f}\n" for asset, _, value in _samples())
            self._lines.write_text("".join(lines), "utf-8")

    def cpu_s(self, task: str) -> float:
        """Of reading and doing it. Raises: AssertionError where the results are not all there."""
        out, config = self._folder / "telegraf.out", self._folder / "telegraf.conf"
        out.unlink(missing_ok=True)
        parts = {
            "nothing": '[[outputs.discard]]\n',
            "windows": '[[aggregators.basicstats]]\nperiod = "10s"\ndrop_original = true\n'
            f'stats = {json.dumps(STATS)}\n'
            f'[[outputs.file]]\nfiles = ["{out}"]\ndata_format = "influx"\n',
            "threshold": "[[processors.starlark]]\nsource = '''\ndef apply(metric):\n"
            f"  return metric if metric.fields['x'] > {LIMIT} else None\n'''\n"
            f'[[outputs.file]]\nfiles = ["{out}"]\ndata_format = "influx"\n',
        }  # fmt: skip
        config.write_text(
            '[agent]\ninterval = "10s"\nmetric_batch_size = 10000\nmetric_buffer_limit = 1000000\n'
            "omit_hostname = true\n"
            f'[[inputs.file]]\nfiles = ["{self._lines}"]\ndata_format = "influx"\n{parts[task]}',
            "utf-8",
        )
        before = os.times()
        subprocess.run(
            [str(self.program), "--config", str(config), "--once"],
            env={**os.environ, "GOMAXPROCS": "1"}, check=True, capture_output=True, timeout=WITHIN_S,
        )  # fmt: skip
        after = os.times()
        told = out.read_text("utf-8").count("\n") if out.exists() else 0
        wanted = {"nothing": 0, "windows": ASSETS, "threshold": _above()}[task]
        # A run that crosses ten seconds of its clock closes its windows more than once.
        assert told == wanted or (task == "windows" and told in (2 * ASSETS, 3 * ASSETS)), (task, told, wanted)
        return after.children_user + after.children_system - before.children_user - before.children_system


class EKuiper:
    """A server for each run; its rule ends with the file, and the CPU in between is what its process took."""

    name = "eKuiper 2"

    def __init__(self, folder: Path) -> None:
        self.program = _program("kuiperd")
        self._home = folder / "kuiper"
        if self.program is None:
            return
        for name in ("etc/sources", "etc/functions", "etc/services", "etc/sinks", "data", "plugins", "log"):
            (self._home / name).mkdir(parents=True)
        (self._home / "samples.json").write_text(
            "".join(f'{{"asset":"p{asset}","ts":{at_ms},"x":{value:.3f}}}\n' for asset, at_ms, value in _samples()),
            "utf-8",
        )

    def cpu_s(self, task: str) -> float:
        """Of reading and doing it. Raises: AssertionError where samples were dropped on the way."""
        ports = [_free_port() for _ in range(3)]
        sources = f"default:\n  path: {self._home}\n  fileType: lines\n  interval: 0\n  sendInterval: 0\n"
        (self._home / "etc/sources/file.yaml").write_text(sources, "utf-8")
        (self._home / "etc/kuiper.yaml").write_text(
            f"basic:\n  logLevel: warn\n  ip: 127.0.0.1\n  port: {ports[0]}\n"
            f"  restIp: 127.0.0.1\n  restPort: {ports[1]}\n"
            f"  pprof: false\n  prometheus: false\n  rulePatrolInterval: 10s\n  allowExternalFileAccess: true\n"
            f"source:\n  httpServerIp: 127.0.0.1\n  httpServerPort: {ports[2]}\nstore:\n  type: sqlite\n"
            "  extStateType: sqlite\n  sqlite:\n    name:\n",
            "utf-8",
        )
        shutil.rmtree(self._home / "data")
        (self._home / "data").mkdir()
        query = {
            "nothing": "SELECT x FROM s",
            "windows": "SELECT asset, avg(x) AS mean, min(x) AS low, max(x) AS high, stddev(x) AS deviation FROM s"
            " GROUP BY asset, TUMBLINGWINDOW(ss, 10)",
            "threshold": f"SELECT asset, x FROM s WHERE x > {LIMIT}",
        }[task]
        url = f"http://127.0.0.1:{ports[1]}"
        with (self._home / "log/out").open("wb") as log, subprocess.Popen(
            [str(self.program)], stdout=log, stderr=log, cwd=self._home,
            env={**os.environ, "GOMAXPROCS": "1", "KuiperBaseKey": str(self._home)},
        ) as server:  # fmt: skip
            try:
                _until(lambda: _ask(url) is not None, "eKuiper to listen")
                stream = (
                    "CREATE STREAM s (asset STRING, ts BIGINT, x FLOAT) WITH "
                    '(DATASOURCE="samples.json", TYPE="file", FORMAT="JSON", TIMESTAMP="ts")'
                )
                _ask(f"{url}/streams", {"sql": stream})
                before = psutil.Process(server.pid).cpu_times()
                options = {"isEventTime": task == "windows", "lateTolerance": 2000, "bufferLength": 2 * SAMPLES}
                _ask(f"{url}/rules", {"id": "r", "sql": query, "actions": [{"nop": {}}], "options": options})
                _until(lambda: _ask(f"{url}/rules/r/status")["message"] == "done", "the rule to end")
                after, status = psutil.Process(server.pid).cpu_times(), _ask(f"{url}/rules/r/status")
            finally:
                server.terminate()
        handled = [count for name, count in status.items() if "decoder" in name and name.endswith("records_out_total")]
        assert sum(handled) == SAMPLES, (task, handled, SAMPLES)
        return after.user + after.system - before.user - before.system


def _samples() -> Iterator[tuple[int, int, float]]:
    """(asset, time in ms, value), by time."""
    values = _values().ravel().tolist()
    for number, value in enumerate(values):
        yield number % ASSETS, T0_MS + number // ASSETS * 1000 // HZ, value


def _values() -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(1).normal(50, 10, (SECONDS * HZ, ASSETS)).round(3)


def _above() -> int:
    return int((_values() > LIMIT).sum())


def _program(name: str) -> Path | None:
    built = ROOT / ".cache/go-bin" / name
    found = str(built) if built.exists() else shutil.which(name)
    return None if found is None else Path(found)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _ask(url: str, body: object = None) -> Any:
    """The answer, as JSON where it is; None where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error.read().decode()}") from None
    except OSError:
        return None
    return json.loads(text) if text.startswith(("{", "[")) else text


def _until(holds: Any, what: str) -> None:
    ends_s = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < ends_s, f"waited in vain for {what}"
        time.sleep(0.2)


if __name__ == "__main__":
    for measure in measures():
        print(json.dumps(measure.line()), flush=True)
