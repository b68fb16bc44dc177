"""The factor tables that come with the app, read from `tables/*.toml`, and the names of carriers and areas."""

from __future__ import annotations

import pkgutil
import tomllib
from functools import cache
from typing import Any, Final

from headrace.apps.energy.factors import Factor, FactorBook
from headrace.model.errors import DataError, NotFound
from headrace.model.units import same_dimension

TABLES: Final = ("coal", "carbon", "grid")
#: Tonnes of CO2 that come of a tonne of carbon.
CO2_OF_CARBON: Final = 44 / 12


@cache
def shipped() -> FactorBook:
    """All factors that we ship, each with its source and how it was checked."""
    return FactorBook([factor for name in TABLES for factor in _factors(_read(name))])


@cache
def carriers() -> dict[str, dict[str, Any]]:
    """What carries energy: `en` and `zh` names, and whether it is `secondary` (made of another)."""
    return {name: {"secondary": False, **entry} for name, entry in _read("carriers").items()}


def check_measured(carrier: str, unit: str) -> None:
    """Whether a carrier is one, and can be measured in a unit: diesel in t or kg, not in L.

    Raises: DataError that says in which units.
    """
    if carrier not in carriers():
        raise DataError(f"there is no carrier '{carrier}'; there are {', '.join(sorted(carriers()))}")
    pers = sorted({one.per for one in shipped() if one.carrier == carrier})
    if pers and not any(same_dimension(unit, per) for per in pers):
        raise DataError(
            f"{carrier} counts in {' or '.join(pers)}, not in {unit}; convert what is measured by its density"
        )


def areas_of(area: str) -> tuple[str, ...]:
    """Where to look for a factor of electricity: the province, its grid, the country.

    Raises: NotFound for what is no area of ours.
    """
    read = _read("areas")
    if area in read["province"]:
        return (area, read["province"][area]["grid"], "CN")
    if area in read["region"]:
        return (area, "CN")
    if area == "CN":
        return ("CN",)
    known = ", ".join(["CN", *read["region"], *read["province"]])
    raise NotFound(f"there is no area '{area}'; there are {known}")


def area_names() -> dict[str, dict[str, str]]:
    """Each area by code, with its `en` and `zh` names."""
    read = _read("areas")
    named = {code: {"en": entry["en"], "zh": entry["zh"]} for part in read.values() for code, entry in part.items()}
    return {"CN": {"en": "China", "zh": "全国"}, **named}


def _factors(read: dict[str, Any]) -> list[Factor]:
    found: list[Factor] = []
    for table in read["table"]:
        common = {
            name: table[name] for name in ("kind", "edition", "source", "clause", "published", "since", "checked")
        }
        found += [
            Factor(
                carrier=row["carrier"],
                value=_value(row),
                unit=table["unit"],
                per=row["per"],
                area=row.get("area", ""),
                until=table.get("until"),
                **common,
            )
            for row in table["rows"]
        ]
    return found


def _value(row: dict[str, Any]) -> float:
    """As told, or of calorific value, carbon and the share that burns. Unrounded."""
    if "value" in row:
        return float(row["value"])
    return float(row["ncv_GJ"] * row["carbon_t_GJ"] * row["burnt"] * CO2_OF_CARBON)


@cache
def _read(name: str) -> dict[str, Any]:
    data = pkgutil.get_data("headrace.apps.energy", f"tables/{name}.toml")  # an app's process opens no file
    assert data is not None
    return tomllib.loads(data.decode())
