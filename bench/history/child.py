"""One historian in one process of its own, so that its memory and its CPU are nobody else's.

    parent: run(Job) ─► python -m bench.history {job} ─► load · compact · ask ─► the result as JSON, last line

A peer that is absent, fails or hangs costs its own lines and nothing else.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.history.dataset import Dataset
from bench.history.peers import make
from bench.history.peers.base import Absent, Peer
from bench.history.questions import questions

ASKED_MIN, ASKED_MAX, ASK_S = 5, 101, 1.5
"""How often a question is asked after a warm-up: odd times until so much CPU is spent."""


@dataclass(frozen=True, slots=True)
class Job:
    """`ask` is a list of question names, None for none; `kill` ends the process as a power cut would, after loading."""

    peer: str
    directory: str
    points: int
    seconds: int
    load: bool = True
    compact: bool = False
    ask: tuple[str, ...] = ()
    once: bool = False
    kill: bool = False


def run(job: Job, timeout_s: float = 900) -> dict[str, Any] | None:
    """The result, or None, having said on stderr why."""
    Path(job.directory).mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.history", json.dumps(asdict(job))],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        print(f"# {job.peer}: given up after {timeout_s:.0f} s", file=sys.stderr)
        return None
    result = json.loads(output.splitlines()[-1]) if output.strip() else {"error": f"ended with {process.returncode}"}
    if "error" in result:
        print(f"# {job.peer}: left out: {result['error']}", file=sys.stderr)
        return None
    return dict(result)


def main() -> None:
    given = json.loads(sys.argv[1])
    job = Job(**{**given, "ask": tuple(given["ask"])})
    try:
        result = work(job)
    except Absent as error:
        result = {"error": f"not found: {error}"}
    except Exception as error:
        import traceback

        traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result), flush=True)


def work(job: Job) -> dict[str, Any]:
    dataset, peer = Dataset(job.points, job.seconds), make(job.peer)
    peer.start(Path(job.directory), dataset, fresh=job.load)
    try:
        result: dict[str, Any] = {}
        if job.load:
            result |= load(peer, dataset, kill=job.kill)
        if job.compact:
            cpu_s = peer.cpu_s()
            peer.compact()
            result["compact_cpu_s"] = peer.cpu_s() - cpu_s
        result["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        result["disk"] = dict(peer.disk())
        result["title"] = peer.title
        result["answers"] = {
            question.name: answer
            for question in questions(dataset)
            if question.name in job.ask and (answer := ask(peer, question, once=job.once)) is not None
        }
        result |= peer.extra()
    finally:
        peer.stop()
    return result


def load(peer: Peer, dataset: Dataset, *, kill: bool = False) -> dict[str, Any]:
    """Every commit, then `finish`. What the bench's own thread spends on making and formatting samples is taken off."""
    made_s = formatted_s = wall_s = 0.0
    quiet: list[float] = []
    disturbed: list[float] = []
    samples = 0
    commits = dataset.commits()
    cpu_s, began_s = peer.cpu_s(), time.thread_time()
    while True:
        batches = next(commits, None)
        prepared_s = time.thread_time()
        made_s += prepared_s - began_s
        if batches is None:
            break
        commit = peer.prepare(batches)
        formatted_s += time.thread_time() - prepared_s
        busy, sent_s = peer.busy(), time.perf_counter()
        peer.write(commit)
        took_s = time.perf_counter() - sent_s
        (disturbed if busy or peer.busy() else quiet).append(took_s)
        wall_s += took_s
        samples += sum(map(len, batches))
        began_s = time.thread_time()
    if kill:
        print(json.dumps({"samples": samples}), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    finished_s = time.perf_counter()
    peer.finish()
    wall_s += time.perf_counter() - finished_s
    own_s = made_s + formatted_s if peer.in_process else 0.0
    return {
        "samples": samples,
        "commits": len(quiet) + len(disturbed),
        "cpu_s": peer.cpu_s() - cpu_s - own_s,
        "wall_s": wall_s,
        "made_s": made_s,
        "formatted_s": formatted_s,
        "all_ms": _percentiles(quiet + disturbed),
        "quiet_ms": _percentiles(quiet),
        "disturbed_ms": _percentiles(disturbed),
    }


def _percentiles(took_s: list[float]) -> dict[str, float]:
    if not took_s:
        return {}
    ms = 1000 * np.array(took_s)
    shares = {f"p{share}": float(np.percentile(ms, share)) for share in (50, 95, 99)}
    return {"count": len(ms), **shares, "max": float(ms.max())}


def ask(peer: Peer, question: Any, *, once: bool) -> dict[str, Any] | None:
    """Median CPU and wall of one question, and what the answer came to."""
    answer = peer.ask(question)
    if answer is None:
        return None
    cpus, walls = [], []
    found = None if once else peer.digest(question, answer())
    while len(cpus) < (1 if once else ASKED_MIN) or (not once and sum(cpus) < ASK_S and len(cpus) < ASKED_MAX):
        cpu_s, began_s = peer.cpu_s(), time.perf_counter()
        given = answer()
        walls.append(time.perf_counter() - began_s)
        cpus.append(peer.cpu_s() - cpu_s)
        if once:
            found = peer.digest(question, given)
        del given
    return {
        "cpu_ms": 1000 * statistics.median(cpus),
        "wall_ms": 1000 * statistics.median(walls),
        "digest": None if found is None else asdict(found),
    }
