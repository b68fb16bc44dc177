"""What a request names, and what an entry is: machines, spans, identities. Whatever is wrong is said to who asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time, timedelta
from typing import Any

from headrace.apps.operations import views
from headrace.apps.operations.book import Book
from headrace.apps.operations.identities import identity_of
from headrace.apps.operations.store import Entry
from headrace.apps.operations.sums import Selection
from headrace.model.errors import DataError
from headrace.model.time import DAY_NS, HOUR_NS, parse_time_ns
from headrace.sdk.apps import Action, Context, Request


async def seen(book: Book, request: Request) -> list[int]:
    """The machines that are asked for, as far as who asks may see them. Raises: AccessError, DataError."""
    named = [name for name in request.query.get("unit", "").split(",") if name]
    if named:
        return [await machine(book, request, name, Action.VIEW) for name in named]
    return [at for at, unit in enumerate(book.config.units) if await request.may(Action.VIEW, unit.path)]


async def machine(book: Book, request: Request, path: str, action: Action) -> int:
    """The number of a work unit, for one who has that right on it. Raises: AccessError, DataError."""
    await request.check(action, path)
    return book.unit(path)


async def selected(book: Book, request: Request, prefix: str = "") -> Selection:
    """`unit`, `shift` or `from` and `to`, `order` of a query. Raises: AccessError, DataError, ConfigError."""
    units, query = await seen(book, request), request.query
    if not units:
        raise DataError("no machine is asked for that you may see; the settings of the app say which there are")
    order = query.get("order", "")
    if query.get(f"{prefix}shift"):
        number = request.number(f"{prefix}shift", 0, 0, 1 << 31)
        return views.selection(book, units, 0, 0, number, order)
    now_ns = book.ledger.horizon_ns
    to_ns = moment(request, f"{prefix}to", -(-now_ns // HOUR_NS) * HOUR_NS)
    return views.selection(book, units, moment(request, f"{prefix}from", to_ns - DAY_NS), to_ns, None, order)


def day_selected(ctx: Context, book: Book, request: Request, units: Sequence[int]) -> Selection:
    """`day` of the plant's clock, today without one: its hours up to now. Raises: DataError."""
    calendar, now_ns = book.config.calendar, ctx.now_ns()
    text = request.query.get("day", "")
    try:
        day = date.fromisoformat(text) if text else calendar.day_of(now_ns)
    except ValueError:
        raise DataError(f"'{text[:30]}' is no day; write 2026-11-26") from None
    start_ns, end_ns = (calendar.wall_ns(one, time()) for one in (day, day + timedelta(days=1)))
    end_ns = min(-(-end_ns // HOUR_NS), -(-now_ns // HOUR_NS)) * HOUR_NS
    return views.selection(book, units, start_ns // HOUR_NS * HOUR_NS, max(end_ns, start_ns // HOUR_NS * HOUR_NS))


def moment(request: Request, name: str, default_ns: int) -> int:
    """A time of the query. Raises: DataError."""
    text = request.query.get(name, "")
    return parse_time_ns(text) if text else default_ns


def decimal(request: Request, name: str) -> float:
    """A number of the query. Raises: DataError."""
    try:
        number = float(request.query.get(name, ""))
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise DataError(f"'{name}' is a number; give the limit of the characteristic")
    return number


def span(ctx: Context, request: Request) -> tuple[int, int]:
    """`from` and `to`; a day up to now without them."""
    end_ns = moment(request, "to", ctx.now_ns())
    start_ns = moment(request, "from", end_ns - DAY_NS)
    if not 0 < end_ns - start_ns <= 400 * DAY_NS:
        raise DataError("a span is of at most 400 days, and its end comes after its beginning")
    return start_ns, end_ns


def entry_of(
    given: dict[str, Any], input_: str, at_ns: int, request: Request, *, value: float | None = None,
    word: str | None = None, replaces: tuple[int, int] = (0, 0),
) -> Entry:  # fmt: skip
    """Its identity is whose it is and when it was entered there: entered offline and sent twice, it is one."""
    entered = given["entered"]
    recorded_ns = parse_time_ns(entered) if entered[:4].isdecimal() and "T" in entered else at_ns
    _, half = identity_of("\n".join((given["client"], entered, given["unit"], input_)))
    identity = recorded_ns % (1 << 64), half  # of entries for the same time the last counts: see series.py
    return Entry(identity, given["unit"], input_, at_ns, recorded_ns, value, word, replaces, request.user)


def signed_identity(given: dict[str, Any], kind: str) -> tuple[int, int]:
    high, low = identity_of("\n".join((given["client"], given["entered"], kind)))
    return high - (1 << 63), low - (1 << 63)


def id_of(entry: Entry) -> str:
    return f"{entry.identity[0]:016x}{entry.identity[1]:016x}"


def parse_id(text: str) -> tuple[int, int]:
    try:
        number = int(text, 16) if len(text) == 32 else -1
    except ValueError:
        number = -1
    if number < 0:
        raise DataError(f"'{text[:40]}' is no id of a fact: 32 hexadecimal digits")
    return number >> 64, number & ((1 << 64) - 1)


def hex_id(high: Any, low: Any) -> str:
    return f"{int(high) % (1 << 64):016x}{int(low) % (1 << 64):016x}"
