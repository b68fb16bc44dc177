"""Routes of what meters say: totals, series, balances, allocation, demand and cost, each with its completeness."""

from __future__ import annotations

import json
from datetime import date, timedelta
from itertools import pairwise

from headrace.apps.energy.accounts import Accounts
from headrace.apps.energy.asking import (
    accounts_of,
    as_list,
    check_seen,
    days_asked,
    fields,
    may_see,
    meter_asked,
    points_of,
)
from headrace.apps.energy.balance import balance
from headrace.apps.energy.demand import maximum_demand
from headrace.apps.energy.quarters import QUARTER_NS, rewind
from headrace.apps.energy.sampling import problems_of
from headrace.apps.energy.tariffs import costs, demand_charge
from headrace.apps.energy.uses import midnight_ns
from headrace.model.errors import Conflict, DataError
from headrace.model.time import HOUR_NS, format_time, parse_time_ns
from headrace.sdk.apps import Action, App, Context, Request, Statement

SERIES_MAX = 50_000


def declare(app: App) -> None:
    """The routes of meters."""
    app.route("GET", "/meters")(meters)
    app.route("GET", "/totals")(totals)
    app.route("GET", "/series")(series)
    app.route("GET", "/balance")(balanced)
    app.route("GET", "/allocation/{dimension}")(allocation)
    app.route("GET", "/demand")(demand)
    app.route("GET", "/costs")(cost)
    app.route("POST", "/claims", action=Action.WRITE)(claim)
    app.route("POST", "/exchanges", action=Action.MAINTAIN)(exchange)
    app.route("POST", "/rework", action=Action.MAINTAIN)(rework)


async def meters(ctx: Context, request: Request) -> object:
    """The tree as who asks may see it, how far each is worked out, and what was not believed."""
    accounts = await accounts_of(ctx)
    tree = accounts.declared.tree
    marks = {str(row[0]): row for row in (await ctx.tables.query("SELECT meter, last_ns, oddities FROM marks")).rows}
    problems = await problems_of(ctx, [meter for meter in tree if meter.point])
    told = []
    for meter in tree:
        if not await may_see(request, tree, meter.name):
            continue
        mark = marks.get(meter.name)
        told.append(
            {
                "name": meter.name,
                "carrier": meter.carrier,
                "unit": meter.unit,
                "role": role.value if (role := accounts.declared.roles.get(meter.name)) else "part",
                "point": meter.point,
                "parent": meter.parent,
                "parts": [[sign, name] for sign, name in meter.parts],
                "children": [child.name for child in tree.children(meter.name)],
                "worked_out_to": format_time(mark[1]) if mark is not None and isinstance(mark[1], int) else None,
                "problem": problems.get(meter.name, ""),
                "oddities": json.loads(str(mark[2])) if mark is not None else {},
            }
        )
    return told


async def totals(ctx: Context, request: Request) -> object:
    """Each meter over some days."""
    accounts = await accounts_of(ctx)
    start, end = days_asked(request, accounts)
    span = accounts.span(start, end)
    flows = await accounts.flows(*span)
    return {
        "start": str(start),
        "end": str(end),
        "meters": [
            {"meter": name, "carrier": accounts.declared.tree[name].carrier, "total": flow.total(*span).told()}
            for name, flow in flows.items()
            if await may_see(request, accounts.declared.tree, name)
        ],
    }


async def series(ctx: Context, request: Request) -> object:
    """A meter by `step`: 15min, 1h, 1d or 1mo, days and months those of the plant."""
    accounts = await accounts_of(ctx)
    name = meter_asked(request, accounts)
    await check_seen(request, accounts, [name])
    start, end = days_asked(request, accounts)
    edges = _edges(accounts, start, end, request.query.get("step", "1d"))
    flow = await accounts.flow(name, edges[0], edges[-1])
    return {
        "meter": name,
        "steps": [
            {"start": format_time(at), "total": total.told()}
            for at, total in zip(edges, flow.totals(edges), strict=False)
        ],
    }


async def balanced(ctx: Context, request: Request) -> object:
    """Every meter that has children, against them."""
    accounts = await accounts_of(ctx)
    span = accounts.span(*days_asked(request, accounts))
    tree = accounts.declared.tree
    flows = await accounts.flows(*span)
    told = []
    for meter in tree:
        below = tree.children(meter.name)
        if below and all([await may_see(request, tree, one.name) for one in (meter, *below)]):
            found = balance(tree, flows, meter.name, *span, allowed_share=accounts.declared.allowed_share)
            told.append({**found.told(), "said": ctx.say(f"verdict.{found.verdict}", request.language)})
    return told


async def allocation(ctx: Context, request: Request) -> object:
    """One meter by `shift`, or by a tag of its claims: `order`, `product`, `machine`."""
    accounts = await accounts_of(ctx)
    name = meter_asked(request, accounts)
    await check_seen(request, accounts, [name])
    start, end = days_asked(request, accounts)
    dimension = request.params["dimension"]
    told, by = await accounts.allocation(name, dimension, start, end)
    return {
        "meter": name,
        "by": dimension,
        "whole": told.whole.told(),
        "parts": [{dimension: key, "total": total.told()} for key, total in by.items() if key],
        "unallocated": by[""].told() if "" in by else None,
    }


async def demand(ctx: Context, request: Request) -> object:
    """The maximum demand of a meter in windows on the clock; each month by itself."""
    accounts = await accounts_of(ctx)
    name = meter_asked(request, accounts)
    await check_seen(request, accounts, [name])
    start, end = days_asked(request, accounts)
    edges = _edges(accounts, start, end, "1mo")
    flow = await accounts.flow(name, edges[0], edges[-1])
    window = request.number("window", accounts.declared.window_min, 15, 60)
    if window % 15:
        raise DataError("windows of demand are of 15, 30, 45 or 60 minutes: quarters of an hour are kept")
    tariffs = accounts.declared.tariffs
    told = []
    for first, behind in pairwise(edges):
        found = maximum_demand(flow, first, behind, window_min=window)
        charge = None if found.kw is None or not tariffs else demand_charge(tariffs[-1], found.kw)
        told.append({"month": format_time(first), **found.told(), "charge": charge})
    return {"meter": name, "months": told}


async def cost(ctx: Context, request: Request) -> object:
    """What a meter's electricity costs, by tariff and period."""
    accounts = await accounts_of(ctx)
    name = meter_asked(request, accounts)
    await check_seen(request, accounts, [name])
    span = accounts.span(*days_asked(request, accounts))
    flow = await accounts.flow(name, *span)
    parts = costs(flow, accounts.declared.tariffs, *span)
    known = [part.amount for part in parts if part.amount is not None]
    return {
        "meter": name,
        "periods": [part.told() for part in parts],
        "amount": sum(known) if known else None,
        "currency": ctx.settings["currency"],
        "energy": flow.total(*span).told(),
    }


async def claim(ctx: Context, request: Request) -> object:
    """Who ran at a meter: {id, meter, start, end, order, product, machine, weight}; sent again, it is there once."""
    accounts = await accounts_of(ctx)
    rows = []
    for row in as_list(request, "claims"):
        one = fields(
            row, "a claim", id=str, meter=str, start=str, end=str, order_=str, product_=str, machine_=str, weight_=float
        )  # fmt: skip
        accounts.declared.tree[one["meter"]]
        start_ns, end_ns, weight = parse_time_ns(one["start"]), parse_time_ns(one["end"]), one.get("weight", 1.0)
        if end_ns <= start_ns or not weight > 0:
            raise DataError(f"claim {one['id']} ends before it begins, or weighs nothing")
        tags = {name: one[name] for name in ("order", "product", "machine") if name in one}
        rows.append((one["id"], one["meter"], start_ns, end_ns, weight, json.dumps(tags, sort_keys=True)))
    await ctx.tables.write(
        Statement(
            "INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET meter = excluded.meter, "
            "start_ns = excluded.start_ns, end_ns = excluded.end_ns, weight = excluded.weight, tags = excluded.tags",
            many=rows,
        )
    )
    return {"claims": len(rows)}


async def exchange(ctx: Context, request: Request) -> object:
    """A meter was exchanged: {meter, at, last, first}. Its energy is worked out again from there on."""
    accounts = await accounts_of(ctx)
    one = fields(request.json(), "an exchange", meter=str, at=str, last=float, first_=float)
    meter = accounts.declared.tree[one["meter"]]
    if meter.reads != "counter" or meter.is_virtual:
        raise DataError(f"meter {meter.name} is no counter, so its exchange changes nothing")
    at_ns, first = parse_time_ns(one["at"]), one.get("first", 0.0)
    held = (
        await ctx.tables.query("SELECT last, first FROM exchanges WHERE meter = ? AND at_ns = ?", meter.name, at_ns)
    ).one()
    if held is not None and (held["last"], held["first"]) != (one["last"], first):
        raise Conflict(f"another exchange of meter {meter.name} at {one['at']} is entered already")
    await ctx.tables.write(
        Statement(
            "INSERT INTO exchanges VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (meter.name, at_ns, one["last"], first, request.user),
        )
    )
    await rewind(ctx, meter.name, at_ns)
    return {"meter": meter.name, "at": one["at"], "last": one["last"], "first": first}


async def rework(ctx: Context, request: Request) -> object:
    """Works a meter out again from a time on: {meter, start}. For samples that were corrected more than a month ago."""
    accounts = await accounts_of(ctx)
    one = fields(request.json(), "what to rework", meter=str, start=str)
    start_ns = parse_time_ns(one["start"])
    tree = accounts.declared.tree
    for point in points_of(tree, one["meter"]):
        await rewind(ctx, tree.points[point].name, start_ns)
    return {"meter": one["meter"], "start": format_time(start_ns)}


def _edges(accounts: Accounts, start: date, end: date, step: str) -> list[int]:
    """Raises: DataError for another step, or too many of them."""
    start_ns, end_ns = accounts.span(start, end)
    if step in ("15min", "1h"):
        width = QUARTER_NS if step == "15min" else HOUR_NS
        if (end_ns - start_ns) // width > SERIES_MAX:
            raise DataError(f"that are more than {SERIES_MAX:,} steps; ask for less time, or longer steps")
        return [*range(start_ns, end_ns, width), end_ns]
    if step not in ("1d", "1mo"):
        raise DataError(f"a step is 15min, 1h, 1d or 1mo, not '{step[:20]}'")
    days = [start]
    while days[-1] < end:
        day = days[-1]
        later = day + timedelta(days=1) if step == "1d" else (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        days.append(min(later, end))
    return [midnight_ns(day, accounts.declared.zone) for day in days]
