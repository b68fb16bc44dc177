"""Routes of accounts: standard coal, carbon, intensity, what is entered for them, statements and their restating."""

from __future__ import annotations

from typing import Any

from headrace.apps.energy import statements
from headrace.apps.energy.asking import accounts_of, as_list, check_whole, day_asked, days_asked, fields
from headrace.apps.energy.declared import day_of
from headrace.apps.energy.entries import (
    DOCUMENT,
    FACTOR,
    INDEX,
    OUTPUT,
    document_of,
    enter,
    entries,
    factor_of,
    withdraw,
)
from headrace.apps.energy.factors import FactorBook
from headrace.apps.energy.library import area_names, carriers
from headrace.model.errors import DataError, NotFound
from headrace.sdk.apps import Action, App, Context, Request

WITHDRAWN = {"documents": DOCUMENT, "outputs": OUTPUT, "indices": INDEX, "factors": FACTOR}


def declare(app: App) -> None:
    """The routes of accounts."""
    app.route("GET", "/summary")(summary)
    app.route("GET", "/coal")(coal)
    app.route("GET", "/carbon")(carbon)
    app.route("GET", "/intensity")(intensity)
    app.route("GET", "/factors")(factors)
    app.route("GET", "/catalogue")(catalogue)
    app.route("POST", "/factors", action=Action.CONFIGURE)(add_factor)
    app.route("GET", "/documents")(documents)
    app.route("POST", "/documents", action=Action.WRITE)(add_document)
    app.route("GET", "/outputs")(outputs)
    app.route("POST", "/outputs", action=Action.WRITE)(add_output)
    app.route("POST", "/indices", action=Action.WRITE)(add_index)
    app.route("DELETE", "/entries/{kind}/{id}", action=Action.CONFIGURE)(take_back)
    app.route("GET", "/statements")(told)
    app.route("POST", "/statements", action=Action.WRITE)(tell)
    app.route("GET", "/statements/{id}")(told_again)


async def summary(ctx: Context, request: Request) -> object:
    """Totals of some days, each with how much of it was measured: what the app's page shows."""
    accounts = await accounts_of(ctx)
    await check_whole(request, accounts)
    start, end = days_asked(request, accounts)
    known = day_asked(request, "known")
    totals = {method: (await accounts.coal(start, end, method, known)).total for method in ("calorific", "equivalent")}
    emitted = await accounts.carbon(start, end, known)
    totals |= {f"scope-{scope}": total for scope, total in emitted.totals.items()}
    totals |= {basis: emitted.sum(basis) for basis in ("location", "market")}
    rows: list[dict[str, Any]] = []
    for key, total in totals.items():
        rows.append({"key": key, "title": ctx.say(f"summary.{key}", request.language), **total.told()})
        rows[-1]["missing"] = ", ".join(total.missing)
    row = {"key": "intensity", "title": ctx.say("summary.intensity", request.language)}
    try:
        told = (await accounts.intensity(start, end, "calorific", None, known)).told()
        energy = {**told["energy"], "missing": ", ".join(told["energy"]["missing"])}
        rows.append({**row, **energy, "value": told["value"], "unit": told["unit"]})
    except DataError as error:  # without a value of output there is none
        rows.append({**row, "value": None, "unit": "", "completeness": 0.0, "missing": error.message})
    return {"start": str(start), "end": str(end), "totals": rows}


async def coal(ctx: Context, request: Request) -> object:
    """Comprehensive energy by `method` (calorific, equivalent; both without), as known on `known`."""
    accounts = await accounts_of(ctx)
    await check_whole(request, accounts)
    start, end = days_asked(request, accounts)
    known = day_asked(request, "known")
    methods = [request.query["method"]] if "method" in request.query else ["calorific", "equivalent"]
    return {
        "start": str(start),
        "end": str(end),
        **{method: (await accounts.coal(start, end, method, known)).told() for method in methods},
    }


async def carbon(ctx: Context, request: Request) -> object:
    """Greenhouse gases by scope, as known on `known`."""
    accounts = await accounts_of(ctx)
    await check_whole(request, accounts)
    start, end = days_asked(request, accounts)
    told = await accounts.carbon(start, end, day_asked(request, "known"))
    return {"start": str(start), "end": str(end), **told.told()}


async def intensity(ctx: Context, request: Request) -> object:
    """Standard coal per 10,000 yuan of output; at constant prices of `base`."""
    accounts = await accounts_of(ctx)
    await check_whole(request, accounts)
    start, end = days_asked(request, accounts)
    method = request.query.get("method", "calorific")
    found = await accounts.intensity(start, end, method, request.query.get("base"), day_asked(request, "known"))
    return found.told()


async def factors(ctx: Context, request: Request) -> object:
    """All factors, those that we ship and those that were entered; of a `kind` or `carrier`."""
    book = await (await accounts_of(ctx)).book()
    kind, carrier = request.query.get("kind"), request.query.get("carrier")
    return [one.told() for one in book if (not kind or one.kind == kind) and (not carrier or one.carrier == carrier)]


async def catalogue(ctx: Context, request: Request) -> object:
    """Names of carriers and areas, in the language of who asks."""
    del ctx
    return {
        "carriers": {
            key: {"title": one[request.language], "secondary": one["secondary"]} for key, one in carriers().items()
        },
        "areas": {key: one[request.language] for key, one in area_names().items()},
    }


async def add_factor(ctx: Context, request: Request) -> object:
    """A factor with its source. One of a key that is there already is a conflict: a correction has its own day."""
    row = fields(
        request.json(), "a factor", kind=str, carrier=str, value=float, unit=str, per=str, since=str, until_=str,
        published=str, area_=str, edition_=str, source=str, clause_=str, checked_=str,
    )  # fmt: skip
    factor = factor_of(row)
    FactorBook([*await (await accounts_of(ctx)).book(), factor])
    return await enter(ctx, FACTOR, factor.key.replace("/", "."), request.user, row)


async def documents(ctx: Context, request: Request) -> object:
    accounts = await accounts_of(ctx)
    await check_whole(request, accounts)
    return await entries(ctx, DOCUMENT)


async def add_document(ctx: Context, request: Request) -> object:
    """Amounts of invoices and deliveries: {id, source, carrier, role, start, end, value, unit}."""
    made = []
    for row in as_list(request, "documents"):
        one = fields(
            row, "a document", id=str, source=str, carrier=str, role=str, start=str, end=str, value=float, unit=str
        )  # fmt: skip
        document_of(one)
        made.append(await enter(ctx, DOCUMENT, one.pop("id"), request.user, one))
    return made


async def outputs(ctx: Context, request: Request) -> object:
    await check_whole(request, await accounts_of(ctx))
    return {"outputs": await entries(ctx, OUTPUT), "indices": await entries(ctx, INDEX)}


async def add_output(ctx: Context, request: Request) -> object:
    """What was made: {period, start, end, value_yuan}, at the prices of its period."""
    one = fields(request.json(), "an output", period=str, start=str, end=str, value_yuan=float)
    if day_of(one["end"], "the end of an output") <= day_of(one["start"], "the start of an output"):
        raise DataError("an output ends before it begins; the end is the day after the last")
    if not one["value_yuan"] >= 0:
        raise DataError("the value of an output is 0 or more")
    return await enter(ctx, OUTPUT, one["period"], request.user, one)


async def add_index(ctx: Context, request: Request) -> object:
    """The index of producer prices of a period: {period, index}."""
    one = fields(request.json(), "a price index", period=str, index=float)
    if not one["index"] > 0:
        raise DataError("a price index is more than 0")
    return await enter(ctx, INDEX, one["period"], request.user, one)


async def take_back(ctx: Context, request: Request) -> object:
    """An entry counts no more; statements that were told with it stay, and are restated."""
    kind = WITHDRAWN.get(request.params["kind"])
    if kind is None:
        raise NotFound(f"there are no entries '{request.params['kind']}'; there are {', '.join(WITHDRAWN)}")
    await withdraw(ctx, kind, request.params["id"])
    return None


async def tell(ctx: Context, request: Request) -> object:
    """States a total of some days, and keeps it: {kind, start, end}."""
    accounts = await accounts_of(ctx)
    await check_whole(request, accounts)
    one = fields(request.json(), "a statement", kind=str, start=str, end=str)
    start, end = day_of(one["start"], "'start'"), day_of(one["end"], "'end'")
    return await statements.tell(accounts, one["kind"], start, end, request.user)


async def told(ctx: Context, request: Request) -> object:
    accounts = await accounts_of(ctx)
    await check_whole(request, accounts)
    return await statements.statements(accounts)


async def told_again(ctx: Context, request: Request) -> object:
    """A statement, and beside it what is known on `known` (today), with what made the difference."""
    accounts = await accounts_of(ctx)
    await check_whole(request, accounts)
    found: dict[str, Any] = (
        await statements.told_again(accounts, request.params["id"], day_asked(request, "known"))
    ).told()
    return found
