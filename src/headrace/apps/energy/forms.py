"""A footprint as others read it: PACT 3.0 (`ProductFootprint`) and Catena-X (`io.catenax.pcf` 9.0.0).

PACT writes numbers as texts, has one geography (the finest), and leaves out what does not apply. Catena-X writes
numbers, has stages, wants a region always, and puts every group into a list of one.
Source: PACT Technical Specifications 3.0.3, schema ProductFootprint; Catena-X CX-0136, Pcf 9.0.0.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from headrace.apps.energy.footprint import Footprint, decimal, moment
from headrace.model.errors import ConfigError

PACT_VERSION: Final = "3.0.0"
CATENAX_VERSION: Final = "urn:io.catenax.pcf:datamodel:version:9.0.0"
VALID_YEARS: Final = 3
#: The UN's subregion of a country, for Catena-X, which has no form without; of others it is given by hand.
REGIONS: Final = {
    "CN": "Eastern Asia", "JP": "Eastern Asia", "KR": "Eastern Asia", "DE": "Western Europe", "FR": "Western Europe",
    "NL": "Western Europe", "AT": "Western Europe", "CH": "Western Europe", "BE": "Western Europe",
    "IT": "Southern Europe", "ES": "Southern Europe", "PL": "Eastern Europe", "CZ": "Eastern Europe",
    "HU": "Eastern Europe", "GB": "Northern Europe", "SE": "Northern Europe", "US": "Northern America",
    "CA": "Northern America", "MX": "Latin America and the Caribbean", "BR": "Latin America and the Caribbean",
    "IN": "Southern Asia", "TH": "South-eastern Asia", "VN": "South-eastern Asia", "MY": "South-eastern Asia",
}  # fmt: skip
_STANDARDS: Final = {"ISO14067": "ISO 14067", "ISO14083": "ISO 14083", "ISO14040-44": "ISO 14040-44"}
_PACT_OPERATORS: Final = ("PEF", "EPD International")


def pact(footprint: Footprint) -> dict[str, Any]:
    """The footprint as a PACT 3.0 `ProductFootprint`."""
    product = footprint.product
    return _filled(
        {
            "id": footprint.id,
            "specVersion": PACT_VERSION,
            "precedingPfIds": list(footprint.preceding),
            "created": moment(footprint.created),
            "status": footprint.status,
            "validityPeriodStart": moment(footprint.end),
            "validityPeriodEnd": moment(_valid_until(footprint)),
            "companyName": footprint.company.name,
            "companyIds": list(footprint.company.ids),
            "productDescription": product.description,
            "productIds": list(product.ids),
            "productClassifications": list(product.classifications),
            "productNameCompany": product.name,
            "comment": footprint.comment,
            "pcf": _pact_pcf(footprint),
        },
        keep=("productDescription",),
    )


def _pact_pcf(footprint: Footprint) -> dict[str, Any]:
    product, stages = footprint.product, footprint.counted
    distributed = footprint.sum("excluding", "distribution")
    packaged = footprint.sum("excluding", "packaging")
    return _filled(
        {
            "declaredUnitOfMeasurement": product.unit,
            "declaredUnitAmount": decimal(product.amount),
            "productMassPerDeclaredUnit": decimal(product.mass_kg),
            "referencePeriodStart": moment(footprint.start),
            "referencePeriodEnd": moment(footprint.end),
            **_pact_place(footprint),
            "boundaryProcessesDescription": footprint.boundary,
            "pcfExcludingBiogenicUptake": decimal(footprint.excluding),
            "pcfIncludingBiogenicUptake": decimal(footprint.including),
            "fossilCarbonContent": decimal(product.fossil_carbon_kg),
            "biogenicCarbonContent": decimal(product.biogenic_carbon_kg),
            "fossilGhgEmissions": decimal(footprint.sum("fossil", *stages)),
            "landUseChangeGhgEmissions": decimal(footprint.sum("land_use_change", *stages)),
            "landManagementBiogenicCO2Emissions": decimal(footprint.sum("land_management", *stages)),
            "landManagementBiogenicCO2Removals": decimal(footprint.sum("land_removals", *stages)),
            "biogenicCO2Uptake": decimal(footprint.sum("uptake", *stages)),
            "biogenicNonCO2Emissions": decimal(footprint.sum("biogenic_other", *stages)),
            "aircraftGhgEmissions": decimal(footprint.sum("aircraft", *stages)),
            "packagingEmissionsIncluded": footprint.packaging_included,
            "packagingGhgEmissions": decimal(packaged) if footprint.packaging_included else "",
            "outboundLogisticsGhgEmissions": decimal(distributed) if footprint.distribution_included else "",
            "ccsTechnologicalCO2CaptureIncluded": False,
            "ipccCharacterizationFactors": [footprint.gwp],
            "crossSectoralStandards": list(footprint.standards),
            "productOrSectorSpecificRules": [_pact_rule(operator, name) for operator, name in footprint.rules],
            "exemptedEmissionsPercent": decimal(footprint.exempted_percent),
            "exemptedEmissionsDescription": footprint.exempted_why,
            "allocationRulesDescription": footprint.allocation,
            "secondaryEmissionFactorSources": [
                {"name": name, "version": version or "not told"} for name, version in footprint.secondary_sources
            ],
            "primaryDataShare": decimal(footprint.primary_percent),
            "dqi": None
            if footprint.quality is None
            else {
                "technologicalDQR": decimal(footprint.quality.technological),
                "geographicalDQR": decimal(footprint.quality.geographical),
                "temporalDQR": decimal(footprint.quality.temporal),
            },
        }
    )


def _pact_place(footprint: Footprint) -> dict[str, str]:
    """One of them alone; none at all is Global."""
    place = footprint.place
    if place.subdivision:
        return {"geographyCountrySubdivision": place.subdivision}
    if place.country:
        return {"geographyCountry": place.country}
    return {"geographyRegionOrSubregion": place.region} if place.region and place.region != "Global" else {}


def _pact_rule(operator: str, name: str) -> dict[str, Any]:
    if operator in _PACT_OPERATORS:
        return {"operator": operator, "ruleNames": [name]}
    return {"operator": "Other", "ruleNames": [name], "otherOperatorName": operator}


def catenax(footprint: Footprint) -> dict[str, Any]:
    """The footprint as Catena-X PCF 9.0.0. Raises: ConfigError for a country whose region has to be given."""
    product = footprint.product
    return {
        "scopeOfPcfForm": [{"specVersion": CATENAX_VERSION, "partialFullPcf": "Cradle-to-gate"}],
        "companyAndProductInformation": [
            {
                "companyInformation": [
                    {"companyName": footprint.company.name, "companyIds": list(footprint.company.ids)}
                ],
                "productInformation": [
                    {
                        "productNameCompany": product.name,
                        "productDescription": product.description,
                        "productIds": list(product.ids),
                        "productClassifications": list(product.classifications),
                        "declaredUnitOfMeasurement": "megabit" if product.unit == "megabit second" else product.unit,
                        "declaredUnitAmount": product.amount,
                        "productMassPerDeclaredUnit": product.mass_kg,
                    }
                ],
            }
        ],
        "pcfAssessmentAndMethodology": [_catenax_method(footprint)],
        "general": [_filled({"comment": footprint.comment})],
        "carbonContent": [
            {
                "carbonContentTotal": product.fossil_carbon_kg + product.biogenic_carbon_kg,
                "fossilCarbonContent": product.fossil_carbon_kg,
                "biogenicCarbonContent": product.biogenic_carbon_kg,
            }
        ],
        "productLifeCycleStagesAndEmissions": [
            {
                "productionStage": [_stage(footprint, "production", "")],
                "packagingStage": [
                    {"packagingEmissionsIncluded": footprint.packaging_included}
                    | (_stage(footprint, "packaging", "packaging") if footprint.packaging_included else {})
                ],
                "distributionStage": [
                    {"distributionStageIncluded": footprint.distribution_included}
                    | (
                        _stage(footprint, "distribution", "distributionStage")
                        if footprint.distribution_included
                        else {}
                    )
                ],
            }
        ],
    }


def _stage(footprint: Footprint, stage: str, head: str) -> dict[str, float]:
    """Emissions of one stage, each named with the head of that stage. Uptake in packaging counts within its own
    total."""
    excluding = footprint.sum("excluding", stage)
    including = excluding + footprint.sum("uptake", stage)
    named = {
        "pcfExcludingBiogenicUptake": excluding,
        "pcfIncludingBiogenicUptake": max(0.0, including) if stage == "packaging" else including,
        "fossilGhgEmissions": footprint.sum("fossil", stage),
        "landUseChangeGhgEmissions": footprint.sum("land_use_change", stage),
        "landManagementBiogenicCO2Emissions": footprint.sum("land_management", stage),
        "landManagementBiogenicCO2Removals": footprint.sum("land_removals", stage),
        "biogenicCO2Uptake": footprint.sum("uptake", stage),
        "biogenicNonCO2Emissions": footprint.sum("biogenic_other", stage),
        "aircraftGhgEmissions": footprint.sum("aircraft", stage),
    }
    return {(head + name[0].upper() + name[1:] if head else name): value for name, value in named.items()}


def _catenax_method(footprint: Footprint) -> dict[str, Any]:
    quality = footprint.quality
    return {
        "dataSourcesAndQuality": [
            _filled(
                {
                    "primaryDataShare": footprint.primary_percent,
                    "secondaryEmissionFactorSources": [
                        f"{name} {version}".strip() for name, version in footprint.secondary_sources
                    ],
                    "technologicalDQR": quality.technological if quality else None,
                    "geographicalDQR": quality.geographical if quality else None,
                    "temporalDQR": quality.temporal if quality else None,
                }
            )
        ],
        "pcfMethodology": [
            {
                "standards": [
                    {
                        "crossSectoralStandards": [_STANDARDS.get(name, name) for name in footprint.standards],
                        "productOrSectorSpecificRules": list(
                            dict.fromkeys(f"{operator}: {name}" for operator, name in footprint.rules)
                        ),
                    }
                ],
                "gwpCharacterizationFactorDetails": [
                    {
                        "ipccCharacterizationFactors": footprint.gwp
                        if footprint.gwp in ("AR4", "AR5", "AR6")
                        else "unspecified"
                    }
                ],
                "massBalancingInformation": [
                    {
                        "massBalancingUsed": False,
                        "freeAttributionInMassBalancing": "not applicable",
                        "massBalancingCertificateScheme": "not applicable",
                    }
                ],
                "allocationInForeground": [
                    _filled(
                        {
                            "allocationWasteIncineration": "cut-off",
                            "allocationRecycledCarbon": "cut-off",
                            "allocationRulesDescription": footprint.allocation,
                        }
                    )
                ],
            }
        ],
        "pcfAssessmentInformation": [
            {
                "technology": [
                    _filled(
                        {
                            "ccsTechnologicalCO2CaptureIncluded": False,
                            "boundaryProcessesDescription": footprint.boundary,
                        }
                    )
                ],
                "boundarySpecifications": [
                    _filled(
                        {
                            "exemptedEmissionsPercent": footprint.exempted_percent,
                            "exemptedEmissionsDescription": footprint.exempted_why,
                        }
                    )
                ],
                "time": [
                    {
                        "referencePeriodStart": moment(footprint.start),
                        "referencePeriodEnd": moment(footprint.end),
                        "created": moment(footprint.created),
                        "validityPeriodStart": moment(footprint.end),
                        "validityPeriodEnd": moment(_valid_until(footprint)),
                    }
                ],
                "geography": [_catenax_place(footprint)],
                "idAndVersion": [
                    _filled(
                        {
                            "id": footprint.id,
                            "version": len(footprint.preceding),
                            "status": footprint.status,
                            "retroOrProspectivePcfType": "Retrospective PCF",
                            "precedingPfIds": [{"id": one} for one in footprint.preceding],
                        }
                    )
                ],
            }
        ],
    }


def _catenax_place(footprint: Footprint) -> dict[str, str]:
    place = footprint.place
    country = place.country or place.subdivision[:2]
    region = place.region or (REGIONS.get(country, "") if country else "Global")
    if not region:
        raise ConfigError(
            f"the footprint of {footprint.product.name}: give the UN region of {country} for Catena-X, "
            "such as Eastern Asia"
        )
    return _filled(
        {
            "geographyRegionOrSubregion": region,
            "geographyCountry": country,
            "geographyCountrySubdivision": place.subdivision,
        }
    )


def _valid_until(footprint: Footprint) -> datetime:
    """Three years after the reference period, as PACT has it where nothing else is said."""
    if footprint.valid_until is not None:
        return footprint.valid_until
    end = footprint.end
    leap = end.month == 2 and end.day == 29
    return end.replace(year=end.year + VALID_YEARS, day=28 if leap else end.day)


def _filled(form: dict[str, Any], keep: tuple[str, ...] = ()) -> dict[str, Any]:
    """Without what is empty: both forms want such left out."""
    return {name: value for name, value in form.items() if name in keep or value not in (None, "", [])}
