"""`make plots`: the last recorded run of the historian's bench as docs/history.md with charts, in two languages.

bench/results/history.jsonl ─► lines of the last run ─┬─► charts.py ─► docs/images/history-*.svg
                                                      └─► tables ─► docs/history.md, docs/history.zh-CN.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tools.charts import Bar, Panel, bars, number, panels, short
from tools.plots_text import CHINESE, ENGLISH, Language

ROOT = Path(__file__).parents[1]
Line = dict[str, Any]
_KINDS = {"Headrace": "ours", "DuckDB": "duckdb", "Parquet": "parquet"}
_PERCENTILES = ("p50", "p95", "p99", "max")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "bench/results/history.jsonl")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    asked = parser.parse_args()
    if not asked.results.exists():
        raise SystemExit(f"no {asked.results.name} yet: make bench NAME=history ARGS=--record")
    for path in draw(last_run(asked.results), asked.docs):
        print(path.relative_to(asked.docs.parent))


def last_run(results: Path) -> list[Line]:
    """The lines that bear the newest date."""
    lines = [json.loads(line) for line in results.read_text().splitlines() if line.strip()]
    newest = max(line["date"] for line in lines)
    return [line for line in lines if line["date"] == newest]


def draw(lines: Sequence[Line], docs: Path) -> list[Path]:
    """Both pages with their charts; returns what was written. Charts without a line in the run are left out."""
    (docs / "images").mkdir(parents=True, exist_ok=True)
    written = []
    for language in (ENGLISH, CHINESE):
        page = [
            language.intro.format(date=lines[0]["date"][:10], machine=lines[0]["machine"], samples=_set(lines)),
            _target_table(lines, language),
        ]
        for name, make in _CHARTS.items():
            made = make(lines, language)
            if made is None:
                continue
            svg, table = made
            image = docs / "images" / f"history-{name}{language.suffix}.svg"
            image.write_text(svg)
            written.append(image)
            title, text = language.sections[name]
            page.append(f"## {title}\n\n{text}\n\n![{title}](images/{image.name})\n\n{table}")
        page.append(language.closing)
        path = docs / language.page
        path.write_text("\n\n".join(part.strip() for part in page) + "\n")
        written.append(path)
    return written


# --- charts ---------------------------------------------------------------------------------------------------------

Made = tuple[str, str] | None
"""The chart and its numbers as a table."""


def _ingest(lines: Sequence[Line], language: Language) -> Made:
    found = _beside(lines, "ingest")
    if not found:
        return None
    held = [
        Bar(_named(who, size, language), value, f"{number(value / 1e6)} M", _kind(who)) for who, size, value in found
    ]
    svg = bars(
        language.say("ingest, samples per CPU second"), [("", held)], target=(2.5e6, language.say("target 2.5 M"))
    )
    return svg, _table(
        language, ("historian", "samples set", "samples per CPU second", "Headrace is"),
        [(who, language.say(size), f"{value:,.0f}", _times(found[0][2], value)) for who, size, value in found],
    )  # fmt: skip


def _commit(lines: Sequence[Line], language: Language) -> Made:
    rows = [line for line in lines if _tag(line, "chart") == "commit"]
    if not rows:
        return None
    by = {(line["tags"]["who"], line["tags"]["share"]): line["value"] for line in rows}
    names = list(dict.fromkeys(line["tags"]["who"] for line in rows))
    kinds = {"all": "ours", "flush or compaction": "duckdb"}
    groups = [
        (share, [Bar(language.say(who), by[who, share], f"{number(by[who, share])} ms", kinds.get(who, "peer"))
                 for who in names if (who, share) in by])
        for share in _PERCENTILES
    ]  # fmt: skip
    svg = bars(language.say("commit of 10,000 samples, ms on the wall clock"), groups)
    cells = [
        (language.say(who), *(number(by[who, s]) if (who, s) in by else "" for s in _PERCENTILES)) for who in names
    ]
    return svg, _table(language, ("beside", *_PERCENTILES), cells)


def _disk(lines: Sequence[Line], language: Language) -> Made:
    found = _beside(lines, "disk")
    if not found:
        return None
    held = [Bar(_named(who, size, language), value, f"{number(value)} B", _kind(who)) for who, size, value in found]
    svg = bars(language.say("bytes on disk a sample"), [("", held)], target=(1.4, language.say("target 1.4 B")))
    return svg, _table(
        language, ("historian", "samples set", "bytes a sample"),
        [(who, language.say(size), number(value)) for who, size, value in found],
    )  # fmt: skip


def _query(lines: Sequence[Line], language: Language, *, full: bool = True) -> Made:
    size = _set(lines)
    rows = [line for line in lines if _tag(line, "chart") == "query" and line["peer"] is not None]
    rows = [line for line in rows if (line["tags"]["set"] == size) is full]
    if not rows:
        return None
    groups, cells = [], []
    asked_of: dict[tuple[str, str], list[Line]] = {}
    for line in rows:
        asked_of.setdefault((line["tags"]["question"], line["tags"]["set"]), []).append(line)
    for (question, samples), asked in sorted(asked_of.items(), key=lambda each: _order(rows, each[0][0])):
        name = language.say(question) + ("" if full else f" · {language.say(samples)}")
        found = [("Headrace", asked[0]["value"])] + [(line["tags"]["who"], line["peer"]) for line in asked]
        groups.append(
            (name, [Bar(who, ms, f"{number(ms)} ms", _kind(who)) for who, ms in found])
        )  # fmt: skip
        cells += [(name, who, number(ms), _times(ms, found[0][1])) for who, ms in found]
    title = language.say("CPU of a question, ms") + (f" · {language.say(size)}" if full else "")
    svg = bars(title, groups, log=True)
    return svg, _table(language, ("question", "historian", "CPU ms", "Headrace's CPU ×"), cells)


def _order(rows: Sequence[Line], question: str) -> int:
    """Where a question first stands."""
    return next(at for at, line in enumerate(rows) if line["tags"]["question"] == question)


def _shares(lines: Sequence[Line], language: Language) -> Made:
    return _query(lines, language, full=False)


def _curve(axis: str) -> Callable[[Sequence[Line], Language], Made]:
    def make(lines: Sequence[Line], language: Language) -> Made:
        rows = [line for line in lines if _tag(line, "chart") == f"curve-{axis}"]
        if not rows:
            return None
        held, cells = [], []
        for what in dict.fromkeys(line["tags"]["what"] for line in rows):
            here = [line for line in rows if line["tags"]["what"] == what]
            ours = [(line["tags"]["x"], line["value"]) for line in here]
            theirs = [(line["tags"]["x"], line["peer"]) for line in here if line["peer"] is not None]
            unit = " · ns" if what == "ingest" else " · ms"
            held.append(Panel(language.say(what) + unit, [("ours", ours), *([("duckdb", theirs)] if theirs else [])]))
            cells += [(language.say(what), short(line["tags"]["x"]), number(line["value"]),
                       number(line["peer"]) if line["peer"] else "") for line in here]  # fmt: skip
        grows = axis == "size"
        title = language.say("CPU as the store grows" if grows else "CPU with more points")
        label = language.say("samples in the store" if grows else "points")
        legend = [("ours", "Headrace"), ("duckdb", "DuckDB")]
        svg = panels(title, held, label, language.say("CPU a sample, or a question"), legend)
        return svg, _table(language, ("what", label, "Headrace", "DuckDB"), cells)

    return make


_CHARTS: dict[str, Callable[[Sequence[Line], Language], Made]] = {
    "ingest": _ingest,
    "commit": _commit,
    "disk": _disk,
    "query": _query,
    "shares": _shares,
    "size": _curve("size"),
    "points": _curve("points"),
}


# --- parts ----------------------------------------------------------------------------------------------------------


def _beside(lines: Sequence[Line], chart: str) -> list[tuple[str, str, float]]:
    """(who, set, value): ours first, then peers; one that took both sets shows the larger."""
    own = [(line["tags"]["who"], line["tags"]["set"], line["value"]) for line in lines
           if _tag(line, "chart") == chart and line["peer"] is None]  # fmt: skip
    peers: dict[str, tuple[str, str, float]] = {}
    for line in lines:
        if _tag(line, "chart") == chart and line["peer"] is not None:
            who = line["tags"]["who"]
            peers.setdefault(who, (who, line["tags"]["set"], line["peer"]))
    return own[:1] + list(peers.values())


def _target_table(lines: Sequence[Line], language: Language) -> str:
    cells = [
        (
            language.say(line["measure"]),
            f"{number(line['value'])} {language.say(line['unit'])}",
            "" if line["peer"] is None else f"{number(line['peer'])} ({language.say(line['peer_name'])})",
            "" if line["ratio"] is None else number(line["ratio"]),
            language.say(line["target"].replace(">=", "≥").replace("<=", "≤")),
            language.say("yes") if line["met"] else f"**{language.say('no')}**",
        )
        for line in lines
        if line["target"]
    ]
    return _table(language, ("measure", "value", "peer", "ratio", "target", "met"), cells)


def _table(language: Language, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(map(language.say, head)), ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def _set(lines: Sequence[Line]) -> str:
    """The full set of this run, as its rows call it."""
    return next((str(_tag(line, "set")) for line in lines if _tag(line, "set")), "")


def _tag(line: Line, name: str) -> Any:
    return line.get("tags", {}).get(name)


def _kind(who: str) -> str:
    return _KINDS.get(who.split()[0], "peer")


def _named(who: str, size: str, language: Language) -> str:
    return f"{who}, {language.say(size.removesuffix(' of it'))}" if size.endswith(" of it") else who


def _times(value: float, of: float) -> str:
    return f"{number(value / of)}×"


if __name__ == "__main__":
    main()
