"""Energy and carbon, as an app of Headrace.

    samples of meters ── each 15 min ──► quarters.py ──► routes_meters: totals, balance, allocation, demand, cost
    documents, factors, outputs ───────► accounts.py ──► routes_accounts: standard coal, carbon, intensity
                                                     └─► routes_performance: baselines, footprints
    each hour: days whose samples changed     each night: balances of yesterday, statements restated ──► events
    first of the month: the month before is stated ──► events

Nothing is held in memory: each call begins at the settings and tables, so a crash loses nothing.
"""

from __future__ import annotations

import os.path
from datetime import timedelta

from headrace.apps.energy import routes_accounts, routes_meters, routes_performance, statements
from headrace.apps.energy.accounts import Accounts
from headrace.apps.energy.asking import accounts_of
from headrace.apps.energy.balance import balances
from headrace.apps.energy.quarters import look_again, work_up
from headrace.apps.energy.uses import midnight_ns
from headrace.model.errors import Conflict, DataError
from headrace.sdk.apps import App, Context

app = App()
routes_meters.declare(app)
routes_accounts.declare(app)
routes_performance.declare(app)

FIRST_DAYS = 31


@app.on_start
async def start(ctx: Context) -> None:
    """Settings that cannot be are said at once, not at the first question."""
    accounts = await accounts_of(ctx)
    ctx.log(ctx.say("log.started", meters=sum(1 for _ in accounts.declared.tree)))


@app.job("quarters", every="15min")
async def quarters(ctx: Context, due_ns: int) -> None:
    """What meters measured since."""
    del due_ns
    accounts = await accounts_of(ctx)
    await work_up(ctx, accounts.declared, _first_ns(accounts), ctx.now_ns())


@app.job("late", every="1h")
async def late(ctx: Context, due_ns: int) -> None:
    """Days whose samples changed after they ended are worked out again."""
    del due_ns
    accounts = await accounts_of(ctx)
    if await look_again(ctx, accounts.declared, _first_ns(accounts), ctx.now_ns()):
        await work_up(ctx, accounts.declared, _first_ns(accounts), ctx.now_ns())


@app.job("nightly", at="02:30")
async def nightly(ctx: Context, due_ns: int) -> None:
    """Balances of yesterday that are none, and statements that come out otherwise now."""
    accounts = await accounts_of(ctx)
    today = accounts.today()
    span = accounts.span(today - timedelta(days=1), today)
    tree = accounts.declared.tree
    for one in balances(tree, await accounts.flows(*span), *span, allowed_share=accounts.declared.allowed_share):
        if one.verdict in ("exceeded", "unexplained"):
            subject = tree[one.meter].point or _site(accounts)
            await ctx.events.publish("energy.unbalanced", subject, one.told(), time_ns=due_ns)
    for id, told in await statements.restate_all(accounts):
        ctx.log(ctx.say("log.restated", id=id))
        await ctx.events.publish("energy.restated", _site(accounts), {"id": id, **told.told()}, time_ns=due_ns)


@app.job("month", at="03:00", days="1")
async def month(ctx: Context, due_ns: int) -> None:
    """States the month before: standard coal and carbon."""
    accounts = await accounts_of(ctx)
    end = accounts.today().replace(day=1)
    start = (end - timedelta(days=1)).replace(day=1)
    for kind in ("coal", "carbon-location", "carbon-market"):
        try:
            told = await statements.tell(accounts, kind, start, end, ctx.app)
        except (DataError, Conflict) as error:
            ctx.log(error.message)
            continue
        await ctx.events.publish("energy.stated", _site(accounts), told, time_ns=due_ns)


def _first_ns(accounts: Accounts) -> int:
    """When accounting begins, where a meter is new."""
    since = accounts.declared.since or accounts.today() - timedelta(days=FIRST_DAYS)
    return midnight_ns(since, accounts.declared.zone)


def _site(accounts: Accounts) -> str:
    """The asset that all meters of the account are in; where there is none, the first of their points."""
    points = sorted(meter.point for meter in accounts.declared.tree if meter.point)
    if not points:
        raise DataError("no meter has a point, so there is no part of the plant to tell of")
    return os.path.commonpath([point.rpartition("/")[0] or point for point in points]) or points[0]
