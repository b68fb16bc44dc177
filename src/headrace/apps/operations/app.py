"""Production as an app: what is called when, and what may be asked. docs/operations-app.md.

samples ──► book ──► cells ◄── reasons, counts, orders, hours, inspections      people, terminals, ERP
                      │
   every 15 min: shifts that ended are closed, and their reports made
                      │
    kpis, losses, compare, stops, reports ──► who asks sees the machines that they may see
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from headrace.apps.operations import report, store, views
from headrace.apps.operations.asking import (
    day_selected,
    decimal,
    entry_of,
    hex_id,
    id_of,
    machine,
    parse_id,
    seen,
    selected,
    signed_identity,
    span,
)
from headrace.apps.operations.book import Book, open_book
from headrace.apps.operations.closing import PDF, XLSX, close_shifts, pdf_of, report_of, sayer
from headrace.apps.operations.config import points_of
from headrace.apps.operations.elements import GIVEN, Quantity
from headrace.apps.operations.orders import Job
from headrace.apps.operations.states import State
from headrace.apps.operations.store import job_word
from headrace.model.errors import Conflict, DataError, NotFound, Unavailable
from headrace.model.time import DAY_NS, parse_duration_ns, parse_time_ns
from headrace.sdk.apps import Action, App, Context, Reply, Request, Samples, Statement

app = App()

_TEXT: Final = (str, type(None))
_NUMBER: Final = (float, int, type(None))

_books: dict[str, Book] = {}


def _book(ctx: Context) -> Book:
    try:
        book = _books[ctx.tenant]
    except KeyError:
        raise Unavailable("the operations app is starting; ask again in a moment") from None
    book.advance(ctx.now_ns())
    return book


@app.on_start
async def start(ctx: Context) -> None:
    _books.pop(ctx.tenant, None)
    book = _books[ctx.tenant] = await open_book(ctx)
    await book.catch_up(ctx)


@app.samples(points_of)
async def take(ctx: Context, samples: Samples) -> None:
    await _book(ctx).take(ctx, samples)


@app.job("catch-up", every="1min")
async def catch_up(ctx: Context, due_ns: int) -> None:
    """The past of machines that are new here, where there is more of it than a start takes."""
    del due_ns
    await _book(ctx).catch_up(ctx)


@app.job("close", every="15min")
async def close(ctx: Context, due_ns: int) -> None:
    await close_shifts(ctx, _book(ctx), due_ns)


@app.job("forget", at="03:30")
async def forget(ctx: Context, due_ns: int) -> None:
    """What is older than is kept leaves the disk; memory at the next start."""
    if gone := await store.forget(ctx, due_ns - ctx.settings["keep"] * DAY_NS):
        ctx.log(f"{gone} facts older than {ctx.settings['keep']} days are forgotten")


# --- figures ---------------------------------------------------------------------------------------------------------


@app.route("GET", "/definitions")
async def definitions(_: Context, request: Request) -> Any:
    return views.definitions(request.language)


@app.route("GET", "/overview")
async def overview(ctx: Context, request: Request) -> Any:
    """A `day` of the plant, today without one: what its page shows."""
    book = _book(ctx)
    units = await seen(book, request)
    if not units:
        return {"whole": {}, "units": [], "losses": [], "restated_at": None}
    return await views.overview(ctx, book, day_selected(ctx, book, request, units), request.language)


@app.route("GET", "/kpis")
async def kpis(ctx: Context, request: Request) -> Any:
    """`unit` (more by commas), `from` and `to`, or `shift`; `order`."""
    book = _book(ctx)
    return await views.told(ctx, book, await selected(book, request))


@app.route("GET", "/kpis/units")
async def kpis_of_units(ctx: Context, request: Request) -> Any:
    """The same, machine by machine."""
    book = _book(ctx)
    chosen = await selected(book, request)
    return [
        {"unit": book.config.units[unit].path, **await views.told(ctx, book, replace(chosen, units=(unit,)))}
        for unit in chosen.units
    ]


@app.route("GET", "/losses")
async def losses(ctx: Context, request: Request) -> Any:
    book = _book(ctx)
    return views.lost(book, await selected(book, request))


@app.route("GET", "/compare")
async def compare(ctx: Context, request: Request) -> Any:
    """`from`, `to` or `shift`, with `before-from`, `before-to` or `before-shift`."""
    book = _book(ctx)
    before = await selected(book, request, "before-")
    return views.compared(book, before, await selected(book, request))


@app.route("GET", "/capability")
async def capability(ctx: Context, request: Request) -> Any:
    """KPIs 19 to 22, Pp and Ppk of a measured `point` between `lsl` and `usl`, in subgroups of `size` (5)."""
    point = request.query.get("point", "")
    await request.check(Action.VIEW, point)
    start_ns, end_ns = span(ctx, request)
    lsl, usl = decimal(request, "lsl"), decimal(request, "usl")
    return await views.capable(ctx, point, start_ns, end_ns, request.number("size", 5, 1, 1_000), (lsl, usl))


@app.route("GET", "/shifts")
async def shifts(ctx: Context, request: Request) -> Any:
    book = _book(ctx)
    start_ns, end_ns = span(ctx, request)
    return views.shifts(book, start_ns, end_ns)


@app.route("GET", "/units")
async def units(ctx: Context, request: Request) -> Any:
    """What each machine does now."""
    book = _book(ctx)
    return [views.current(book, unit, request.language) for unit in await seen(book, request)]


@app.route("GET", "/stops")
async def stops(ctx: Context, request: Request) -> Any:
    """`pending=1`: those that nobody has explained."""
    book = _book(ctx)
    start_ns, end_ns = span(ctx, request)
    pending = bool(request.number("pending", 0, 0, 1))
    return views.stops(book, await seen(book, request), start_ns, end_ns, pending=pending)


@app.route("GET", "/reasons")
async def reasons(ctx: Context, request: Request) -> Any:
    return views.tree(_book(ctx), request.language)


@app.route("GET", "/reports/{shift}")
async def shift_report(ctx: Context, request: Request) -> Any:
    """`format=pdf` or `xlsx`: as figures are now, for the machines that who asks may see."""
    book, form = _book(ctx), request.query.get("format", "pdf")
    if form not in ("pdf", "xlsx"):
        raise DataError(f"'{form[:20]}' is no format of a report; use pdf or xlsx")
    text = request.params["shift"]
    if not text.isdecimal() or len(text) > 12:
        raise NotFound(f"there is no shift '{text[:20]}'; GET /shifts names them")
    made = await report_of(ctx, book, int(text), await seen(book, request), request.language)
    data = pdf_of(ctx, made) if form == "pdf" else report.workbook(made, sayer(ctx, made.language))
    return Reply(data, PDF if form == "pdf" else XLSX, file=f"shift-{made.day}-{text}.{form}")


# --- what people enter -----------------------------------------------------------------------------------------------


@app.route("POST", "/reasons", action=Action.ACKNOWLEDGE)
async def give_reason(ctx: Context, request: Request) -> Any:
    """Why a machine stood still at `at`. A terminal says the same `client` and `entered` when it says it again."""
    book = _book(ctx)
    given = request.fields(unit=str, at=str, reason=_TEXT, client=str, entered=str)
    unit = await machine(book, request, given["unit"], Action.ACKNOWLEDGE)
    at_ns, code = min(parse_time_ns(given["at"]), book.ledger.horizon_ns - 1), given["reason"] or ""
    if code:
        book.config.reasons.number(code)
    if not views.stands(book, unit, at_ns):
        raise DataError(f"{given['unit']} did not stand still at {given['at']}; GET /stops says when it did")
    entry = entry_of(given, "reason", at_ns, request, word=code)
    return {"new": await book.enter(ctx, [entry]), "id": id_of(entry)}


@app.route("POST", "/counts", action=Action.ACKNOWLEDGE)
async def give_counts(ctx: Context, request: Request) -> Any:
    """Pieces at `at`: `produced` or `good` (whichever the machine counts), `scrap`, `rework`; in `more`, any quantity
    by the standard's symbol."""
    book = _book(ctx)
    given = request.fields(
        unit=str, at=str, client=str, entered=str, produced=_NUMBER, good=_NUMBER, scrap=_NUMBER, rework=_NUMBER,
        more=(dict, type(None)),
    )  # fmt: skip
    unit = await machine(book, request, given["unit"], Action.ACKNOWLEDGE)
    named = {"PQ": given["produced"], "GQ": given["good"], "SQ": given["scrap"], "RQ": given["rework"]}
    amounts = {**{name: value for name, value in named.items() if value is not None}, **(given["more"] or {})}
    derived = "GQ" if book.config.units[unit].counts == "produced" else "PQ"
    for name, value in amounts.items():
        if name not in Quantity.__members__ or Quantity[name] not in GIVEN or name == derived:
            raise DataError(f"'{str(name)[:20]}' is no quantity that is counted at {given['unit']}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
            raise DataError(f"{name} is a number")
    at_ns = parse_time_ns(given["at"])
    entries = [
        entry_of(given, "level" if name == "INV" else f"amount:{name}", at_ns, request, value=float(value))
        for name, value in amounts.items()
    ]
    if not entries:
        raise DataError("nothing is counted: give produced or good, scrap, rework or more")
    return {"new": await book.enter(ctx, entries), "ids": [id_of(entry) for entry in entries]}


@app.route("POST", "/states", action=Action.WRITE)
async def give_states(ctx: Context, request: Request) -> Any:
    """States of machines without status points: `[{unit, at, state, id}]`, whole or not at all."""
    book, rows = _book(ctx), request.json()
    if not isinstance(rows, list) or not 0 < len(rows) <= 10_000:
        raise DataError("a list of 1 to 10,000 states: [{unit, at, state, id}]")
    entries = []
    for at, row in enumerate(rows):
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("unit", "at", "state", "id")):
            raise DataError(f"state {at + 1}: unit, at, state and id are texts")
        unit = await machine(book, request, row["unit"], Action.WRITE)
        if book.config.units[unit].rule.inputs != ("state",) or row["state"].upper() not in State.__members__:
            raise DataError(
                f"state {at + 1}: '{row['state'][:20]}' is no state, or {row['unit']} has a rule of its own"
            )
        said = {**row, "client": request.user, "entered": row["id"]}
        value = float(State[row["state"].upper()])
        entries.append(entry_of(said, "state", parse_time_ns(row["at"]), request, value=value))
    return {"new": await book.enter(ctx, entries)}


@app.route("POST", "/corrections", action=Action.WRITE)
async def correct(ctx: Context, request: Request) -> Any:
    """A fact, by its `id`, is wrong: with `value` (or `reason`, or `order`) and `at` as they should be; with none of
    them it is taken back. Figures that were told say that they were restated."""
    book = _book(ctx)
    given = request.fields(id=str, at=_TEXT, value=_NUMBER, reason=_TEXT, client=str, entered=str)
    target = parse_id(given["id"])
    halves = [half - (1 << 64) if half >= 1 << 63 else half for half in target]
    old = (await ctx.tables.query("SELECT * FROM facts WHERE high = ? AND low = ?", *halves)).one()
    if old is None:
        raise NotFound(f"there is no fact '{given['id'][:40]}'; GET /facts names them")
    await machine(book, request, str(old["unit"]), Action.WRITE)
    if old["input"] == "void":
        raise Conflict("that fact takes another back; enter the other one anew")
    said = {**given, "unit": str(old["unit"])}
    kept = any(given[key] is not None for key in ("at", "value", "reason"))
    at_ns = parse_time_ns(given["at"]) if given["at"] else int(old["time_ns"] or 0)
    word = given["reason"] if given["reason"] is not None else old["word"]
    if old["input"] == "reason" and word:
        book.config.reasons.number(str(word))
    value = given["value"] if given["value"] is not None else old["value"]
    entry = entry_of(said, str(old["input"]) if kept else "void", at_ns, request, replaces=target)
    number = None if value is None else float(value)
    entry = replace(entry, value=number, word=None if word is None else str(word)) if kept else entry
    return {"new": await book.enter(ctx, [entry]), "id": id_of(entry)}


@app.route("GET", "/facts")
async def facts(ctx: Context, request: Request) -> Any:
    """What a machine's figures rest on: `unit`, `from`, `to`; at most 5,000, the newest first."""
    book = _book(ctx)
    unit = await machine(book, request, request.query.get("unit", ""), Action.VIEW)
    start_ns, end_ns = span(ctx, request)
    found = await ctx.tables.query(
        "SELECT * FROM facts WHERE unit = ? AND time_ns >= ? AND time_ns < ? ORDER BY time_ns DESC LIMIT 5000",
        book.config.units[unit].path, start_ns, end_ns,
    )  # fmt: skip
    kept = ("input", "time_ns", "value", "word", "recorded_ns", "came_ns", "actor")
    return [
        {"id": hex_id(row["high"], row["low"]), **{key: row[key] for key in kept},
         "replaces": hex_id(row["replaces_high"], row["replaces_low"]) if row["replaces_low"] else None}
        for row in found.dicts()
    ]  # fmt: skip


# --- orders, people, parts -------------------------------------------------------------------------------------------


@app.route("GET", "/orders")
async def orders(ctx: Context, _: Request) -> Any:
    found = await ctx.tables.query("SELECT * FROM jobs ORDER BY number DESC LIMIT 1000")
    return found.dicts()


@app.route("PUT", "/orders/{order}", action=Action.WRITE)
async def put_order(ctx: Context, request: Request) -> Any:
    """An operation of an order, new or corrected; `ideal_cycle` such as '30s', `quantity` and `scrap` as planned."""
    given = request.fields(
        operation=_TEXT, product=_TEXT, ideal_cycle=_TEXT, quantity=_NUMBER, scrap=_NUMBER, first=(bool, type(None)),
        due=_TEXT,
    )  # fmt: skip
    await request.check(Action.WRITE, "")
    job = Job(
        request.params["order"], given["operation"] or "", given["product"] or "",
        float(parse_duration_ns(given["ideal_cycle"])) if given["ideal_cycle"] else 0.0,
        float(given["quantity"] or 0), float(given["scrap"] or 0), given["first"] is not False,
    )  # fmt: skip
    due_ns = parse_time_ns(given["due"]) if given["due"] else None
    return {"number": await _book(ctx).set_job(ctx, job, due_ns)}


@app.route("POST", "/orders/run", action=Action.ACKNOWLEDGE)
async def run_order(ctx: Context, request: Request) -> Any:
    """From `at` on a machine works on an operation of an order; on none where `order` is left out."""
    book = _book(ctx)
    given = request.fields(unit=str, at=str, order=_TEXT, operation=_TEXT, client=str, entered=str)
    await machine(book, request, given["unit"], Action.ACKNOWLEDGE)
    word = job_word(Job(given["order"], given["operation"] or "")) if given["order"] else ""
    if word and word not in {job_word(job) for job in book.jobs}:
        raise DataError(f"order {given['order'][:60]} has no operation '{given['operation'] or ''}'; PUT it first")
    entry = entry_of(given, "order", parse_time_ns(given["at"]), request, word=word)
    return {"new": await book.enter(ctx, [entry]), "id": id_of(entry)}


@app.route("POST", "/hours", action=Action.ACKNOWLEDGE)
async def give_hours(ctx: Context, request: Request) -> Any:
    """A person was at a machine from when to when, or attended where `unit` is left out."""
    book = _book(ctx)
    given = request.fields(person=str, unit=_TEXT, start=str, end=str, client=str, entered=str)
    if given["unit"]:
        await machine(book, request, given["unit"], Action.ACKNOWLEDGE)
    values = (given["person"], given["unit"] or "", parse_time_ns(given["start"]), parse_time_ns(given["end"]))
    row = Statement(
        "INSERT OR IGNORE INTO hours VALUES (?, ?, ?, ?, ?, ?)", (*signed_identity(given, "hours"), *values)
    )
    return {"new": (await ctx.tables.write(row))[0]}


@app.route("POST", "/inspections", action=Action.ACKNOWLEDGE)
async def give_inspection(ctx: Context, request: Request) -> Any:
    """A numbered part was found good or not."""
    book = _book(ctx)
    given = request.fields(unit=str, serial=str, at=str, good=bool, client=str, entered=str)
    await machine(book, request, given["unit"], Action.ACKNOWLEDGE)
    values = (given["unit"], given["serial"], parse_time_ns(given["at"]), int(given["good"]))
    row = Statement(
        "INSERT OR IGNORE INTO inspections VALUES (?, ?, ?, ?, ?, ?)", (*signed_identity(given, "part"), *values)
    )
    return {"new": (await ctx.tables.write(row))[0]}
