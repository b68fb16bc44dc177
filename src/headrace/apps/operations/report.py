"""The report of a shift, as a workbook and as a PDF: figures, losses, reasons, stops.

Texts come from outside, so that both speak the language that is asked for. Chinese in a PDF: set in STSong-Light, a
font of the PDF standard's Adobe-GB1 collection, which readers bring along; a TrueType font that is named in the
settings is embedded instead. Source: ISO 32000-2 §9.7.5; decision 0048.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from reportlab.graphics.shapes import Drawing, Rect, String
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

from headrace.apps.operations.kpis import BY_CODE
from headrace.model.errors import ConfigError

STOPS_MAX: Final = 200
"""Of the longest table; the rest is counted."""
_CHINESE: Final = "STSong-Light"
_HEAD: Final = colors.HexColor("#1f3a5f")
_LEFT: Final = colors.HexColor("#2f7d6b")
_LOST: Final = colors.HexColor("#c0562f")
_PALE: Final = colors.HexColor("#eef2f6")

Say = Callable[..., str]
Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Report:
    """What is in a report. `kpis`, `losses`, `stops`: as routes answer them. Times are on the wall already; `restated`
    is '' where figures say what they said first.
    """

    language: str
    name: str
    day: str
    start: str
    end: str
    made: str
    restated: str
    kpis: dict[str, Any]
    losses: dict[str, Any]
    stops: Sequence[dict[str, Any]]
    reasons: dict[str, str]


def workbook(report: Report, say: Say) -> bytes:
    """XLSX, one sheet a part. Fractions are cells of per cent, so that whoever adds on computes with them."""
    book = Workbook()
    sheet = book.active
    _sheet(sheet, say("report.kpis"), _head(report, say), _kpi_rows(report, say, text=False))
    _sheet(book.create_sheet(), say("report.losses"), [], _loss_rows(report, say))
    _sheet(book.create_sheet(), say("report.pareto"), [], _pareto_rows(report, say))
    _sheet(book.create_sheet(), say("report.stops"), [], _stop_rows(report, say))
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def pdf(report: Report, say: Say, font: str = "") -> bytes:
    """PDF on A4. `font`: a TrueType file to embed. Raises: ConfigError where it cannot be used."""
    face = _face(font)
    style = ParagraphStyle("text", fontName=face, fontSize=9, leading=12, wordWrap="CJK")
    title = ParagraphStyle("title", style, fontSize=16, leading=22, textColor=_HEAD)
    heading = ParagraphStyle("heading", style, fontSize=11, leading=18, textColor=_HEAD, spaceBefore=8)
    parts: list[Any] = [Paragraph(_escaped(f"{say('report.title')} · {report.day} {report.name}"), title)]
    parts += [Paragraph(_escaped("    ".join(map(str, row))), style) for row in _head(report, say)]
    for name, rows, widths in (
        ("report.kpis", _kpi_rows(report, say, text=True), (70, 26, 24, 16, 44)),
        ("report.losses", _loss_rows(report, say), (80, 30, 30)),
        ("report.pareto", _pareto_rows(report, say), (80, 25, 20, 25, 25)),
        ("report.stops", _stop_rows(report, say), (50, 18, 34, 34, 16, 28)),
    ):
        parts.append(Paragraph(_escaped(say(name)), heading))
        if name == "report.losses":
            parts += [_chart(report, say, face), Spacer(1, 3 * mm)]
        cells = [[_shown(cell) for cell in row[: len(widths)]] for row in rows]
        wrapped = [[Paragraph(_escaped(cell), style) if cell else "" for cell in row] for row in cells]
        parts.append(Table(wrapped, [width * mm for width in widths], repeatRows=1, style=_TABLE, hAlign="LEFT"))
    out = BytesIO()
    side = 15 * mm
    document = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=side, rightMargin=side, topMargin=side, bottomMargin=side,
        title=f"{say('report.title')} {report.day} {report.name}", author="Headrace", lang=report.language, invariant=1,
    )  # fmt: skip
    document.build(parts, onFirstPage=_foot(face), onLaterPages=_foot(face))
    return out.getvalue()


_TABLE: Final = [
    ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey),
    ("BACKGROUND", (0, 0), (-1, 0), _PALE),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("TOPPADDING", (0, 0), (-1, -1), 1.5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
]


def _head(report: Report, say: Say) -> list[list[str]]:
    rows = [
        [say("report.shift"), f"{report.day} {report.name}"],
        [say("report.from"), report.start, say("report.to"), report.end],
        [say("report.made"), report.made],
    ]
    return [*rows, [say("report.restated", time=report.restated)]] if report.restated else rows


def _kpi_rows(report: Report, say: Say, *, text: bool) -> list[Row]:
    """`text`: as people read them; else numbers. A figure without a value says why in its last column."""
    names = ("kpi", "value", "target", "met", "was", "formula", "numerator", "denominator", "why")
    rows: list[Row] = [[say(f"report.{name}") for name in names]]
    for one in report.kpis["kpis"]:
        kpi = BY_CODE[one["code"]]
        if text and one["value"] is None:
            continue
        number = f"{kpi.number} " if kpi.number else ""
        show = (lambda value, unit=kpi.unit: number_text(value, unit)) if text else _as_cell(kpi.unit)
        met = "" if one["met"] is None else say("report.yes" if one["met"] else "report.no")
        title = f"{number}{kpi.zh if report.language == 'zh' else kpi.en}"
        rows.append(
            [
                title, show(one["value"]), show(one["target"]), met,
                show(one.get("stated")), kpi.formula, one["numerator"], one["denominator"], one["why"],
            ]
        )  # fmt: skip
    return rows


def _loss_rows(report: Report, say: Say) -> list[Row]:
    told = report.losses
    rows: list[Row] = [[say("report.loss"), say("report.hours"), say("report.left")]]
    rows.append([say("loss.planned-busy"), None, round(told["planned_busy_h"], 3)])
    rows += [[say(f"loss.{one['code']}"), round(one["lost_h"], 3), round(one["left_h"], 3)] for one in told["steps"]]
    return [*rows, [say("loss.effective"), None, round(told["effective_h"], 3)]]


def _pareto_rows(report: Report, say: Say) -> list[Row]:
    rows: list[Row] = [[say(f"report.{name}") for name in ("reason", "hours", "count", "share", "running")]]
    for one in report.losses["pareto"]:
        shares = f"{one['share']:.1%}", f"{one['running']:.1%}"
        rows.append([_cause(report, say, one["cause"]), round(one["h"], 3), one["count"], *shares])
    return rows


def _stop_rows(report: Report, say: Say) -> list[Row]:
    rows: list[Row] = [[say(f"report.{name}") for name in ("unit", "state", "start", "end", "minutes", "reason")]]
    for one in report.stops[:STOPS_MAX]:
        why = _cause(report, say, one["reason"]) if one["reason"] else say("report.none")
        state = say(f"cause.{one['state']}")
        rows.append([one["unit"], state, one["start"], one["end"] or "", round(one["seconds"] / 60, 1), why])
    if len(report.stops) > STOPS_MAX:
        rows.append([f"+ {len(report.stops) - STOPS_MAX}", "", "", "", "", ""])
    return rows


def _cause(report: Report, say: Say, cause: str) -> str:
    return report.reasons.get(cause) or say(f"cause.{cause}")


def number_text(value: float | None, unit: str) -> str:
    """As people read it: 65.5 %, 12.25 h."""
    if value is None:
        return ""
    return f"{value:.1%}".replace("%", " %") if unit == "%" else f"{value:,.4g} {'' if unit == '1' else unit}".strip()


class _Percent(float):
    """A fraction that a sheet shows as per cent."""


def _as_cell(unit: str) -> Callable[[float | None], float | None]:
    return lambda value: None if value is None else _Percent(value) if unit == "%" else value


def _sheet(sheet: Any, title: str, head: Sequence[Row], rows: Sequence[Row]) -> None:
    sheet.title = title[:31]
    for row in [*head, *([[]] if head else []), *rows]:
        sheet.append([float(cell) if isinstance(cell, _Percent) else _safe(cell) for cell in row])
        for at, cell in enumerate(row, 1):
            if isinstance(cell, _Percent):
                sheet.cell(sheet.max_row, at).number_format = "0.0%"
    first = sheet.max_row - len(rows) + 1
    for cell in sheet[first]:
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="DCE5EE")
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    sheet.freeze_panes = sheet.cell(first + 1, 1)
    for at in range(1, sheet.max_column + 1):
        longest = max((len(str(row[at - 1])) for row in rows if len(row) >= at and row[at - 1] is not None), default=8)
        sheet.column_dimensions[get_column_letter(at)].width = min(max(longest * 1.4, 10), 48)


def _safe(cell: Any) -> Any:
    """A text that begins like a formula stays a text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" else cell


def _chart(report: Report, say: Say, face: str) -> Drawing:
    """The waterfall: what is left after each loss, and the loss beside it."""
    told, height, width = report.losses, 9, 180 * mm
    bars = [(say("loss.planned-busy"), 0.0, told["planned_busy_h"])]
    bars += [(say(f"loss.{one['code']}"), one["lost_h"], one["left_h"]) for one in told["steps"]]
    drawing = Drawing(width, (height + 3) * len(bars) + 4)
    scale = (width - 62 * mm) / max(told["planned_busy_h"], 1e-9, *(left for _, _, left in bars))
    for at, (label, lost_h, left_h) in enumerate(bars):
        y = (height + 3) * (len(bars) - 1 - at) + 2
        drawing.add(String(0, y + 2, label, fontName=face, fontSize=8))
        drawing.add(Rect(40 * mm, y, max(left_h, 0) * scale, height, fillColor=_LEFT, strokeColor=None))
        if lost_h > 0:
            drawing.add(Rect(40 * mm + left_h * scale, y, lost_h * scale, height, fillColor=_LOST, strokeColor=None))
        end = 40 * mm + (left_h + max(lost_h, 0)) * scale
        drawing.add(String(end + 4, y + 2, f"{lost_h if at else left_h:.2f} h", fontName=face, fontSize=7))
    return drawing


def _face(font: str) -> str:
    if not font:
        pdfmetrics.registerFont(UnicodeCIDFont(_CHINESE))
        return _CHINESE
    name = f"Settings-{Path(font).stem}"
    try:
        pdfmetrics.registerFont(TTFont(name, font))
    except (TTFError, OSError) as error:
        raise ConfigError(f"the font {font} cannot be embedded: {error}; name a TrueType file (.ttf, .ttc)") from None
    return name


def _foot(face: str) -> Callable[[Any, Any], None]:
    def draw(canvas: Any, document: Any) -> None:
        canvas.setFont(face, 8)
        canvas.drawRightString(A4[0] - 15 * mm, 8 * mm, str(document.page))

    return draw


def _shown(cell: Any) -> str:
    return "" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
