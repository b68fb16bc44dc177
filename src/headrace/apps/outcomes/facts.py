"""The rows behind every figure: one quantity of one unit over one stretch of time, and the factor that it is taken at.

    energy-2026-03-01-el   2026-03-01 … 03-02   acme/suzhou/press-shop   energy_kgce      8 412.0  coal:electricity
    output-2026-03-01-p1   2026-03-01 … 03-02   acme/suzhou/press-shop   output_10k_cny     310    price:P100

A row says what was counted or metered (kWh, pieces); the factor, kept apart and dated by its freezing, makes it kgce or
yuan at constant prices. So a factor that changes is seen as one, and not as a plant that got better.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.outcomes.measures import Quantity
from headrace.model.errors import DataError

ROWS_MAX: Final = 2_000_000
TEXT_MAX: Final = 1_000
_TIME_MAX_NS: Final = 2**62
_COVARIATE: Final = re.compile(r"[a-z][a-z0-9_]*:\S+")


@dataclass(frozen=True, slots=True)
class Facts:
    """Columns of equal length. Times are ns UTC, [start, end); `amount` times its factor is the quantity's value.

    `factor` is "" where the amount is the value already. `id` is the row's name for ever: a corrected row keeps it.
    """

    id: NDArray[np.str_]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    unit: NDArray[np.str_]
    quantity: NDArray[np.str_]
    amount: NDArray[np.float64]
    factor: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.id)

    def pick(self, mask_or_index: NDArray[Any]) -> Facts:
        """The rows that a mask or an index names, in its order."""
        return Facts(
            self.id[mask_or_index],
            self.start_ns[mask_or_index],
            self.end_ns[mask_or_index],
            self.unit[mask_or_index],
            self.quantity[mask_or_index],
            self.amount[mask_or_index],
            self.factor[mask_or_index],
        )

    def rows(self) -> list[dict[str, Any]]:
        """As `facts_of` takes them."""
        return [
            {"id": str(i), "start_ns": int(s), "end_ns": int(e), "unit": str(u), "quantity": str(q), "amount": float(a),
             "factor": str(f)}
            for i, s, e, u, q, a, f in zip(
                self.id, self.start_ns, self.end_ns, self.unit, self.quantity, self.amount, self.factor, strict=True
            )
        ]  # fmt: skip


def facts_of(rows: Sequence[Mapping[str, Any]]) -> Facts:
    """Rows as they come from outside, checked. Raises: DataError that names the row, its field and what is expected."""
    if len(rows) > ROWS_MAX:
        raise DataError(f"{len(rows)} rows are more than {ROWS_MAX}: send them in parts")
    checked = [_checked(number, row) for number, row in enumerate(rows)]
    columns: list[tuple[Any, ...]] = list(zip(*checked, strict=True)) or [()] * 7
    facts = Facts(
        np.array(columns[0], np.str_),
        np.array(columns[1], np.int64),
        np.array(columns[2], np.int64),
        np.array(columns[3], np.str_),
        np.array(columns[4], np.str_),
        np.array(columns[5], np.float64),
        np.array(columns[6], np.str_),
    )
    names, counts = np.unique(facts.id, return_counts=True)
    if (twice := names[counts > 1]).size:
        raise DataError(f"row '{twice[0]}' is there {counts[counts > 1][0]} times: an id names one row")
    return facts


def _checked(number: int, row: Mapping[str, Any]) -> tuple[str, int, int, str, str, float, str]:
    where = f"row {number}"
    if not isinstance(row, Mapping):
        raise DataError(f"{where} is {type(row).__name__}, not an object with id, start_ns, end_ns, unit, …")
    if unknown := sorted(row.keys() - {"id", "start_ns", "end_ns", "unit", "quantity", "amount", "factor"}):
        raise DataError(f"{where} has an unknown field '{str(unknown[0])[:60]}'")
    name = _text(row, "id", where)
    where = f"row '{name}'"
    start_ns, end_ns = _whole(row, "start_ns", where), _whole(row, "end_ns", where)
    if end_ns <= start_ns:
        raise DataError(f"{where} ends at {end_ns}, not after its start {start_ns}")
    amount = _number(row.get("amount"))
    if amount is None:
        raise DataError(f"{where} has no amount that is a finite number: give one, or leave the row out")
    factor = _text(row, "factor", where) if row.get("factor") else ""
    quantity = _text(row, "quantity", where)
    if quantity not in tuple(Quantity) and not _COVARIATE.fullmatch(quantity):
        near = difflib.get_close_matches(quantity, tuple(Quantity), 1)
        raise DataError(
            f"{where} has quantity '{quantity[:60]}', which is none{f'; did you mean {near[0]}?' if near else ''} "
            "A covariate is called such as 'pieces:p100' or 'weather:heating_degree_days'"
        )
    return name, start_ns, end_ns, _text(row, "unit", where), quantity, amount, factor


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _text(row: Mapping[str, Any], field: str, where: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX or not value.isprintable():
        raise DataError(f"{where} needs '{field}': 1 to {TEXT_MAX} printable characters")
    return value


def _whole(row: Mapping[str, Any], field: str, where: str) -> int:
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _TIME_MAX_NS:
        raise DataError(f"{where} needs '{field}': ns since 1970 (UTC), a whole number")
    return value


def values(facts: Facts, factors: Mapping[str, float]) -> NDArray[np.float64]:
    """Each row's quantity: its amount at its factor. Raises: DataError for a factor that nobody gave."""
    names, places = np.unique(facts.factor, return_inverse=True)
    missing = [str(name) for name in names if name and str(name) not in factors]
    if missing:
        raise DataError(f"no factor '{missing[0]}'" + (f" and {len(missing) - 1} more" if missing[1:] else ""))
    each = np.array([factors[str(name)] if name else 1.0 for name in names], np.float64)
    return facts.amount * each[places] if len(facts) else facts.amount


def digest(facts: Facts) -> str:
    """SHA-256 over all fields of all rows, hex; the order of rows is of no account, every bit of an amount is."""
    lines = sorted(
        "\x1f".join((i, str(s), str(e), u, q, a.hex(), f))
        for i, s, e, u, q, a, f in zip(
            facts.id.tolist(),
            facts.start_ns.tolist(),
            facts.end_ns.tolist(),
            facts.unit.tolist(),
            facts.quantity.tolist(),
            facts.amount.tolist(),
            facts.factor.tolist(),
            strict=True,
        )
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def factors_of(given: Mapping[str, Any]) -> dict[str, float]:
    """Factors from outside, checked. Raises: DataError."""
    checked: dict[str, float] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not 0 < len(name) <= TEXT_MAX or not name.isprintable():
            raise DataError(f"a factor needs a name of 1 to {TEXT_MAX} printable characters")
        number = _number(value)
        if number is None or number <= 0:
            raise DataError(f"factor '{name}' is no finite number above zero")
        checked[name] = number
    return checked


def used_factors(facts: Facts) -> Iterable[str]:
    """The names of the factors that some row is taken at, sorted."""
    return (str(name) for name in np.unique(facts.factor) if name)
