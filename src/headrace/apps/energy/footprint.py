"""The carbon footprint of a product: one record, told to customers as PACT 3.0 or Catena-X PCF 9.0.

    carbon of the span, allocated to the product ─┐
    materials (supplier's footprint × quantity) ──┼─► Footprint, kg of CO2e for a declared unit ─► forms.py
    energy not yet counted, transport, packaging ─┘

Source: ISO 14067:2018; PACT Methodology 3.0 §3.3, 4.2; Catena-X PCF Rulebook 4. Every input names its source and
whether it is primary (measured here, or by the supplier); the primary data share is worked out of them. A part that is
unknown has no footprint: what is sent to a customer is whole, or is not sent.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from headrace.apps.energy.completeness import Total
from headrace.model.errors import ConfigError, DataError

UNITS = (
    "liter", "kilogram", "cubic meter", "kilowatt hour", "megajoule", "ton kilometer", "square meter", "piece", "hour",
    "megabit second",
)  # fmt: skip
_URN = re.compile(r"[uU][rR][nN]:[A-Za-z0-9][A-Za-z0-9-]{0,31}:\S+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_SUBDIVISION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Input:
    """One contribution, in kg of CO2e for a declared unit. `stage`: production, packaging or distribution.

    `fossil` and the other kinds add up; `uptake` is negative. `primary`: from measured data, by us or the supplier.
    """

    name: str
    fossil: float = 0.0
    land_use_change: float = 0.0
    land_management: float = 0.0
    land_removals: float = 0.0
    biogenic_other: float = 0.0
    uptake: float = 0.0
    aircraft: float = 0.0
    stage: str = "production"
    primary: bool = False
    source: str = ""
    source_version: str = ""

    @property
    def excluding(self) -> float:
        """Without the uptake of biomass. `aircraft` is a part of `fossil`, told apart; it does not add."""
        return math.fsum(
            (self.fossil, self.land_use_change, self.land_management, self.land_removals, self.biogenic_other)
        )


@dataclass(frozen=True, slots=True)
class Quality:
    """Data quality ratings, 1 (best) … 5. Source: PACT Methodology 3.0 §4.2.3."""

    technological: float
    geographical: float
    temporal: float


@dataclass(frozen=True, slots=True)
class Company:
    name: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """`mass_kg` of a declared unit, without packaging; `carbon_kg` of fossil carbon in it, and of biomass."""

    name: str
    description: str
    ids: tuple[str, ...]
    unit: str
    amount: float
    mass_kg: float
    classifications: tuple[str, ...] = ()
    fossil_carbon_kg: float = 0.0
    biogenic_carbon_kg: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where it was made. The finest that is given is told; a `region` is one of the UN's names."""

    region: str = ""
    country: str = ""
    subdivision: str = ""


@dataclass(frozen=True, slots=True)
class Footprint:
    """All that both forms need. Immutable: a footprint that changes is another, which names the one before it.

    Raises, when it is made: ConfigError for what no customer could take.
    """

    id: str
    company: Company
    product: Product
    place: Place
    inputs: tuple[Input, ...]
    start: datetime
    end: datetime
    created: datetime
    gwp: str = "AR6"
    standards: tuple[str, ...] = ("ISO14067", "PACT-3.0")
    rules: tuple[tuple[str, str], ...] = ()
    boundary: str = ""
    allocation: str = ""
    exempted_percent: float = 0.0
    exempted_why: str = ""
    packaging_included: bool = False
    distribution_included: bool = False
    quality: Quality | None = None
    status: str = "Active"
    preceding: tuple[str, ...] = ()
    comment: str = ""
    valid_until: datetime | None = field(default=None)

    def __post_init__(self) -> None:
        for wrong, what in _wrongs(self):
            if wrong:
                raise ConfigError(f"the footprint of {self.product.name or 'a product'}: {what}")

    def of(self, *stages: str) -> tuple[Input, ...]:
        return tuple(one for one in self.inputs if one.stage in stages)

    def sum(self, part: str, *stages: str) -> float:
        """One kind of emission over some stages, in kg of CO2e for a declared unit."""
        return math.fsum(getattr(one, part) for one in self.of(*stages))

    @property
    def counted(self) -> tuple[str, ...]:
        """Stages within the boundary of the PCF. Distribution is told apart, whoever pays for it."""
        return ("production", "packaging") if self.packaging_included else ("production",)

    @property
    def excluding(self) -> float:
        """The PCF without uptake of biomass, in kg of CO2e for a declared unit."""
        return self.sum("excluding", *self.counted)

    @property
    def including(self) -> float:
        return math.fsum((self.excluding, self.sum("uptake", *self.counted)))

    @property
    def primary_percent(self) -> float:
        """The share of the PCF (by size, without uptake) that comes of measured data. Source: PACT Methodology
        §4.2.2."""
        inputs = self.of(*self.counted)
        whole = math.fsum(abs(one.excluding) for one in inputs)
        return 100.0 * math.fsum(abs(one.excluding) for one in inputs if one.primary) / whole if whole else 0.0

    @property
    def secondary_sources(self) -> list[tuple[str, str]]:
        """Databases that were used, with their versions; each once."""
        named = {(one.source, one.source_version) for one in self.of(*self.counted) if not one.primary and one.source}
        return sorted(named)

    def renewed(self, id: str, created: datetime, inputs: tuple[Input, ...], comment: str) -> Footprint:
        """The footprint that takes the place of this one, after a factor or data changed; it names this one."""
        return replace(
            self, id=id, created=created, inputs=inputs, preceding=(*self.preceding, self.id), comment=comment
        )

    def deprecated(self) -> Footprint:
        return replace(self, status="Deprecated")


def production_input(name: str, emitted: Total, quantity: float, *, completeness_min: float = 0.98) -> Input:
    """What the plant emitted for `quantity` declared units (from `carbon.py` and `allocation.py`), as a primary input.

    Raises: DataError where too little of it is known, saying what is missing; nothing is filled in.
    """
    if not quantity > 0:
        raise DataError(f"{name} was emitted for nothing made; a footprint needs a quantity above 0")
    covered = emitted.covered
    if emitted.value is None or (covered is not None and covered < completeness_min):
        missing = ", ".join(emitted.missing[:10]) or "all"
        raise DataError(
            f"{name} is known for {(covered or 0.0):.1%} of its time, less than {completeness_min:.0%}; "
            f"missing: {missing}. Give the readings that are missing before a footprint is told"
        )
    kg = emitted.within("kg{CO2e}").value
    assert kg is not None
    return Input(name, fossil=kg / quantity, primary=True)


def material_input(
    name: str, footprint_kg: float, quantity: float, *, primary: bool, source: str, source_version: str = ""
) -> Input:
    """`quantity` of a material in a declared unit, by its own footprint (kg of CO2e a unit of it)."""
    if quantity < 0 or not math.isfinite(footprint_kg):
        raise DataError(f"the footprint of {name} is no number, or its quantity below 0")
    return Input(name, fossil=footprint_kg * quantity, primary=primary, source=source, source_version=source_version)


def moment(time: datetime) -> str:
    """As both forms write it: UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def decimal(value: float) -> str:
    """A number as PACT writes it: digits and a point, no exponent, as short as it can be read back the same."""
    if not math.isfinite(value):
        raise DataError(f"{value} cannot be written in a footprint")
    text = format(value, ".17g") if float(repr(value)) != value else repr(float(value))
    if "e" in text:
        text = format(value, ".30f").rstrip("0")
        text = text if float(text) == value else format(value, ".330f").rstrip("0")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _wrongs(footprint: Footprint) -> list[tuple[bool, str]]:
    product, place = footprint.product, footprint.place
    stages = {one.stage for one in footprint.inputs} - {"production", "packaging", "distribution"}
    urns = [*footprint.company.ids, *product.ids, *product.classifications]
    bad = next((urn for urn in urns if not _URN.fullmatch(urn)), "")
    return [
        (not _UUID.fullmatch(footprint.id), f"'{footprint.id}' is no UUID"),
        (any(not _UUID.fullmatch(one) for one in footprint.preceding), "one that it takes the place of has no UUID"),
        (not footprint.company.name or not footprint.company.ids, "the company needs a name and an identifier"),
        (not product.name or not product.ids, "the product needs a name and an identifier"),
        (bool(bad), f"'{bad}' is no URN; write such as urn:gtin:4712345060507"),
        (product.unit not in UNITS, f"'{product.unit}' is no declared unit; it can be {', '.join(UNITS)}"),
        (not 0 < product.amount < math.inf, "the declared amount has to be above 0"),
        (not 0 <= product.mass_kg < math.inf, "the mass of a declared unit is missing"),
        (not footprint.inputs, "it has no inputs"),
        (bool(stages), f"there is no stage {', '.join(sorted(stages))}; there are production, packaging, distribution"),
        (any(not math.isfinite(one.excluding + one.uptake) for one in footprint.inputs), "an input is no number"),
        (
            any(one.uptake > 0 or one.land_removals > 0 for one in footprint.inputs),
            "uptake and removals are 0 or negative",
        ),
        (
            any(
                min(one.fossil, one.land_use_change, one.land_management, one.biogenic_other, one.aircraft) < 0
                for one in footprint.inputs
            ),
            "an emission is negative; credits are not taken off emissions",
        ),
        (footprint.excluding < 0, "without uptake it is below 0"),
        (any(one.tzinfo is None for one in (footprint.start, footprint.end, footprint.created)), "a time has no zone"),
        (footprint.end <= footprint.start, "its reference period ends before it begins"),
        (not 0 <= footprint.exempted_percent <= 10, "more than 10 % is exempted, which Catena-X does not take"),
        (footprint.exempted_percent > 0 and not footprint.exempted_why, "say why emissions are exempted"),
        (bool(place.country) and not _COUNTRY.fullmatch(place.country), f"'{place.country}' is no ISO 3166 country"),
        (
            bool(place.subdivision) and not _SUBDIVISION.fullmatch(place.subdivision),
            f"'{place.subdivision}' is no ISO 3166-2 code, such as CN-JS",
        ),
        (footprint.status not in ("Active", "Deprecated"), "its status is Active or Deprecated"),
        (not re.fullmatch(r"AR\d+", footprint.gwp), "its warming potentials are AR5 or AR6"),
        (not footprint.standards, "name the standard it follows, such as ISO14067"),
    ]
