"""What the app keeps: rows and factors with everything that they were before, and signed baselines that stay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from headrace.apps.outcomes.facts import Facts, facts_of
from headrace.model.errors import Conflict, NotFound
from headrace.sdk.apps import Context, Statement

_PAGE: Final = 20_000
_COLUMNS: Final = "id, start_ns, end_ns, unit, quantity, amount, factor"
# What was sent twice is not a change.
_OTHER: Final = "(start_ns, end_ns, unit, quantity, amount, factor) IS NOT (?, ?, ?, ?, ?, ?)"
_KEEP_ROW: Final = f"INSERT INTO row_changes SELECT {_COLUMNS}, told_ns, told_by, ? FROM rows WHERE id = ? AND {_OTHER}"
_PUT_ROW: Final = (
    f"INSERT INTO rows ({_COLUMNS}, told_ns, told_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET start_ns = excluded.start_ns, end_ns = excluded.end_ns, unit = excluded.unit, "
    "quantity = excluded.quantity, amount = excluded.amount, factor = excluded.factor, told_ns = excluded.told_ns, "
    "told_by = excluded.told_by WHERE (rows.start_ns, rows.end_ns, rows.unit, rows.quantity, rows.amount, rows.factor) "
    "IS NOT (excluded.start_ns, excluded.end_ns, excluded.unit, excluded.quantity, excluded.amount, excluded.factor)"
)


@dataclass(frozen=True, slots=True)
class Factor:
    """`source`: where its value is from, such as a standard's clause or a price list's date."""

    name: str
    value: float
    source: str


class Store:
    """The tables of `migrations/`."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def put_rows(self, facts: Facts, by: str) -> tuple[int, int]:
        """All of them or none. How many are new or other than they were; how many of these replaced an older one."""
        now_ns = self._context.now_ns()
        rows = list(
            zip(
                facts.id.tolist(), facts.start_ns.tolist(), facts.end_ns.tolist(), facts.unit.tolist(),
                facts.quantity.tolist(), facts.amount.tolist(), facts.factor.tolist(), strict=True,
            )
        )  # fmt: skip
        if not rows:
            return 0, 0
        replaced, put = await self._context.tables.write(
            Statement(_KEEP_ROW, many=[(now_ns, row[0], *row[1:]) for row in rows]),
            Statement(_PUT_ROW, many=[(*row, now_ns, by) for row in rows]),
        )
        return put, replaced

    async def units_of(self, ids: Sequence[str]) -> set[str]:
        """The units of rows that are there already under these ids: who replaces one needs the right on both."""
        found: set[str] = set()
        for at in range(0, len(ids), 5_000):
            part = ids[at : at + 5_000]
            marks = ", ".join("?" * len(part))
            rows = await self._context.tables.query(f"SELECT DISTINCT unit FROM rows WHERE id IN ({marks})", *part)
            found |= {str(unit) for (unit,) in rows.rows}
        return found

    async def facts(self, quantities: Sequence[str], start_ns: int, end_ns: int) -> Facts:
        """Rows of these quantities that begin within [start_ns, end_ns)."""
        found: list[tuple[Any, ...]] = []
        for quantity in quantities:
            after: tuple[int, str] = (start_ns, "")
            while True:
                page = await self._context.tables.query(
                    f"SELECT {_COLUMNS} FROM rows WHERE quantity = ? AND start_ns < ? AND (start_ns, id) > (?, ?) "
                    f"ORDER BY start_ns, id LIMIT {_PAGE}",
                    quantity, end_ns, *after,
                )  # fmt: skip
                found += page.rows
                if len(page) < _PAGE:
                    break
                after = int(str(page.rows[-1][1])), str(page.rows[-1][0])
        return _columns(found)

    async def changes(self, row_id: str) -> list[dict[str, Any]]:
        """What a row was before, the newest first."""
        rows = await self._context.tables.query(
            f"SELECT {_COLUMNS}, told_ns, told_by, replaced_ns FROM row_changes WHERE id = ? "
            "ORDER BY replaced_ns DESC LIMIT 1000",
            row_id,
        )
        return [dict(row) for row in rows.dicts()]

    async def put_factors(self, factors: Sequence[Factor], by: str) -> int:
        """How many are new or other than they were."""
        now_ns = self._context.now_ns()
        if not factors:
            return 0
        _, put = await self._context.tables.write(
            Statement(
                "INSERT INTO factor_changes SELECT name, value, source, told_ns, told_by, ? FROM factors "
                "WHERE name = ? AND (value, source) IS NOT (?, ?)",
                many=[(now_ns, each.name, each.value, each.source) for each in factors],
            ),
            Statement(
                "INSERT INTO factors VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value, "
                "source = excluded.source, told_ns = excluded.told_ns, told_by = excluded.told_by "
                "WHERE (factors.value, factors.source) IS NOT (excluded.value, excluded.source)",
                many=[(each.name, each.value, each.source, now_ns, by) for each in factors],
            ),
        )
        return put

    async def factor_rows(self) -> list[dict[str, Any]]:
        rows = await self._context.tables.query(
            "SELECT name, value, source, told_ns, told_by FROM factors ORDER BY name"
        )
        return [dict(row) for row in rows.dicts()]

    async def factors(self) -> dict[str, float]:
        return {row["name"]: row["value"] for row in await self.factor_rows()}

    async def keep(self, document: Mapping[str, Any], at_ns: int) -> None:
        """Raises: Conflict where a baseline has that name."""
        name = document["definition"]["name"]
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        (added,) = await self._context.tables.write(
            Statement(
                "INSERT INTO baselines VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
                (name, at_ns, document["frozen_by"], text),
            )
        )
        if not added:
            raise Conflict(f"there is a baseline '{name}' already, and it stays as it is: freeze under another name")

    async def has(self, name: str) -> bool:
        return len(await self._context.tables.query("SELECT 1 FROM baselines WHERE name = ?", name)) > 0

    async def document(self, name: str) -> dict[str, Any]:
        """Raises: NotFound."""
        row = (await self._context.tables.query("SELECT document FROM baselines WHERE name = ?", name)).one()
        if row is None:
            raise NotFound(f"there is no baseline '{name[:60]}'; see GET /baselines")
        document: dict[str, Any] = json.loads(str(row["document"]))
        return document

    async def documents(self) -> list[dict[str, Any]]:
        """All, the newest first: definition and figures without sums and digests."""
        rows = await self._context.tables.query(
            "SELECT name, frozen_ns, frozen_by, json_extract(document, '$.definition') AS definition, "
            "json_extract(document, '$.figures') AS figures FROM baselines ORDER BY frozen_ns DESC, name LIMIT 10000"
        )
        return [
            {**row, "definition": json.loads(str(row["definition"])), "figures": json.loads(str(row["figures"]))}
            for row in rows.dicts()
        ]


def _columns(rows: Sequence[tuple[Any, ...]]) -> Facts:
    if not rows:
        return facts_of([])
    ids, starts, ends, units, quantities, amounts, factors = zip(*rows, strict=True)
    return Facts(
        np.array(ids, np.str_),
        np.array(starts, np.int64),
        np.array(ends, np.int64),
        np.array(units, np.str_),
        np.array(quantities, np.str_),
        np.array(amounts, np.float64),
        np.array(factors, np.str_),
    )
