"""What people and other programs enter: documents, outputs, price indices, factors, baselines, footprints.

An entry has the id of its sender, so that what is sent twice is there once; an entry that differs under the same id is
a conflict. Nothing is deleted: what was wrong is withdrawn, from a moment on, so that what was told before can be told
again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, Final

from headrace.apps.energy.baseline import Adjustment, Baseline, Fit
from headrace.apps.energy.completeness import given
from headrace.apps.energy.declared import day_of
from headrace.apps.energy.factors import Factor, days_of
from headrace.apps.energy.library import check_measured
from headrace.apps.energy.uses import Role, Use
from headrace.model.errors import Conflict, DataError, NotFound
from headrace.model.time import DAY_NS, SECOND_NS, format_time
from headrace.sdk.apps import Context, Statement

DOCUMENT: Final = "document"
OUTPUT: Final = "output"
INDEX: Final = "index"
FACTOR: Final = "factor"
BASELINE: Final = "baseline"
FOOTPRINT: Final = "footprint"


async def enter(ctx: Context, kind: str, id: str, user: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Keeps an entry, once. Raises: DataError for no id; Conflict for another entry of this id."""
    if not id or len(id) > 200:
        raise DataError(f"a {kind} needs an id of 1 to 200 characters, by which it is known when it is sent again")
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, allow_nan=False)
    await ctx.tables.write(
        Statement(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING",
            (kind, id, ctx.now_ns(), user, text),
        )
    )
    held = await ctx.tables.query("SELECT body, withdrawn_ns FROM entries WHERE kind = ? AND id = ?", kind, id)
    row = held.one()
    assert row is not None
    if row["body"] != text or row["withdrawn_ns"] is not None:
        raise Conflict(f"there is another {kind} '{id}', or it was withdrawn; withdraw it and enter this by another id")
    return {"id": id, **body}


async def replace(ctx: Context, kind: str, id: str, body: Mapping[str, Any]) -> None:
    """Another body for an entry whose history is in the body itself. Raises: NotFound."""
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, allow_nan=False)
    [changed] = await ctx.tables.write(
        Statement("UPDATE entries SET body = ? WHERE kind = ? AND id = ? AND withdrawn_ns IS NULL", (text, kind, id))
    )
    if not changed:
        raise NotFound(f"there is no {kind} '{id}'")


async def withdraw(ctx: Context, kind: str, id: str) -> None:
    """It counts no more, from now on. Raises: NotFound."""
    [changed] = await ctx.tables.write(
        Statement(
            "UPDATE entries SET withdrawn_ns = ? WHERE kind = ? AND id = ? AND withdrawn_ns IS NULL",
            (ctx.now_ns(), kind, id),
        )
    )
    if not changed:
        raise NotFound(f"there is no {kind} '{id}' that counts")


async def entries(ctx: Context, kind: str) -> list[dict[str, Any]]:
    """What counts now, with who entered it when."""
    found = await ctx.tables.query(
        "SELECT id, body, user, entered_ns FROM entries WHERE kind = ? AND withdrawn_ns IS NULL "
        "ORDER BY entered_ns, id",
        kind,
    )
    return [
        {"id": str(id), **json.loads(str(body)), "user": user, "entered": format_time(int(entered or 0))}
        for id, body, user, entered in found.rows
    ]


async def entry(ctx: Context, kind: str, id: str) -> dict[str, Any]:
    """Raises: NotFound."""
    found = await ctx.tables.query(
        "SELECT body FROM entries WHERE kind = ? AND id = ? AND withdrawn_ns IS NULL", kind, id
    )
    row = found.one()
    if row is None:
        raise NotFound(f"there is no {kind} '{id}'")
    body: dict[str, Any] = json.loads(str(row["body"]))
    return body


# --- what each says
# ----------------------------------------------------------------------------------------------------


def document_of(body: Mapping[str, Any]) -> Use:
    """An amount of a document: an invoice, a delivery. Raises: DataError, ConfigError for what cannot be."""
    start, end = day_of(body["start"], "the first day"), day_of(body["end"], "the day after the last")
    if end <= start:
        raise DataError(f"a document from {start} to {end} has no days; the end is the day after the last")
    check_measured(body["carrier"], body["unit"])
    try:
        role = Role(body["role"])
    except ValueError:
        raise DataError(f"there is no role '{body['role']}'; there are {', '.join(Role)}") from None
    if not body["value"] >= 0:
        raise DataError("an amount is 0 or more; what is taken off is sold or stored")
    total = given(body["value"], body["unit"], span_s=days_of(start, end) * DAY_NS / SECOND_NS)
    return Use(str(body["source"]), str(body["carrier"]), start, end, total, role)


def clipped(uses: Sequence[Use], start: date, end: date) -> list[Use]:
    """The part of each that is on days [start, end)."""
    found: list[Use] = []
    for use in uses:
        first, behind = max(use.start, start), min(use.end, end)
        if first < behind:
            found.append(Use(use.source, use.carrier, first, behind, use.between(first, behind), use.role, use.cut))
    return found


def factor_of(body: Mapping[str, Any]) -> Factor:
    """A factor as it is entered: days as texts. Raises: ConfigError."""
    until = day_of(body["until"], "'until' of a factor") if body.get("until") else None
    return Factor(
        kind=str(body["kind"]),
        carrier=str(body["carrier"]),
        value=float(body["value"]),
        unit=str(body["unit"]),
        per=str(body["per"]),
        since=day_of(body["since"], "'since' of a factor"),
        published=day_of(body["published"], "'published' of a factor"),
        until=until,
        area=str(body.get("area") or ""),
        edition=str(body.get("edition") or ""),
        source=str(body.get("source") or ""),
        clause=str(body.get("clause") or ""),
        checked=str(body.get("checked") or ""),
    )


def baseline_body(baseline: Baseline) -> dict[str, Any]:
    """A baseline as it is kept, with what is needed to tell how sure its savings are."""
    return {
        "name": baseline.name,
        "unit": baseline.unit,
        "variables": list(baseline.variables),
        "constant": baseline.constant,
        "coefficients": list(baseline.coefficients),
        "low": list(baseline.low),
        "high": list(baseline.high),
        "fit": None if baseline.fit is None else _finite(asdict(baseline.fit)),
        "frozen": None if baseline.frozen is None else str(baseline.frozen),
        "adjustments": [[str(one.since), one.amount, one.reason] for one in baseline.adjustments],
        "covariance": [list(row) for row in baseline.covariance],
    }


def baseline_of(body: Mapping[str, Any]) -> Baseline:
    """The inverse of `baseline_body`."""
    fitted = body["fit"]
    return Baseline(
        body["name"],
        body["unit"],
        tuple(body["variables"]),
        body["constant"],
        tuple(body["coefficients"]),
        tuple(body["low"]),
        tuple(body["high"]),
        None if fitted is None else Fit(**{key: _tupled(value) for key, value in fitted.items()}),
        None if body["frozen"] is None else date.fromisoformat(body["frozen"]),
        tuple(Adjustment(date.fromisoformat(since), amount, reason) for since, amount, reason in body["adjustments"]),
        tuple(tuple(row) for row in body["covariance"]),
    )


def finite(told: Any) -> Any:
    """JSON has no NaN: what is no number is null."""
    return _finite(told)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def _tupled(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(math.nan if one is None else one for one in value)
    return math.nan if value is None else value
