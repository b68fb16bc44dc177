"""Outcomes: what the plant gained since a frozen, signed baseline, with intervals and the rows behind each number.

    points ─► nightly job ┐
    rows, factors ──► tables ──► draft ──► signature of the platform ──► a baseline that stays
                        │                                                  │
                        └──────────── rows of the report span ──► evaluate ┴──► GET /baselines/{name}/outcomes
                        └──────────── rows of today ────────────► standing ───► GET /baselines/{name}/verify

Who asks sees a baseline only where they may see all of its units; who sends or replaces rows needs the right on their
units, and who freezes, the right to configure them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from headrace.apps.outcomes.baseline import (
    Baseline,
    Standing,
    baseline_of,
    draft,
    message_of,
    rows_behind,
    standing,
)
from headrace.apps.outcomes.definition import Definition, Span, definition_of
from headrace.apps.outcomes.evaluate import evaluate
from headrace.apps.outcomes.facts import Facts, facts_of, values
from headrace.apps.outcomes.measures import MEASURES
from headrace.apps.outcomes.panel import Panel, panel_of, quantities_of, within
from headrace.apps.outcomes.sources import How, Source, rows_of
from headrace.apps.outcomes.store import Store
from headrace.apps.outcomes.wire import evaluation_out, factors_in, measures_out, rows_in, rows_out, said
from headrace.model.errors import Conflict, DataError, HeadraceError, NotFound
from headrace.model.time import SECOND_NS, format_time
from headrace.sdk.apps import Action, App, Context, Request, Signature

PAGE_MAX: Final = 5_000
DAYS_AGAIN: Final = 7

app = App()


@app.route("GET", "/measures")
async def measures(ctx: Context, request: Request) -> Any:
    return measures_out(ctx, request.language)


# --- rows and factors -------------------------------------------------------------------------------------------------


@app.route("POST", "/rows", action=Action.INGEST)
async def put_rows(ctx: Context, request: Request) -> Any:
    """All or none. The same rows again change nothing; a row of a known id with other contents replaces it, and what it
    was is kept."""
    store = Store(ctx)
    facts = rows_in(request.fields(rows=list)["rows"])
    await _check(request, Action.INGEST, np.unique(facts.unit).tolist())
    await _check(request, Action.INGEST, await store.units_of(facts.id.tolist()))
    put, replaced = await store.put_rows(facts, request.user)
    return {"rows": len(facts), "new": put - replaced, "replaced": replaced, "unchanged": len(facts) - put}


@app.route("GET", "/rows/changes")
async def row_changes(ctx: Context, request: Request) -> Any:
    """What the row `id` was before, the newest first."""
    store, row_id = Store(ctx), request.query.get("id", "")
    changes = await store.changes(row_id)
    await _check(request, Action.VIEW, {row["unit"] for row in changes} | await store.units_of([row_id]))
    return [
        {
            **{key: value for key, value in row.items() if not key.endswith("_ns")},
            **{key.removesuffix("_ns"): format_time(value) for key, value in row.items() if key.endswith("_ns")},
        }
        for row in changes
    ]


@app.route("PUT", "/factors", action=Action.CONFIGURE)
async def put_factors(ctx: Context, request: Request) -> Any:
    factors = factors_in(request.fields(factors=list)["factors"])
    return {"factors": len(factors), "changed": await Store(ctx).put_factors(factors, request.user)}


@app.route("GET", "/factors")
async def get_factors(ctx: Context, request: Request) -> Any:
    del request
    return [
        {"name": row["name"], "value": row["value"], "source": row["source"], "told": format_time(row["told_ns"]),
         "told_by": row["told_by"]}
        for row in await Store(ctx).factor_rows()
    ]  # fmt: skip


# --- rows from points -------------------------------------------------------------------------------------------------


@app.job("rows-from-points", at="01:00")
async def rows_from_points(ctx: Context, due_ns: int) -> None:
    """Of the day before, and again of the week, as samples come late; what stays the same is no change."""
    zone = ZoneInfo(ctx.settings["zone"])
    today = datetime.fromtimestamp(due_ns / SECOND_NS, zone).date()
    made: list[dict[str, Any]] = []
    for each in ctx.settings["sources"] or ():
        source = Source(each["quantity"], each["unit"], each["point"], How(each["how"]), each["factor"] or "")
        try:
            for back in range(DAYS_AGAIN, 0, -1):
                made += facts_of(await rows_of(ctx, source, today - timedelta(days=back), zone)).rows()
        except HeadraceError as error:  # the others are made all the same
            ctx.log(f"{source.quantity} of {source.unit} from {source.point}: {error.message}")
    await Store(ctx).put_rows(facts_of(made), "rows-from-points")


# --- baselines --------------------------------------------------------------------------------------------------------


@app.route("POST", "/baselines/preview", action=Action.CONFIGURE)
async def preview(ctx: Context, request: Request) -> Any:
    """What would be frozen: figures of the baseline, and the smallest effects that could be shown. Nothing is kept, and
    nothing of the report span is looked at."""
    document, _ = await _drafted(ctx, request)
    shown = ("definition", "figures", "detectable", "factors")
    return {key: document[key] for key in shown} | {"rows": document["rows"]["count"]}


@app.route("POST", "/baselines", action=Action.CONFIGURE)
async def freeze(ctx: Context, request: Request) -> Any:
    store = Store(ctx)
    document, at_ns = await _drafted(ctx, request)
    if await store.has(document["definition"]["name"]):
        raise Conflict(
            f"there is a baseline '{document['definition']['name']}' already, and it stays as it is: freeze under "
            "another name"
        )
    signature = await ctx.signer.sign(message_of(document))
    signed = {
        **document,
        "signature": {"key": signature.key, "value": signature.value, "time_ns": signature.time_ns},
    }
    await store.keep(signed, at_ns)
    return signed


@app.route("GET", "/baselines")
async def baselines(ctx: Context, request: Request) -> Any:
    """All that were ever frozen and that who asks may see, the newest first."""
    found = []
    for row in await Store(ctx).documents():
        if await _may_all(request, row["definition"]["units"]):
            frozen_ns = row.pop("frozen_ns")
            found.append({**row, "frozen_at": format_time(frozen_ns)})
    return found


@app.route("GET", "/baselines/{name}")
async def baseline(ctx: Context, request: Request) -> Any:
    """The signed document as it was frozen."""
    return (await _found(ctx, request)).document


@app.route("GET", "/baselines/{name}/verify")
async def verify(ctx: Context, request: Request) -> Any:
    frozen = await _found(ctx, request)
    stands = await _standing(ctx, frozen)
    return {
        "matches": stands.matches,
        "signed": stands.signed,
        "rows_frozen": stands.rows_frozen,
        "rows_now": stands.rows_now,
        "periods_changed": list(stands.periods),
        "factors_changed": [{"name": name, "frozen": was, "now": now} for name, was, now in stands.factors],
        "reasons": said(ctx, request.language, stands.reasons()),
    }


@app.route("GET", "/outcomes")
async def newest_outcomes(ctx: Context, request: Request) -> Any:
    """Of the `baseline` that is named, else of the newest that who asks may see; nothing where none is frozen."""
    named = request.query.get("baseline", "")
    for row in await Store(ctx).documents():
        if named in ("", row["definition"]["name"]) and await _may_all(request, row["definition"]["units"]):
            asked = replace(request, params={"name": row["definition"]["name"]})
            return await _outcomes(ctx, await _found(ctx, asked), request.language)
    if named:
        raise NotFound(f"there is no baseline '{named[:60]}'; see GET /baselines")
    return {"name": ctx.say("none", request.language), "outcomes": [], "cautions": []}


@app.route("GET", "/baselines/{name}/outcomes")
async def outcomes(ctx: Context, request: Request) -> Any:
    return await _outcomes(ctx, await _found(ctx, request), request.language)


async def _outcomes(ctx: Context, frozen: Baseline, language: str) -> dict[str, Any]:
    evaluation = evaluate(
        frozen,
        await _facts(ctx, frozen.definition, frozen.definition.report),
        await Store(ctx).factors(),
        now_ns=ctx.now_ns(),
        standing=await _standing(ctx, frozen),
    )
    return {
        "name": frozen.definition.name,
        "definition": frozen.definition.document(),
        "frozen_at": frozen.document["frozen_at"],
        "frozen_by": frozen.document["frozen_by"],
        **evaluation_out(ctx, language, evaluation),
    }


@app.route("GET", "/baselines/{name}/rows")
async def rows(ctx: Context, request: Request) -> Any:
    """The rows behind a number: of `measure`, its `part` (numerator, denominator), in the `span` (baseline, report).

    `sum` is of the rows that count, as they are today; `frozen` what the baseline froze."""
    frozen = await _found(ctx, request)
    definition = frozen.definition
    measure = _choice(request, "measure", [each.id for each in definition.family])
    part = _choice(request, "part", ["numerator", "denominator"])
    side = _choice(request, "span", ["baseline", "report"])
    offset, limit = request.number("offset", 0, 0, 10**9), request.number("limit", 200, 1, PAGE_MAX)
    span = definition.baseline if side == "baseline" else definition.report
    kind = MEASURES[measure]
    quantity = str(kind.numerator if part == "numerator" else kind.denominator)
    facts = await _facts(ctx, definition, span)
    factors = {**await Store(ctx).factors(), **frozen.factors}
    panel = frozen.panel if side == "baseline" else panel_of(definition, span, within(definition, span, facts), factors)
    found = rows_behind(definition, span, facts, quantity)
    amounts = values(found, factors)
    counted = _known(panel, measure)[np.searchsorted(panel.edges_ns, found.start_ns, "right") - 1]
    page = slice(offset, offset + limit)
    figure = frozen.document["figures"][measure][part] if side == "baseline" else None
    return {
        "measure": measure,
        "quantity": quantity,
        "span": side,
        "total": len(found),
        "sum": math.fsum(amounts[counted].tolist()),
        "frozen": figure,
        "rows": rows_out(found.pick(np.arange(len(found))[page]), amounts[page], counted[page]),
        "next_offset": offset + limit if offset + limit < len(found) else None,
    }


# --- how --------------------------------------------------------------------------------------------------------------


async def _drafted(ctx: Context, request: Request) -> tuple[dict[str, Any], int]:
    definition = definition_of(request.json())
    await _check(request, Action.CONFIGURE, definition.units)
    facts = await _facts(ctx, definition, definition.baseline)
    at_ns = ctx.now_ns()
    return draft(definition, facts, await Store(ctx).factors(), by=request.user, at_ns=at_ns), at_ns


async def _found(ctx: Context, request: Request) -> Baseline:
    """Raises: NotFound also for one that who asks may not see."""
    name = request.params["name"]
    found = baseline_of(await Store(ctx).document(name))
    if not await _may_all(request, found.definition.units):
        raise NotFound(f"there is no baseline '{name[:60]}'; see GET /baselines")
    return found


async def _facts(ctx: Context, definition: Definition, span: Span) -> Facts:
    edges_ns = definition.edges_ns(span)
    return await Store(ctx).facts(quantities_of(definition), int(edges_ns[0]), int(edges_ns[-1]))


async def _standing(ctx: Context, frozen: Baseline) -> Standing:
    signature = _signature(frozen)
    signed = signature is not None and await ctx.signer.verify(message_of(frozen.document), signature)
    facts = await _facts(ctx, frozen.definition, frozen.definition.baseline)
    return standing(frozen, facts, await Store(ctx).factors(), signed=signed)


def _signature(frozen: Baseline) -> Signature | None:
    """None where the document has none that could be one."""
    match frozen.document.get("signature"):
        case {"key": str(key), "value": str(value), "time_ns": int(time_ns)}:
            return Signature(key, value, time_ns)
    return None


def _known(panel: Panel, measure: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return ~np.isnan(panel.pair(MEASURES[measure])[0])


def _choice(request: Request, name: str, choices: list[str]) -> str:
    given = request.query.get(name, "")
    if given not in choices:
        raise DataError(f"'{name}' is one of {', '.join(choices)}, not '{given[:60]}'")
    return given


async def _check(request: Request, action: Action, units: Iterable[str]) -> None:
    for unit in sorted(units):
        await request.check(action, unit)


async def _may_all(request: Request, units: Iterable[str]) -> bool:
    for unit in units:
        if not await request.may(Action.VIEW, unit):
            return False
    return True
