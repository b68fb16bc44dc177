"""Routes of baselines (ISO 50001) and product footprints."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from headrace.apps.energy import baseline as baselines
from headrace.apps.energy.accounts import Accounts
from headrace.apps.energy.asking import accounts_of, as_list, check_seen, check_whole, fields
from headrace.apps.energy.declared import day_of
from headrace.apps.energy.entries import (
    BASELINE,
    FOOTPRINT,
    baseline_body,
    baseline_of,
    enter,
    entries,
    entry,
    finite,
)
from headrace.apps.energy.entries import (
    replace as keep,
)
from headrace.apps.energy.footprint import (
    Company,
    Footprint,
    Input,
    Place,
    Product,
    Quality,
    material_input,
    production_input,
)
from headrace.apps.energy.forms import catenax, pact
from headrace.apps.energy.uses import midnight_ns
from headrace.model.errors import Conflict, DataError, NotFound
from headrace.model.time import SECOND_NS
from headrace.sdk.apps import Action, App, Context, Request

FORMS = {"pact": pact, "catenax": catenax}


def declare(app: App) -> None:
    """The routes of baselines and footprints."""
    app.route("GET", "/baselines")(all_baselines)
    app.route("POST", "/baselines", action=Action.CONFIGURE)(fit)
    app.route("POST", "/baselines/{name}/freeze", action=Action.CONFIGURE)(freeze)
    app.route("POST", "/baselines/{name}/adjustments", action=Action.CONFIGURE)(adjust)
    app.route("POST", "/baselines/{name}/performance", action=Action.WRITE)(perform)
    app.route("GET", "/footprints")(all_footprints)
    app.route("POST", "/footprints", action=Action.CONFIGURE)(make_footprint)
    app.route("GET", "/footprints/{id}/{form}")(footprint)


# --- baselines
# ---------------------------------------------------------------------------------------------------------


async def all_baselines(ctx: Context, request: Request) -> object:
    accounts = await accounts_of(ctx)
    found = []
    for one in await entries(ctx, BASELINE):
        await check_seen(request, accounts, [one["meter"]])
        found.append({"meter": one["meter"], **finite(baselines.told(baseline_of(one)))})
    return found


async def fit(ctx: Context, request: Request) -> object:
    """A baseline of a meter over periods with their variables: {name, meter, periods: [{start, end, values: {…}}]}.

    A period of which less than 98 % was seen is refused: a baseline lasts for years.
    """
    accounts = await accounts_of(ctx)
    row = fields(request.json(), "a baseline", name=str, meter=str, periods=list)
    meter = accounts.declared.tree[row["meter"]]
    await check_seen(request, accounts, [meter.name])
    energy, values, _ = await _periods(accounts, meter.name, row["periods"], whole=True)
    made = baselines.fit(row["name"], meter.unit, energy, values)
    await enter(ctx, BASELINE, row["name"], request.user, {"meter": meter.name, **baseline_body(made)})
    return finite(baselines.told(made))


async def freeze(ctx: Context, request: Request) -> object:
    """Binding from today on."""
    name, body = request.params["name"], await entry(ctx, BASELINE, request.params["name"])
    frozen = baseline_of(body).freeze((await accounts_of(ctx)).today())
    await keep(ctx, BASELINE, name, {"meter": body["meter"], **baseline_body(frozen)})
    return finite(baselines.told(frozen))


async def adjust(ctx: Context, request: Request) -> object:
    """A change that the variables do not know: {since, amount, reason}; amount by period, in the unit of the meter."""
    name, body = request.params["name"], await entry(ctx, BASELINE, request.params["name"])
    row = fields(request.json(), "an adjustment", since=str, amount=float, reason=str)
    one = baselines.Adjustment(day_of(row["since"], "'since' of an adjustment"), row["amount"], row["reason"])
    adjusted = baseline_of(body).adjusted(one)
    await keep(ctx, BASELINE, name, {"meter": body["meter"], **baseline_body(adjusted)})
    return finite(baselines.told(adjusted))


async def perform(ctx: Context, request: Request) -> object:
    """Periods against a frozen baseline: [{start, end, values: {…}}]; savings, their sum and its uncertainty."""
    accounts = await accounts_of(ctx)
    body = await entry(ctx, BASELINE, request.params["name"])
    await check_seen(request, accounts, [body["meter"]])
    baseline = baseline_of(body)
    if baseline.frozen is None:
        raise Conflict(f"baseline {baseline.name} is not frozen; freeze it before anything is measured against it")
    energy, values, days = await _periods(accounts, body["meter"], as_list(request, "periods", 1_000), whole=False)
    told = baselines.perform(baseline, energy, values, on=days)
    return finite(
        {
            "baseline": baselines.told(baseline),
            "periods": [
                {
                    "start": str(day), "actual": actual, "expected": expected, "saving": saving, "cusum": cusum,
                    "outside": bool(outside),
                }
                for day, actual, expected, saving, cusum, outside in zip(
                    days, told.actual.tolist(), told.expected.tolist(), told.savings.tolist(), told.cusum.tolist(),
                    told.outside.tolist(), strict=True,
                )
            ],
            "saving": told.saving,
            "enpi_ratio": told.enpi_ratio,
            "uncertainty": told.uncertainty,
            "confidence": told.confidence,
            "is_significant": told.is_significant,
            "missing": told.missing,
        }
    )  # fmt: skip


async def _periods(
    accounts: Accounts, meter: str, rows: list[Any], *, whole: bool
) -> tuple[list[float], dict[str, list[float]], list[date]]:
    """Energy of each period (NaN where less than 98 % was seen; refused if `whole`), variables, and first days."""
    periods = [
        fields(row, "a period", start=str, end=str, values=dict) if isinstance(row, dict) else {} for row in rows
    ]
    if not periods or not all(periods):
        raise DataError("a baseline needs periods: [{start, end, values}]")
    names = list(periods[0]["values"])
    energy: list[float] = []
    values: dict[str, list[float]] = {name: [] for name in names}
    days: list[date] = []
    for one in periods:
        start, end = day_of(one["start"], "a period"), day_of(one["end"], "a period")
        span = accounts.span(start, end)
        total = (await accounts.flow(meter, *span)).total(*span)
        seen = total.value is not None and (total.covered or 0.0) >= 0.98
        if whole and not seen:
            raise DataError(
                f"meter {meter} was seen for {total.covered or 0.0:.1%} of {start} to {end}, less than 98 %; "
                "leave the period out"
            )
        energy.append(total.value if seen and total.value is not None else math.nan)
        days.append(start)
        if list(one["values"]) != names:
            raise DataError(f"each period needs the variables {', '.join(names) or 'of the first'}, in this order")
        for name, value in one["values"].items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise DataError(f"variable {name} of {start} is no number")
            values[name].append(float(value))
    return energy, values, days


# --- footprints
# --------------------------------------------------------------------------------------------------------


async def all_footprints(ctx: Context, request: Request) -> object:
    await check_whole(request, await accounts_of(ctx))
    return [
        {"id": one["id"], "product": one["footprint"]["product"]["name"], "status": one["status"],
         "excluding": _footprint(one).excluding, "including": _footprint(one).including,
         "primary_percent": _footprint(one).primary_percent, "entered": one["entered"]}
        for one in await entries(ctx, FOOTPRINT)
    ]  # fmt: skip


async def make_footprint(ctx: Context, request: Request) -> object:
    """A footprint of a product over days: what the plant emitted for it, and the materials.

    {id, company: {name, ids}, product: {…}, place: {…}, start, end, quantity, share | claimed, materials: [...],
    preceding}. `share` is the product's part of scopes 1 and 2; `claimed` names the product whose claims give it.
    """
    accounts = await accounts_of(ctx)
    await check_whole(request, accounts)
    row = fields(
        request.json(), "a footprint", id=str, company=dict, product=dict, place_=dict, start=str, end=str,
        quantity=float, share_=float, claimed_=str, materials_=list, quality_=dict, boundary_=str, preceding_=str,
        comment_=str, exempted_percent_=float, exempted_why_=str,
    )  # fmt: skip
    start, end = day_of(row["start"], "'start'"), day_of(row["end"], "'end'")
    share, allocation = await _share(accounts, row, start, end)
    carbon = await accounts.carbon(start, end, None)
    emitted = carbon.sum("location")
    inputs = [production_input("plant", emitted.times(share, emitted.unit), row["quantity"])]
    inputs += [_material(one) for one in row.get("materials", [])]
    place, quality = row.get("place", {}), row.get("quality")
    body = {
        "company": fields(row["company"], "a company", name=str, ids=list),
        "product": fields(
            row["product"], "a product", name=str, description=str, ids=list, unit=str, amount=float, mass_kg=float,
            classifications_=list, fossil_carbon_kg_=float, biogenic_carbon_kg_=float,
        ),
        "place": fields(place, "a place", region_=str, country_=str, subdivision_=str),
        "quality": None
        if quality is None
        else fields(quality, "a quality", technological=float, geographical=float, temporal=float),
        "inputs": [{name: getattr(one, name) for name in Input.__dataclass_fields__} for one in inputs],
        "start": midnight_ns(start, accounts.declared.zone),
        "end": midnight_ns(end, accounts.declared.zone),
        "created": ctx.now_ns(),
        "gwp": accounts.declared.gwp,
        "boundary": row.get("boundary", ""),
        "allocation": allocation,
        "comment": row.get("comment", ""),
        "exempted_percent": row.get("exempted_percent", 0.0),
        "exempted_why": row.get("exempted_why", ""),
    }  # fmt: skip
    before: list[str] = []
    if row.get("preceding"):
        old = await entry(ctx, FOOTPRINT, row["preceding"])
        before = [*old["preceding"], row["preceding"]]
    whole = {"id": row["id"], "footprint": body, "preceding": before, "status": "Active"}
    made = _footprint(whole)
    await enter(ctx, FOOTPRINT, row["id"], request.user, {key: value for key, value in whole.items() if key != "id"})
    if before:
        await keep(ctx, FOOTPRINT, before[-1], {**await entry(ctx, FOOTPRINT, before[-1]), "status": "Deprecated"})
    return {
        "id": made.id,
        "excluding": made.excluding,
        "including": made.including,
        "primary_percent": made.primary_percent,
        "emitted": emitted.told(),
        "share": share,
    }


async def footprint(ctx: Context, request: Request) -> object:
    """As `pact` or `catenax`."""
    await check_whole(request, await accounts_of(ctx))
    form = FORMS.get(request.params["form"])
    if form is None:
        raise NotFound(f"there is no form '{request.params['form']}'; there are {', '.join(FORMS)}")
    return form(_footprint({"id": request.params["id"], **await entry(ctx, FOOTPRINT, request.params["id"])}))


async def _share(accounts: Accounts, row: dict[str, Any], start: date, end: date) -> tuple[float, str]:
    """The product's part, and how it was found, as it is told to customers."""
    if ("share" in row) == ("claimed" in row):
        raise DataError("a footprint needs either the product's 'share' of emissions, or 'claimed', the product's name")
    if "share" in row:
        if not 0 < row["share"] <= 1:
            raise DataError(f"a share is more than 0 and at most 1, not {row['share']}")
        return row["share"], "by a share that was given"
    share, energy = await accounts.share_of_product(row["claimed"], start, end)
    seen = energy.covered or 0.0
    return share, f"by metered electricity of the machines while the product ran ({seen:.1%} of that time was seen)"


def _material(row: Any) -> Input:
    one = fields(
        row if isinstance(row, dict) else {}, "a material", name=str, footprint_kg=float, quantity=float, primary_=bool,
        source=str, source_version_=str, stage_=str,
    )  # fmt: skip
    made = material_input(
        one["name"], one["footprint_kg"], one["quantity"], primary=one.get("primary", False), source=one["source"],
        source_version=one.get("source_version", ""),
    )  # fmt: skip
    return replace(made, stage=one.get("stage", "production"))


def _footprint(kept: dict[str, Any]) -> Footprint:
    body = kept["footprint"]
    product, place, quality = body["product"], body["place"], body["quality"]
    inputs = tuple(Input(**one) for one in body["inputs"])
    stages = {one.stage for one in inputs}
    return Footprint(
        id=kept["id"],
        company=Company(body["company"]["name"], tuple(body["company"]["ids"])),
        product=Product(
            **{
                **product,
                "ids": tuple(product["ids"]),
                "classifications": tuple(product.get("classifications", ())),
            }
        ),
        place=Place(**place),
        inputs=inputs,
        gwp=body["gwp"],
        boundary=body["boundary"],
        allocation=body["allocation"],
        exempted_percent=body["exempted_percent"],
        exempted_why=body["exempted_why"],
        packaging_included="packaging" in stages,
        distribution_included="distribution" in stages,
        quality=None if quality is None else Quality(**quality),
        status=kept["status"],
        preceding=tuple(kept["preceding"]),
        comment=body["comment"],
        start=_moment(body["start"]),
        end=_moment(body["end"]),
        created=_moment(body["created"]),
    )


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC)
