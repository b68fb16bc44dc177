"""The historian's bench on small sets: samples come once each, answers agree, lines are well formed, charts drawn."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from bench.harness import Measure
from bench.history.bench import QUESTIONS, SLOWER
from bench.history.child import Job, run, work
from bench.history.dataset import COMMIT_SAMPLES, Dataset
from bench.history.peers import PEERS
from bench.history.questions import Digest, digest
from tools.plots import draw, last_run

from headrace.model.batch import ValueKind

ROOT = Path(__file__).parents[2]
SMALL = (500, 100)
"""Points and seconds of 50,000 samples."""


@pytest.mark.parametrize(("points", "seconds"), [SMALL, (30_000, 2), (7, 300)])
def test_every_sample_is_delivered_once_and_some_are_late(points: int, seconds: int) -> None:
    dataset = Dataset(points, seconds)
    seen: list[np.ndarray] = []
    late = 0
    for commit in dataset.commits():
        assert len({batch.kind for batch in commit}) == len(commit)
        assert len({int(batch.received_ns[0]) for batch in commit}) == 1, "a commit has one received time"
        assert sum(map(len, commit)) <= 1.2 * COMMIT_SAMPLES
        for batch in commit:
            second = (batch.source_ns - dataset.start_ns) // 1_000_000_000
            seen.append(second * points + batch.handles)
            assert (batch.received_ns > batch.source_ns).all()
            late += int((batch.received_ns - batch.source_ns > 29_000_000_000).sum())
    assert np.array_equal(np.sort(np.concatenate(seen)), np.arange(dataset.samples))
    assert late or seconds < 60


def test_equal_seeds_give_equal_samples_and_other_seeds_do_not() -> None:
    def first(seed: int) -> Sequence[object]:
        return next(Dataset(100, 120, seed).commits())

    assert all(a.same_as(b) for a, b in zip(first(3), first(3), strict=True))  # type: ignore[attr-defined]
    assert not all(a.same_as(b) for a, b in zip(first(3), first(4), strict=False))  # type: ignore[attr-defined]


def test_the_mix_is_as_documented() -> None:
    dataset = Dataset(10_000, 1)
    shares = {kind: len(dataset.handles(kind)) for kind in ValueKind}
    assert shares == {ValueKind.FLOAT64: 7_500, ValueKind.INT64: 1_200, ValueKind.BOOL: 1_200, ValueKind.TEXT: 100}


@pytest.mark.parametrize("peer", ["duckdb", "parquet", "sqlite"])
def test_answers_agree_with_a_peers(peer: str, tmp_path: Path) -> None:
    results = {
        name: work(Job(name, str(_folder(tmp_path, name)), *SMALL, compact=True, ask=QUESTIONS, ask_s=0))
        for name in ("ours", peer)
    }
    for name in QUESTIONS:
        ours, theirs = (Digest(**result["answers"][name]["digest"]) for result in results.values())
        assert ours.count > 0
        assert ours.agrees(theirs), (name, ours, theirs)
    for result in results.values():
        assert result["samples"] == SMALL[0] * SMALL[1]
        assert result["cpu_s"] > 0
        assert sum(result["disk"].values()) > 0


def test_a_store_that_grows_is_asked_at_each_size(tmp_path: Path) -> None:
    steps = {}
    for name in ("ours", "duckdb"):
        job = Job(name, str(_folder(tmp_path, name)), *SMALL, ask=QUESTIONS, ask_s=0, sizes=(20_000, 50_000))
        steps[name] = work(job)["steps"]
    assert [step["size"] for step in steps["ours"]] == [20_000, 50_000]
    assert sum(step["samples"] for step in steps["ours"]) == 50_000
    for ours, theirs in zip(*steps.values(), strict=True):
        for name in QUESTIONS:
            answers = (Digest(**step["answers"][name]["digest"]) for step in (ours, theirs))
            assert next(answers).agrees(next(answers)), name


def test_a_different_answer_is_noticed() -> None:
    assert not digest([1.0, 2.0, 3.0]).agrees(digest([1.0, 2.0]))
    assert not digest([1.0, 2.0, 3.0]).agrees(digest([1.0, 2.5, 3.0]))
    counters = np.array([2.0**54, 1.0, 2.0])
    assert not digest(counters).agrees(digest(counters + [0.0, 0.0, 0.1])), "beside counters small ones show too"
    assert digest(counters).agrees(digest(counters[::-1]))


def test_a_peer_that_is_absent_or_fails_is_told_and_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert run(Job("influxdb", str(tmp_path / "a"), *SMALL)) is None
    assert "influxdb: left out: not found: no influxd here: apt-get install influxdb" in capfd.readouterr().err
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "history.db").mkdir()
    assert run(Job("sqlite", str(tmp_path / "b"), *SMALL)) is None
    assert "sqlite: left out: OperationalError" in capfd.readouterr().err


def test_the_command_prints_well_formed_lines() -> None:
    command = ["history", "--part", "ingest", "--samples", "50k", "--runs", "1", "--peers", "duckdb,sqlite"]
    done = subprocess.run([sys.executable, "-m", "bench", *command, "--asking", "0"], cwd=ROOT, capture_output=True,
                          text=True, check=False, env=_environment())  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line in lines:
        assert {"measure", "value", "unit", "peer", "peer_name", "ratio", "target", "met"} <= set(line)
        assert (line["met"] is None) == (line["target"] is None), line
    measures = {line["measure"] for line in lines}
    assert any(name.startswith("ingest beside DuckDB") for name in measures)
    assert any(name.startswith("ingest beside SQLite") for name in measures)
    assert next(line for line in lines if "lost or doubled" in line["measure"])["value"] == 0


def test_who_takes_a_smaller_share_is_known() -> None:
    assert set(SLOWER) <= set(PEERS)


def test_charts_and_pages_are_drawn_from_recorded_lines(tmp_path: Path) -> None:
    results = tmp_path / "history.jsonl"
    old = {"date": "2026-01-01T00:00:00Z", "machine": "old", **Measure("ingest", 1, "x").line()}
    new = [{"date": "2026-02-01T00:00:00Z", "machine": "two cores", **measure.line()} for measure in _recorded()]
    results.write_text("".join(json.dumps(line) + "\n" for line in [old, *new]))
    written = draw(last_run(results), tmp_path / "docs")
    images = [path for path in written if path.suffix == ".svg"]
    assert len(images) == 14, "seven charts in two languages"
    for image in images:
        texts = [element.text for element in ET.parse(image).iter("{http://www.w3.org/2000/svg}text")]
        assert all(texts)
        assert "prefers-color-scheme: dark" in image.read_text()
    english, chinese = (tmp_path / "docs" / name for name in ("history.md", "history.zh-CN.md"))
    for page in (english, chinese):
        text = page.read_text()
        assert "two cores" in text
        assert "2026-02-01" in text
        assert text.count("![") == 7
        assert "3,100,000" in text, "the numbers are there as a table too"
    assert english.read_text().count("\n## ") == chinese.read_text().count("\n## ")
    assert "| **no** |" in english.read_text()
    assert "| **否** |" in chinese.read_text()


def _recorded() -> list[Measure]:
    full, part = "72 M samples", "3 M samples of it"
    question = QUESTIONS[0]
    lines = [
        Measure("ingest of 72 M samples", 3.1e6, "samples/CPU-s", target=">= 2500000",
                tags={"chart": "ingest", "who": "Headrace", "set": full}),
        Measure("ingest beside InfluxDB", 3.1e6, "samples/CPU-s", 4e5, "InfluxDB 1.6.7", ">= 8", "ratio",
                {"chart": "ingest", "who": "InfluxDB 1.6.7", "set": part}),
        Measure("disk of 72 M samples", 1.1, "B/sample", tags={"chart": "disk", "who": "Headrace", "set": full}),
        Measure("disk beside DuckDB", 1.1, "B/sample", 5.0, "DuckDB 2", "<= 0.25", "ratio",
                {"chart": "disk", "who": "DuckDB 2", "set": full}),
        Measure("raw beside DuckDB", 0.3, "CPU-ms", 7.0, "DuckDB 2", "<= 0.01", "ratio",
                {"chart": "query", "who": "DuckDB 2", "question": question, "set": full}),
        Measure("raw beside SQLite", 0.3, "CPU-ms", 0.1, "SQLite", "", "ratio",
                {"chart": "query", "who": "SQLite", "question": question, "set": part}),
    ]  # fmt: skip
    lines += [Measure(f"commit {share}", 2.0, "ms", tags={"chart": "commit", "who": "all", "share": share})
              for share in ("p50", "p95", "p99", "max")]  # fmt: skip
    for axis, places in (("size", (1e6, 2e8)), ("points", (100, 100_000))):
        lines += [
            Measure(f"ingest at {x}", 300.0, "CPU-ns/sample", None if x == 2e8 else 800.0,
                    tags={"chart": f"curve-{axis}", "what": "ingest", "x": x, "who": "DuckDB 2"})
            for x in places
        ]  # fmt: skip
    return lines


def _folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
