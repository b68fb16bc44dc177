"""Statements as they were told, kept, and told again: with what is known now beside them."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from headrace.apps.energy.accounts import Accounts, use_body, use_of
from headrace.apps.energy.completeness import Total
from headrace.apps.energy.restate import Restated, Statement, restate, state
from headrace.model.errors import Conflict, DataError, NotFound
from headrace.model.time import format_time
from headrace.sdk import apps as sdk


async def tell(accounts: Accounts, kind: str, start: date, end: date, user: str) -> dict[str, Any]:
    """States a total, and keeps it. Raises: Conflict where this was told already today, with another result."""
    known = accounts.today()
    uses = await accounts.uses(start, end)
    if not uses:
        raise DataError(f"nothing is measured or entered of {start} to {end}; declare meters with a role, or documents")
    told = state(kind, uses, await accounts.account(kind), known)
    told = Statement(kind, start, end, known, told.uses, told.total, told.factors)
    id = f"{kind}.{start}.{end}.{known}"
    body = json.dumps({**told.told(), "uses": [use_body(use) for use in told.uses]}, sort_keys=True)
    now = json.dumps(told.total.told())
    await accounts.ctx.tables.write(
        sdk.Statement(
            "INSERT INTO statements VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (id, kind, accounts.ctx.now_ns(), user, body, now),
        )
    )
    if (await _row(accounts, id))["body"] != body:
        raise Conflict(f"{kind} of {start} to {end} was told today and came out otherwise; see how it is restated")
    return {"id": id, **told.told()}


async def statements(accounts: Accounts) -> list[dict[str, Any]]:
    """All that was told, the newest first; `now` is what came out when it was last worked out."""
    found = await accounts.ctx.tables.query(
        "SELECT id, told_ns, user, body, now FROM statements ORDER BY told_ns DESC, id"
    )
    listed = []
    for id, told_ns, user, text, now in found.rows:
        body = json.loads(str(text))
        del body["uses"]
        told = {"told": format_time(told_ns) if isinstance(told_ns, int) else None, "user": user}
        listed.append({"id": id, **body, **told, "now": json.loads(str(now))})
    return listed


async def told_again(accounts: Accounts, id: str, known: date | None = None) -> Restated:
    """A statement beside what is known on a day (None: today). Raises: NotFound."""
    before = _statement(json.loads(str((await _row(accounts, id))["body"])))
    account = await accounts.account(before.name)
    uses = await accounts.uses(before.start, before.end)
    return restate(before, await accounts.book(), account, known or accounts.today(), uses)


async def restate_all(accounts: Accounts) -> list[tuple[str, Restated]]:
    """All statements as known today; those whose total is another than when it was last worked out, which is kept."""
    changed: list[tuple[str, Restated]] = []
    found = await accounts.ctx.tables.query("SELECT id, now FROM statements ORDER BY told_ns, id")
    for id, before in found.rows:
        told = await told_again(accounts, str(id))
        now = json.dumps(told.after.total.told())
        if now != before:
            await accounts.ctx.tables.write(sdk.Statement("UPDATE statements SET now = ? WHERE id = ?", (now, id)))
            changed.append((str(id), told))
    return changed


async def _row(accounts: Accounts, id: str) -> dict[str, Any]:
    found = (await accounts.ctx.tables.query("SELECT body FROM statements WHERE id = ?", id)).one()
    if found is None:
        raise NotFound(f"there is no statement '{id}'")
    return dict(found)


def _statement(body: dict[str, Any]) -> Statement:
    total = body["total"]
    return Statement(
        body["name"],
        date.fromisoformat(body["start"]),
        date.fromisoformat(body["end"]),
        date.fromisoformat(body["known"]),
        tuple(use_of(one) for one in body["uses"]),
        Total(
            total["value"], total["unit"], total["expected_s"], total["measured_s"], total["bridged_s"],
            tuple(total["missing"]),
        ),
        tuple(body["factors"]),
    )  # fmt: skip
