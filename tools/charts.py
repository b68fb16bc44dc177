"""Charts as SVG text: bars, and small panels of lines. Plain Python, because three shapes need no library.

    numbers ─► scale (linear or log) ─► shapes with classes ─► one file that follows the reader's light or dark

Ours is always the full blue, peers are told apart by position and label first, by colour second (Okabe and Ito's
colours, which colour-blind readers tell apart). Every bar and every last point of a line carries its number as text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 860
_STYLE = """
  svg { font-family: system-ui, 'Noto Sans', 'Noto Sans CJK SC', sans-serif; font-size: 13px; }
  .paper { fill: #ffffff; } .ink { fill: #1c2126; } .quiet { fill: #59636e; }
  .grid { stroke: #d8dee4; stroke-width: 1; } .target { stroke: #1c2126; stroke-width: 1.5; stroke-dasharray: 4 3; }
  .ours { fill: #0072b2; } .duckdb { fill: #e69f00; } .parquet { fill: #009e73; } .peer { fill: #8c959f; }
  .line { stroke-width: 2; } .line.ours { fill: none; stroke: #0072b2; }
  .line.duckdb { fill: none; stroke: #b97f00; stroke-dasharray: 6 4; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } .ink { fill: #e6edf3; } .quiet { fill: #9198a1; }
    .grid { stroke: #2f3742; } .target { stroke: #e6edf3; }
    .ours { fill: #56b4e9; } .line.ours { fill: none; stroke: #56b4e9; } .line.duckdb { stroke: #e69f00; fill: none; }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """`kind` is a class of the style: ours, duckdb, parquet or peer."""

    label: str
    value: float
    text: str
    kind: str = "peer"


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines over one axis: a line is its kind and its points `(x, y)`."""

    title: str
    lines: Sequence[tuple[str, Sequence[tuple[float, float]]]]


def bars(
    title: str,
    groups: Sequence[tuple[str, Sequence[Bar]]],
    *,
    log: bool = False,
    target: tuple[float, str] | None = None,
) -> str:
    """Horizontal bars; a group without a name is one chart of bars alone. `target` is a value and its label."""
    right, row, top = 96, 24, 52
    left = 28 + 7.2 * max(_columns(bar.label) for _, held in groups for bar in held)
    every = [bar.value for _, held in groups for bar in held if bar.value > 0]
    low = 10 ** math.floor(math.log10(min(every))) if log else 0.0
    high = max([*every, target[0] if target else 0.0])
    body, y = [_text(16, 26, title, "ink", size=15, bold=True)], top

    def x_of(value: float) -> float:
        share = math.log(max(value, low) / low) / math.log(high / low) if log else value / high
        return left + share * (WIDTH - left - right)

    for name, held in groups:
        if name:
            body.append(_text(16, y + 14, name, "ink"))
            y += row
        for bar in held:
            wide = max(x_of(bar.value) - left, 2)
            body.append(_text(left - 8, y + 14, bar.label, "ink" if bar.kind == "ours" else "quiet", anchor="end"))
            body.append(f'<rect class="{bar.kind}" x="{left:.1f}" y="{y + 3}" width="{wide:.1f}" height="15" rx="2"/>')
            body.append(_text(left + wide + 6, y + 15, bar.text, "ink"))
            y += row
        y += 8 if name else 0
    if target:
        at = x_of(target[0])
        body.append(f'<line class="target" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 4}" y2="{y}"/>')
        body.append(_text(at, y + 14, target[1], "quiet", anchor="middle"))
        y += 18
    if log:
        ticks = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        grid = [
            f'<line class="grid" x1="{x_of(10.0**t):.1f}" x2="{x_of(10.0**t):.1f}" y1="{top - 4}" y2="{y}"/>'
            for t in ticks
        ]
        body[1:1] = grid
        body += [_text(x_of(10.0**t), y + 14, number(10.0**t), "quiet", anchor="middle") for t in ticks]
        y += 18
    return _svg(title, y + 10, body)


def panels(title: str, held: Sequence[Panel], x_label: str, y_label: str, legend: Sequence[tuple[str, str]]) -> str:
    """Small charts, three a row, both axes logarithmic; all panels share the x axis. `legend`: kind and name."""
    columns, gap, height, top = 3, 24, 150, 74
    wide = (WIDTH - 32 - gap * (columns - 1)) / columns
    xs = [x for panel in held for _, points in panel.lines for x, _ in points]
    body = [_text(16, 26, title, "ink", size=15, bold=True)]
    at = 16.0
    for kind, name in legend:
        body.append(f'<path class="line {kind}" d="M{at} 45h26"/>')
        body.append(_text(at + 32, 49, name, "ink"))
        at += 44 + 8 * _columns(name)
    body.append(_text(WIDTH - 16, 49, f"{y_label} · {x_label}", "quiet", anchor="end"))
    for index, panel in enumerate(held):
        x0 = 16 + index % columns * (wide + gap)
        y0 = top + index // columns * (height + 62)
        body += _panel(panel, x0, y0, wide, height, (min(xs), max(xs)))
    return _svg(title, top + -(-len(held) // columns) * (height + 62), body)


def _panel(panel: Panel, x0: float, y0: float, wide: float, height: float, span: tuple[float, float]) -> list[str]:
    ys = [y for _, points in panel.lines for _, y in points]
    low, high = 10 ** math.floor(math.log10(min(ys))), 10 ** math.ceil(math.log10(max(ys) * 1.001))
    inner, left = wide - 82, x0 + 36

    def place(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / span[0]) / math.log(span[1] / span[0]) if span[1] > span[0] else 0.5
        return left + across * inner, y0 + 20 + (1 - math.log(y / low) / math.log(high / low)) * height

    body = [_text(x0, y0 + 8, panel.title, "ink", size=12)]
    for exponent in range(round(math.log10(low)), round(math.log10(high)) + 1):
        y = place(span[0], 10.0**exponent)[1]
        body.append(f'<line class="grid" x1="{left:.1f}" x2="{left + inner:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        body.append(_text(left - 5, y + 4, number(10.0**exponent), "quiet", anchor="end", size=11))
    for x in sorted({x for _, points in panel.lines for x, _ in points}):
        if x in (span[0], span[1]) or len(panel.lines[0][1]) <= 4:
            body += [_text(place(x, low)[0], y0 + height + 36, short(x), "quiet", anchor="middle", size=11)]
    taken: list[float] = []
    for kind, points in panel.lines:
        spots = [place(x, y) for x, y in points]
        if len(spots) > 1:
            body.append(f'<path class="line {kind}" d="M' + " L".join(f"{x:.1f} {y:.1f}" for x, y in spots) + '"/>')
        mark = '<circle class="{0}" cx="{1:.1f}" cy="{2:.1f}" r="3.5"/>' if kind == "ours" else (
            '<rect class="{0}" x="{3:.1f}" y="{4:.1f}" width="7" height="7"/>'
        )  # fmt: skip
        body += [mark.format(kind, x, y, x - 3.5, y - 3.5) for x, y in spots]
        x, y = spots[-1]
        below = 16 if any(abs(y - other) < 13 and y >= other for other in taken) else 4
        body.append(_text(x + 8, y + below, number(points[-1][1]), "ink", size=12))
        taken.append(y)
    return body


def number(value: float) -> str:
    """Three digits that count: 0.31, 4.2, 1,450."""
    if value >= 100:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(value))) if value else 0
    text = f"{value:.{min(digits, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def short(value: float) -> str:
    """1 M, 30 M, 100, 10 k."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {letter}"
    return f"{value:g}"


def _columns(text: str) -> int:
    """Width in columns: a Chinese character takes two."""
    return sum(2 if ord(letter) > 0x2E80 else 1 for letter in text)


def _text(
    x: float, y: float, text: str, kind: str, *, anchor: str = "start", size: int = 13, bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{weight}>'
        f"{escape(text)}</text>"
    )


def _svg(title: str, height: float, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(title, quote=True)}">\n<style>{_STYLE}</style>\n'
        f'<rect class="paper" width="100%" height="100%" rx="6"/>\n' + "\n".join(body) + "\n</svg>\n"
    )
