"""Security settings in force beside what is advised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.access.posture import Facts, settings_in_force
from headrace.sdk.accounts import TenantPolicy
from headrace.sdk.posture import Judged

GOOD = Facts(
    address="0.0.0.0:8470",
    loopback=False,
    tls=True,
    behind_tls=False,
    certificate_days=80.0,
    policy=TenantPolicy(separate_duties=True, second_factor="everyone", session_idle_s=900, notice="For work alone."),
    idle_s=43_200,
    key_at_home=False,
    audit_days=200,
    reach=("10.1.0.0/16",),
)
CLAUSE = pytest.mark.clause("62443-3-3 SR 7.6", "62443-3-3 SR 7.6 RE 1")


def judged(facts: Facts) -> dict[str, Judged]:
    return {one.name: one.judged for one in settings_in_force(facts)}


@CLAUSE
def test_an_installation_that_is_set_as_advised() -> None:
    found = judged(GOOD)
    assert set(found.values()) == {Judged.ADVISED} and len(found) == 13


@CLAUSE
@pytest.mark.parametrize(
    ("name", "change", "how"),
    [
        ("listening", {"tls": False}, Judged.DIFFERS),
        ("listening", {"tls": False, "behind_tls": True}, Judged.LOOK),
        ("console-certificate", {"certificate_days": 13.9}, Judged.DIFFERS),
        ("second-factor", {"policy": TenantPolicy(separate_duties=True)}, Judged.DIFFERS),
        ("separate-duties", {"policy": TenantPolicy(second_factor="everyone")}, Judged.LOOK),
        ("session-idle", {"policy": TenantPolicy(second_factor="everyone")}, Judged.LOOK),
        ("notice", {"policy": TenantPolicy(second_factor="everyone")}, Judged.LOOK),
        ("seal-key", {"key_at_home": True}, Judged.LOOK),
        ("audit-kept", {"audit_days": 182}, Judged.DIFFERS),
        ("reach", {"reach": ()}, Judged.LOOK),
        ("plain-gateways", {"plain_gateways": ("gate",)}, Judged.DIFFERS),
        ("plain-links", {"plain_links": ("plc", "erp")}, Judged.DIFFERS),
        ("machines-without-identity", {"without_identity": ("plc",)}, Judged.LOOK),
        ("endless-tokens", {"endless_tokens": ("grafana",)}, Judged.LOOK),
    ],
)
def test_each_that_is_not_is_told_and_named(name: str, change: dict[str, Any], how: Judged) -> None:
    found = judged(replace(GOOD, **change))
    assert found[name] is how
    others = {one for one, verdict in found.items() if verdict is not Judged.ADVISED}
    assert others == {name} or "policy" in change


def test_what_is_not_there_is_not_judged_and_long_lists_are_cut() -> None:
    found = {one.name: one for one in settings_in_force(replace(GOOD, certificate_days=None, audit_days=None))}
    assert not {"console-certificate", "audit-kept"} & set(found)
    many = [f"plc-{number}" for number in range(9)]
    found = {one.name: one for one in settings_in_force(replace(GOOD, plain_links=many))}
    assert found["plain-links"].value == "plc-0, plc-1, plc-2, plc-3, plc-4 and 4 more"
