"""A shift ends: its figures are told, and stand in two documents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from headrace.apps.operations import report, views
from headrace.apps.operations.book import Book
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS, SECOND_NS, parse_time_ns
from headrace.sdk.apps import Context, Statement

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PDF: Final = "application/pdf"
_LOOK_BACK_NS: Final = 8 * DAY_NS


async def close_shifts(ctx: Context, book: Book, due_ns: int) -> None:
    """Close what has ended for long enough, and report it, once."""
    until_ns = due_ns - book.config.grace_ns
    since_ns = min((unit.since_ns for unit in book.config.units), default=due_ns)
    for shift in views.shifts(book, until_ns - _LOOK_BACK_NS, until_ns):
        end_ns = parse_time_ns(shift["end"])
        if not since_ns < end_ns <= until_ns:
            continue
        known = await ctx.tables.query("SELECT 1 FROM reports WHERE shift = ?", shift["shift"])
        if not len(known):
            await book.close(ctx, end_ns)
            await _report_made(ctx, book, shift["shift"])
            done = Statement("INSERT OR IGNORE INTO reports VALUES (?, ?)", (shift["shift"], ctx.now_ns()))
            await ctx.tables.write(done)


def sayer(ctx: Context, language: str) -> report.Say:
    """The texts of a language."""
    return lambda key, **values: ctx.say(key, language, **values)


async def report_of(ctx: Context, book: Book, shift: int, seen: Sequence[int], language: str) -> report.Report:
    """The report of a shift about these machines, as figures are now. Raises: DataError, ConfigError."""
    chosen = views.selection(book, seen, 0, 0, shift)
    if not seen:
        raise DataError("no machine is in this report that you may see")
    start_ns, end_ns = book.config.calendar.shift_span(shift)
    day, name = book.config.calendar.shift_of(shift)
    zone = ZoneInfo(book.config.calendar.zone)

    def wall(at_ns: int) -> str:
        return datetime.fromtimestamp(at_ns // SECOND_NS, zone).strftime("%Y-%m-%d %H:%M")

    told = await views.told(ctx, book, chosen)
    restated = wall(parse_time_ns(told["restated_at"])) if told["restated_at"] else ""
    stood = [one for one in views.stops(book, seen, start_ns, end_ns) if one["lost_s"]]
    for one in stood:
        one["start"] = wall(parse_time_ns(one["start"]))
        one["end"] = wall(parse_time_ns(one["end"])) if one["end"] else None
    titles = {one.code: one.zh if language == "zh" else one.en for one in book.config.reasons.all}
    return report.Report(
        language, name, str(day), wall(start_ns), wall(end_ns), wall(ctx.now_ns()), restated,
        told, views.lost(book, chosen), stood, titles,
    )  # fmt: skip


def pdf_of(ctx: Context, made: report.Report) -> bytes:
    """Raises: ConfigError for a font that cannot be embedded."""
    return report.pdf(made, sayer(ctx, made.language), ctx.settings["font"] or "")


async def _report_made(ctx: Context, book: Book, shift: int) -> None:
    """Both forms of a closed shift, as documents; and tell that they are there."""
    seen = range(len(book.config.units))
    if not seen:
        return
    made = await report_of(ctx, book, shift, seen, ctx.settings["language"])
    name = f"reports/{made.day}-{shift}"
    await ctx.documents.put(f"{name}.pdf", pdf_of(ctx, made), PDF)
    await ctx.documents.put(f"{name}.xlsx", report.workbook(made, sayer(ctx, made.language)), XLSX)
    oee = next(one["value"] for one in made.kpis["kpis"] if one["code"] == "oee")
    subject = book.config.units[0].path
    await ctx.events.publish(
        "operations.shift-closed", subject, {"shift": shift, "day": made.day, "name": made.name, "oee": oee}
    )
