"""What the routes share: which days are asked of, which meters somebody may see, and the accounts to ask."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from headrace.apps.energy.accounts import Accounts
from headrace.apps.energy.declared import Declared, day_of
from headrace.apps.energy.meters import MeterTree
from headrace.apps.energy.readings import Exchange
from headrace.model.errors import AccessError, ConfigError, DataError
from headrace.sdk.apps import Action, Context, Request

#: Lists that are of texts.
_TEXTS = ("ids", "classifications")


async def accounts_of(ctx: Context) -> Accounts:
    """By the settings and exchanges of now. Raises: ConfigError for settings that cannot be."""
    exchanges: dict[str, list[Exchange]] = {}
    found = await ctx.tables.query("SELECT meter, at_ns, last, first FROM exchanges ORDER BY meter, at_ns")
    for meter, at_ns, last, first in found.rows:
        exchanges.setdefault(str(meter), []).append(Exchange(at_ns, last, first))  # type: ignore[arg-type]
    return Accounts(ctx, Declared(ctx.settings, exchanges))


def days_asked(request: Request, accounts: Accounts) -> tuple[date, date]:
    """`start` and `end` of the query, end not included; without them, this month up to today. Raises: DataError."""
    today = accounts.today()
    try:
        start = day_of(request.query["start"], "'start'") if "start" in request.query else today.replace(day=1)
        end = day_of(request.query["end"], "'end'") if "end" in request.query else today + timedelta(days=1)
    except ConfigError as error:
        raise DataError(error.message) from None
    accounts.span(start, end)
    return start, end


def day_asked(request: Request, name: str) -> date | None:
    """A day of the query, or None. Raises: DataError."""
    text = request.query.get(name)
    try:
        return day_of(text, f"'{name}'") if text else None
    except ConfigError as error:
        raise DataError(error.message) from None


def meter_asked(request: Request, accounts: Accounts) -> str:
    """Raises: DataError where none is named; NotFound for one that is not there."""
    name = request.query.get("meter", "")
    if not name:
        raise DataError(f"say of which meter: {request.path}?meter=…")
    return accounts.declared.tree[name].name


def points_of(tree: MeterTree, name: str) -> set[str]:
    """The points that a meter is made of."""
    found: set[str] = set()
    stack = [name]
    while stack:
        meter = tree[stack.pop()]
        stack += [part for _, part in meter.parts]
        found |= {meter.point} if meter.point else set()
    return found


async def may_see(request: Request, tree: MeterTree, name: str) -> bool:
    """Whether who asks may see every point that a meter is made of."""
    return all([await request.may(Action.VIEW, point) for point in sorted(points_of(tree, name))])


async def check_seen(request: Request, accounts: Accounts, names: Iterable[str]) -> None:
    """Raises: AccessError for the first meter that who asks may not see."""
    for name in names:
        if not await may_see(request, accounts.declared.tree, name):
            raise AccessError(f"{request.user} may not see meter {name}, which is part of this figure")


async def check_whole(request: Request, accounts: Accounts) -> None:
    """For figures of the whole firm: who asks has to see all meters of its account. Raises: AccessError."""
    await check_seen(request, accounts, accounts.declared.roles)


def as_list(request: Request, name: str, most: int = 10_000) -> list[dict[str, Any]]:
    """A body that is one object, or a list of them. Raises: DataError."""
    body = request.json()
    rows = body if isinstance(body, list) else [body]
    if not rows or len(rows) > most or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{name} are an object, or a list of 1 to {most:,} objects")
    return rows


def fields(row: dict[str, Any], what: str, **wanted: type) -> dict[str, Any]:
    """These fields of an object, whole numbers as numbers; a name that ends in `_` may be missing.

    Raises: DataError that names the field.
    """
    known = {name.rstrip("_"): (kind, name.endswith("_")) for name, kind in wanted.items()}
    for name in row:
        if name not in known:
            raise DataError(f"'{str(name)[:40]}' is no field of {what}; there are {', '.join(known)}")
    found: dict[str, Any] = {}
    for name, (kind, optional) in known.items():
        value = row.get(name)
        if value is None and optional:
            continue
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise DataError(f"'{name}' of {what} is {'missing' if value is None else f'no {kind.__name__}'}")
        if name in _TEXTS and isinstance(value, list) and not all(isinstance(one, str) for one in value):
            raise DataError(f"'{name}' of {what} are texts")
        found[name] = value
    return found
