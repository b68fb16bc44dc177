"""A baseline that is frozen: once signed it is read, compared with its rows, and never computed again.

    definition + rows + factors ──draft──► document: sums by period, figures, digests, who and when ──► signed
                                             │
    rows and factors of today ────standing───┤   "it no longer matches its rows: 2026-03-04, 2026-03-05"
    rows of the report span ──────evaluate───┘   with the sums and factors of the document, not of today

The document holds all that a comparison needs, so a row that is corrected later cannot move the baseline unseen: it is
shown beside it, and whoever wants the correction to count freezes another one. What is signed (by
the platform: Ed25519) is a purpose, a zero byte and the document without its signature as JSON with sorted keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.apps.outcomes.comparing import planned
from headrace.apps.outcomes.definition import Definition, Span, definition_of
from headrace.apps.outcomes.effects import ratio_of
from headrace.apps.outcomes.facts import Facts, digest, factors_of, used_factors
from headrace.apps.outcomes.panel import Panel, days_of, panel_of, within
from headrace.apps.outcomes.said import Said
from headrace.model.errors import DataError
from headrace.model.time import format_time, parse_time_ns

KIND: Final = "headrace outcomes baseline 1"
_PURPOSE: Final = b"headrace outcomes baseline 1\x00"
CHANGES_SAID_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a signed document says. `document` is the whole of it, as it is kept and handed out."""

    definition: Definition
    factors: Mapping[str, float]
    panel: Panel
    period_digests: tuple[str, ...]
    frozen_ns: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a baseline stands today. `periods`: first days of periods whose rows are other than they were, ISO;
    `factors`: name, frozen value, value of today (None: gone)."""

    signed: bool
    rows_frozen: int
    rows_now: int
    periods: tuple[str, ...]
    factors: tuple[tuple[str, float, float | None], ...]

    @property
    def matches(self) -> bool:
        return self.signed and not self.periods and not self.factors

    def reasons(self) -> list[Said]:
        """What does not match; empty where all does."""
        said = [] if self.signed else [Said("unsigned")]
        if self.periods:
            first = ", ".join(self.periods[:CHANGES_SAID_MAX]) + (", …" if len(self.periods) > CHANGES_SAID_MAX else "")
            said.append(
                Said("rows_changed", count=len(self.periods), days=first, frozen=self.rows_frozen, now=self.rows_now)
            )
        for name, frozen, now in self.factors[:CHANGES_SAID_MAX]:
            said.append(Said("factor_changed", name=name, frozen=frozen, now="—" if now is None else now))
        return said


def draft(definition: Definition, facts: Facts, factors: Mapping[str, float], *, by: str, at_ns: int) -> dict[str, Any]:
    """The document, to be signed.

    Raises: DataError where the span has not ended, a row or factor cannot be used, or a measure has no rows.
    """
    edges_ns = definition.edges_ns(definition.baseline)
    if at_ns < edges_ns[-1]:
        raise DataError(f"the baseline ends at {format_time(int(edges_ns[-1]))}: it cannot be frozen before that")
    rows = within(definition, definition.baseline, facts)
    used = {name: factors[name] for name in used_factors(rows) if name in factors}
    panel = panel_of(definition, definition.baseline, rows, used)
    figures = {}
    for measure in definition.family:
        ratio = ratio_of(*panel.pair(measure))
        figure = ratio.figure(measure.scale)
        if figure is None:
            raise DataError(f"{measure.id} has no {measure.denominator} in the baseline: give rows, or leave it out")
        figures[measure.id] = {
            "numerator": ratio.numerator,
            "denominator": ratio.denominator,
            "figure": figure,
            "unit": measure.unit,
            "periods": ratio.periods,
            "missing": ratio.missing,
        }
    return {
        "kind": KIND,
        "definition": definition.document(),
        "frozen_at": format_time(at_ns),
        "frozen_by": by,
        "rows": {"count": len(rows), "digest": digest(rows), "by_period": _digests(panel.edges_ns, rows)},
        "factors": used,
        "panel": {
            "quantities": list(panel.quantities),
            "sums": [[None if np.isnan(value) else float(value) for value in row] for row in panel.sums],
        },
        "figures": figures,
        "detectable": planned(definition, panel),
    }


def baseline_of(document: Mapping[str, Any]) -> Baseline:
    """A document as it was kept; its signature is judged by `standing`. Raises: DataError where it is none."""
    if document.get("kind") != KIND:
        raise DataError(f"this is no baseline: its kind is '{str(document.get('kind'))[:60]}', not '{KIND}'")
    try:
        definition = definition_of(document["definition"])
        quantities = tuple(str(name) for name in document["panel"]["quantities"])
        sums = np.array(
            [[np.nan if value is None else float(value) for value in row] for row in document["panel"]["sums"]]
        )
        digests = tuple(str(each) for each in document["rows"]["by_period"])
        factors = factors_of(document["factors"])
        frozen_ns = parse_time_ns(str(document["frozen_at"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("this baseline lacks a part that every baseline has", detail=repr(error)) from None
    edges_ns = definition.edges_ns(definition.baseline)
    if sums.shape != (len(edges_ns) - 1, len(quantities)) or len(digests) != len(edges_ns) - 1:
        raise DataError("this baseline's sums are not those of its periods and quantities")
    return Baseline(definition, factors, Panel(edges_ns, quantities, sums), digests, frozen_ns, document)


def standing(baseline: Baseline, facts: Facts, factors: Mapping[str, float], *, signed: bool) -> Standing:
    """The baseline against rows and factors of today; `facts` may hold more than it counts. `signed`: whether its
    signature holds."""
    span = baseline.definition.baseline
    rows = within(baseline.definition, span, facts)
    days = days_of(baseline.definition, baseline.panel.edges_ns)
    now = _digests(baseline.panel.edges_ns, rows)
    changed = [day for day, was, is_now in zip(days, baseline.period_digests, now, strict=True) if was != is_now]
    moved = [
        (name, frozen, factors.get(name)) for name, frozen in baseline.factors.items() if factors.get(name) != frozen
    ]
    return Standing(
        signed,
        int(baseline.document["rows"]["count"]),
        len(rows),
        tuple(changed),
        tuple(moved),
    )


def rows_behind(definition: Definition, span: Span, facts: Facts, quantity: str) -> Facts:
    """The rows that a sum is made of, in order of time, then of id."""
    rows = within(definition, span, facts)
    rows = rows.pick(rows.quantity == quantity)
    return rows.pick(np.lexsort((rows.id, rows.start_ns)))


def _digests(edges_ns: NDArray[np.int64], rows: Facts) -> list[str]:
    """Of each period the digest of the rows that begin in it. Shape: (periods,)."""
    place = np.searchsorted(edges_ns, rows.start_ns, "right") - 1
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(len(edges_ns)))
    return [digest(rows.pick(order[low:high])) for low, high in pairwise(bounds.tolist())]


def message_of(document: Mapping[str, Any]) -> bytes:
    """What the signature of a document is over, whatever the order of its keys."""
    unsigned = {key: value for key, value in document.items() if key != "signature"}
    text = json.dumps(unsigned, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return _PURPOSE + text.encode()
