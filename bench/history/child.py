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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.history.dataset import Dataset
from bench.history.peers import make
from bench.history.peers.base import Absent, Peer
from bench.history.questions import Question, questions
from headrace.model.time import SECOND_NS

ASKED_MIN, ASKED_MAX, ASK_S = 5, 101, 1.5
"""How often a question is asked after a warm-up: at least and at most, and until so much CPU is spent."""


ROOT = Path(__file__).parents[2]
_PATH = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])


@dataclass(frozen=True, slots=True)
class Job:
    """`ask` names questions, `ask_unmerged` those asked before `compact`; `kill` ends the process after loading.

    With `sizes` the store grows and is asked at each.
    """

    peer: str
    directory: str
    points: int
    seconds: int
    load: bool = True
    compact: bool = False
    ask: tuple[str, ...] = ()
    ask_unmerged: tuple[str, ...] = ()
    once: bool = False
    kill: bool = False
    sizes: tuple[int, ...] = ()
    ask_s: float = ASK_S


def run(job: Job, timeout_s: float = 900) -> dict[str, Any] | None:
    """The result, or None, having said on stderr why."""
    Path(job.directory).mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [_python(job.peer), "-m", "bench.history", json.dumps(asdict(job))],
        stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": _PATH},
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except BaseException as error:
        _end(process)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        print(f"# {job.peer}: given up after {timeout_s:.0f} s", file=sys.stderr)
        return None
    result = json.loads(output.splitlines()[-1]) if output.strip() else {"error": f"ended with {process.returncode}"}
    if "error" in result:
        print(f"# {job.peer}: left out: {result['error']}", file=sys.stderr)
        return None
    return dict(result)


def _end(process: subprocess.Popen[str]) -> None:
    """Ask first: the child has servers to stop."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _python(peer: str) -> str:
    """chdb has an environment of its own; see its module."""
    own = ROOT / ".venv-bench/bin/python"
    return str(own) if peer == "chdb" and own.exists() else sys.executable


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = json.loads(sys.argv[1])
    job = Job(**{**given, **{name: tuple(given[name]) for name in ("ask", "ask_unmerged", "sizes")}})
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
        if job.sizes:
            result["steps"] = list(grow(peer, dataset, job))
        elif job.load:
            result |= load(peer, dataset, kill=job.kill)
        if job.ask_unmerged:
            result["unmerged"] = _answers(peer, dataset, job.ask_unmerged, ASKED_MIN, job.ask_s)
        if job.compact:
            cpu_s = peer.cpu_s()
            peer.compact()
            result["compact_cpu_s"] = peer.cpu_s() - cpu_s
        result["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        result["disk"] = dict(peer.disk())
        result["title"] = peer.title
        result["answers"] = _answers(peer, dataset, job.ask, 1 if job.once else ASKED_MIN, job.ask_s)
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


def grow(peer: Peer, dataset: Dataset, job: Job) -> Iterator[dict[str, Any]]:
    """One store at several sizes: at each all is brought into its final form, then it is asked about all it holds.

    `cpu_s` and `samples` are of the step alone.
    """
    commits, total, newest_ns = dataset.commits(), 0, dataset.start_ns
    for size in job.sizes:
        step, made_s, cpu_s = 0, 0.0, peer.cpu_s()
        while total + step < size:
            began_s = time.thread_time()
            batches = next(commits, None)
            if batches is None:
                break
            commit = peer.prepare(batches)
            newest_ns = max(newest_ns, *(int(batch.source_ns.max()) for batch in batches))
            made_s += time.thread_time() - began_s
            peer.write(commit)
            step += sum(map(len, batches))
        peer.finish()
        spent_s, total = peer.cpu_s() - cpu_s - made_s, total + step
        held = Dataset(dataset.points, (newest_ns - dataset.start_ns) // SECOND_NS + 1, dataset.seed)
        answers = _answers(peer, held, job.ask, 3, job.ask_s)
        yield {"size": size, "samples": step, "cpu_s": spent_s, "disk": dict(peer.disk()), "answers": answers}


def _percentiles(took_s: list[float]) -> dict[str, float]:
    if not took_s:
        return {}
    ms = 1000 * np.array(took_s)
    shares = {f"p{share}": float(np.percentile(ms, share)) for share in (50, 95, 99)}
    return {"count": len(ms), **shares, "max": float(ms.max())}


def _answers(peer: Peer, dataset: Dataset, names: Sequence[str], least: int, ask_s: float) -> dict[str, Any]:
    """By question; those that the peer cannot be asked are left out."""
    chosen = [each for each in questions(dataset) if each.name in names]
    asked = ((each.name, ask(peer, each, least=least, ask_s=ask_s)) for each in chosen)
    return {name: answer for name, answer in asked if answer is not None}


def ask(peer: Peer, question: Question, *, least: int, ask_s: float) -> dict[str, Any] | None:
    """Median CPU and wall of one question, and what the answer came to; where `least` is 1 it is asked once, cold."""
    answer = peer.ask(question)
    if answer is None:
        return None
    if least == 1:
        cpu_s, began_s = peer.cpu_s(), time.perf_counter()
        found = answer()
        cpus, walls = [peer.cpu_s() - cpu_s], [time.perf_counter() - began_s]
    else:
        found = answer()
        cpus, walls = [], []
        # The CPU of another process is told in steps of 10 ms, so that one is asked many times between two looks.
        at_least_s = 0.0 if peer.in_process else 0.25
        while len(cpus) < least or (sum(cpus) < ask_s and len(cpus) < ASKED_MAX and peer.in_process):
            cpu_s, wall_s = _timed(peer, answer, at_least_s)
            cpus.append(cpu_s)
            walls.append(wall_s)
    came_to = peer.digest(question, found)
    return {
        "cpu_ms": 1000 * statistics.median(cpus),
        "wall_ms": 1000 * statistics.median(walls),
        "digest": None if came_to is None else asdict(came_to),
    }


def _timed(peer: Peer, answer: Callable[[], Any], at_least_s: float) -> tuple[float, float]:
    """CPU and wall of one asking, over as many as take so long."""
    cpu_s, began_s, asked = peer.cpu_s(), time.perf_counter(), 0
    while not asked or time.perf_counter() - began_s < at_least_s:
        answer()
        asked += 1
    return (peer.cpu_s() - cpu_s) / asked, (time.perf_counter() - began_s) / asked
