"""What is asked of the energy of a plant, put together from its quarters, entries and settings.

    quarters (meters) ─┐
    documents ─────────┼─► uses by month ─► standard coal, carbon ─► statements, restated
    factors ───────────┘                └─► intensity (outputs)    └─► footprints

Each figure is worked out when it is asked for; what was told to somebody is kept by `statements.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from headrace.apps.energy.allocation import UNALLOCATED, Allocation, Claim, allocate
from headrace.apps.energy.carbon import Inventory, inventory
from headrace.apps.energy.coal import Comprehensive, comprehensive
from headrace.apps.energy.completeness import Total, together
from headrace.apps.energy.declared import Declared
from headrace.apps.energy.entries import DOCUMENT, FACTOR, INDEX, OUTPUT, clipped, document_of, entries, factor_of
from headrace.apps.energy.factors import FactorBook, Found
from headrace.apps.energy.flows import Flow
from headrace.apps.energy.intensity import Intensity, Output, per_10k_yuan
from headrace.apps.energy.library import shipped
from headrace.apps.energy.quarters import flows_of
from headrace.apps.energy.restate import Account
from headrace.apps.energy.uses import Role, Use, day_at, metered, midnight_ns
from headrace.model.errors import DataError, NotFound
from headrace.sdk.apps import Context

KINDS = ("coal", "coal-equivalent", "carbon-location", "carbon-market")


class Accounts:
    """Days are local days of the plant, [start, end). Nothing is kept: each question is worked out anew."""

    def __init__(self, ctx: Context, declared: Declared) -> None:
        self.ctx, self.declared = ctx, declared

    def today(self) -> date:
        return day_at(self.ctx.now_ns(), self.declared.zone)

    def span(self, start: date, end: date) -> tuple[int, int]:
        """Days in ns. Raises: DataError for none, or more than ten years."""
        if not start < end <= start + timedelta(days=3660):
            raise DataError(f"a span from {start} to {end} is none, or longer than ten years")
        return midnight_ns(start, self.declared.zone), midnight_ns(end, self.declared.zone)

    async def book(self) -> FactorBook:
        """The factors that we ship and those that were entered."""
        return shipped().plus([factor_of(one) for one in await entries(self.ctx, FACTOR)])

    async def flow(self, meter: str, start_ns: int, end_ns: int) -> Flow:
        return (await flows_of(self.ctx, [self.declared.tree[meter]], start_ns, end_ns))[meter]

    async def flows(self, start_ns: int, end_ns: int) -> dict[str, Flow]:
        return await flows_of(self.ctx, list(self.declared.tree), start_ns, end_ns)

    async def uses(self, start: date, end: date) -> list[Use]:
        """What the firm's account has of these days: meters by their role, and documents; each by months.

        By months, because factors change at the first of one: so a use that is kept is cut as it was.
        """
        start_ns, end_ns = self.span(start, end)
        meters = [self.declared.tree[name] for name in self.declared.roles]
        flows = await flows_of(self.ctx, meters, start_ns, end_ns)
        found = [
            metered(flows[meter.name], meter.carrier, start, end, self.declared.zone, self.declared.roles[meter.name])
            for meter in meters
        ]
        found += clipped([document_of(one) for one in await entries(self.ctx, DOCUMENT)], start, end)
        return [part for use in found for part in by_months(use)]

    async def coal(self, start: date, end: date, method: str, known: date | None) -> Comprehensive:
        return comprehensive(
            await self.uses(start, end), await self.book(), method=method, known=known, areas=(self.ctx.tenant,)
        )

    async def carbon(self, start: date, end: date, known: date | None) -> Inventory:
        return inventory(
            await self.uses(start, end),
            await self.book(),
            areas=self.declared.areas,
            known=known,
            gwp=self.declared.gwp,
        )

    async def account(self, kind: str) -> Account:
        """The account of a statement, with all factors that are there; it takes those that were known on its day.

        Raises: NotFound for another kind.
        """
        if kind not in KINDS:
            raise NotFound(f"there is no account '{kind}'; there are {', '.join(KINDS)}")
        book = await self.book()

        def coal(uses: Sequence[Use], known: date) -> tuple[Total, tuple[Found, ...]]:
            method = "equivalent" if kind == "coal-equivalent" else "calorific"
            told = comprehensive(uses, book, method=method, known=known, areas=(self.ctx.tenant,))
            return told.total, tuple(found for line in told.lines for found in line.factors)

        def carbon(uses: Sequence[Use], known: date) -> tuple[Total, tuple[Found, ...]]:
            told = inventory(uses, book, areas=self.declared.areas, known=known, gwp=self.declared.gwp)
            form = kind.removeprefix("carbon-")
            lines = [line for line in told.lines if line.scope in ("1", f"2-{form}")]
            return told.sum(form), tuple(found for line in lines for found in line.factors)

        return coal if kind.startswith("coal") else carbon

    async def intensity(self, start: date, end: date, method: str, base: str | None, known: date | None) -> Intensity:
        """Comprehensive energy by the outputs of the periods that lie in these days. Raises: DataError."""
        outputs = [
            Output(str(one["period"]), float(one["value_yuan"]))
            for one in await entries(self.ctx, OUTPUT)
            if start <= date.fromisoformat(one["start"]) and date.fromisoformat(one["end"]) <= end
        ]
        indices = {str(one["period"]): float(one["index"]) for one in await entries(self.ctx, INDEX)}
        coal = await self.coal(start, end, method, known)
        return per_10k_yuan(coal.total, outputs, indices=indices if base else None, base=base)

    async def claims(self, meter: str, start_ns: int, end_ns: int) -> list[Claim]:
        """Who ran at a meter: what was entered of orders and products."""
        found = await self.ctx.tables.query(
            "SELECT start_ns, end_ns, weight, tags FROM claims WHERE meter = ? AND start_ns < ? AND end_ns > ? "
            "ORDER BY start_ns, id",
            meter, end_ns, start_ns,
        )  # fmt: skip
        return [
            Claim(row["start_ns"], row["end_ns"], json.loads(str(row["tags"])), row["weight"])  # type: ignore[arg-type]
            for row in found.dicts()
        ]

    async def allocation(
        self, meter: str, dimension: str, start: date, end: date
    ) -> tuple[Allocation, dict[str, Total]]:
        """One meter shared by orders, products or another tag; by shifts of the settings."""
        start_ns, end_ns = self.span(start, end)
        flow = await self.flow(meter, start_ns, end_ns)
        if dimension == "shift":
            claims = self.declared.shift_claims(start, end)
        else:
            claims = [one for one in await self.claims(meter, start_ns, end_ns) if dimension in one.tags]
        told = allocate(flow, claims, start_ns, end_ns)
        return told, told.by(claims, dimension)

    async def share_of_product(self, product: str, start: date, end: date) -> tuple[float, Total]:
        """The part of the electricity of all claimed meters that a product had, and that electricity.

        What no claim held at these meters (standing by, setting up) is shared as what was claimed. Raises: DataError
        where nothing was claimed for anything.
        """
        found = await self.ctx.tables.query("SELECT DISTINCT meter FROM claims")
        mine: list[Total] = []
        every: list[Total] = []
        for (meter,) in found.rows:
            if str(meter) not in {one.name for one in self.declared.tree if one.carrier == "electricity"}:
                continue
            _, by = await self.allocation(str(meter), "product", start, end)
            every += [total for key, total in by.items() if key != UNALLOCATED]
            mine += [total for key, total in by.items() if key == product]
        whole, part = together(every, "kW.h"), together(mine, "kW.h")
        if not whole.value or part.value is None:
            raise DataError(f"no energy was claimed for product {product} from {start} to {end}; enter who ran when")
        return part.value / whole.value, whole


def by_months(use: Use) -> list[Use]:
    """The use of each month by itself, without its meter: as it is kept with a statement."""
    found: list[Use] = []
    first = use.start
    while first < use.end:
        behind = min(use.end, (first.replace(day=1) + timedelta(days=32)).replace(day=1))
        found.append(Use(use.source, use.carrier, first, behind, use.between(first, behind), use.role))
        first = behind
    return found


def use_body(use: Use) -> dict[str, Any]:
    """A use as it is kept with a statement."""
    total = use.total
    return {
        "source": use.source, "carrier": use.carrier, "start": str(use.start), "end": str(use.end),
        "role": use.role.value, "value": total.value, "unit": total.unit, "expected_s": total.expected_s,
        "measured_s": total.measured_s, "bridged_s": total.bridged_s, "missing": list(total.missing),
    }  # fmt: skip


def use_of(body: dict[str, Any]) -> Use:
    """The inverse of `use_body`."""
    total = Total(
        body["value"], body["unit"], body["expected_s"], body["measured_s"], body["bridged_s"], tuple(body["missing"])
    )
    start, end = date.fromisoformat(body["start"]), date.fromisoformat(body["end"])
    return Use(body["source"], body["carrier"], start, end, total, Role(body["role"]))
