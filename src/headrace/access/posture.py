"""Which settings in force are as advised: facts in, a judgement of each out. No I/O.

What is advised is told in docs/operations.md and docs/security.md. Nothing here changes a setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.sdk.accounts import TenantPolicy
from headrace.sdk.posture import Judged, SettingInForce

IDLE_S_ADVISED: Final = 3600
AUDIT_DAYS_LEAST: Final = 183
CERTIFICATE_DAYS_LEAST: Final = 14
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """What is in force. `idle_s` is what the platform says where the policy says nothing; `certificate_days` None where
    this process does no TLS. The last four are names of connections, gateways, outlets and tokens."""

    address: str
    loopback: bool
    tls: bool
    behind_tls: bool
    certificate_days: float | None
    policy: TenantPolicy
    idle_s: int
    key_at_home: bool
    audit_days: int | None
    reach: Sequence[str]
    plain_links: Sequence[str] = ()
    plain_gateways: Sequence[str] = ()
    without_identity: Sequence[str] = ()
    endless_tokens: Sequence[str] = ()


def settings_in_force(facts: Facts) -> Sequence[SettingInForce]:
    return tuple(_judged(facts))


def _judged(facts: Facts) -> Iterator[SettingInForce]:
    policy = facts.policy
    how = "tls" if facts.tls else "behind-tls" if facts.behind_tls else "plain"
    yield SettingInForce(
        "listening", f"{how} {facts.address}", "TLS wherever other machines reach it",
        _if(facts.loopback or facts.tls, look=facts.behind_tls), "62443-3-3 SR 3.1",
    )  # fmt: skip
    if facts.certificate_days is not None:
        yield SettingInForce(
            "console-certificate", f"{facts.certificate_days:.0f} d", f"{CERTIFICATE_DAYS_LEAST} d or more",
            _if(facts.certificate_days >= CERTIFICATE_DAYS_LEAST), "62443-3-3 SR 1.8",
        )  # fmt: skip
    yield SettingInForce(
        "second-factor", policy.second_factor, "administrators, or everyone",
        _if(policy.second_factor != "off"), "62443-3-3 SR 1.1 RE 2",
    )  # fmt: skip
    yield SettingInForce(
        "separate-duties", "on" if policy.separate_duties else "off", "on, where there are three people for it",
        _if(policy.separate_duties, look=True), "62443-3-3 SR 2.1",
    )  # fmt: skip
    idle_s = facts.idle_s if policy.session_idle_s is None else policy.session_idle_s
    yield SettingInForce(
        "session-idle",
        f"{idle_s} s",
        f"{IDLE_S_ADVISED} s or less, but for screens of a control room",
        _if(idle_s <= IDLE_S_ADVISED, look=True),
        "62443-3-3 SR 2.5",
    )
    yield SettingInForce(
        "notice", "set" if policy.notice else "none", "what your law or works agreement asks for",
        _if(bool(policy.notice), look=True), "62443-3-3 SR 1.12",
    )  # fmt: skip
    yield SettingInForce(
        "seal-key", "home" if facts.key_at_home else "elsewhere",
        "elsewhere (--seal-key), so that a copied disk opens nothing",
        _if(not facts.key_at_home, look=True), "62443-3-3 SR 4.1 RE 1",
    )  # fmt: skip
    if facts.audit_days is not None:
        yield SettingInForce(
            "audit-kept", f"{facts.audit_days} d", f"{AUDIT_DAYS_LEAST} d or more",
            _if(facts.audit_days >= AUDIT_DAYS_LEAST), "GB/T 22239-2019 8.1.4.3",
        )  # fmt: skip
    yield SettingInForce(
        "reach", _named(facts.reach, "any"),
        "the networks of the plant and of partners alone (--reach)",
        _if(bool(facts.reach), look=True), "62443-3-3 SR 5.2 RE 1",
    )  # fmt: skip
    yield SettingInForce(
        "plain-gateways", _named(facts.plain_gateways), "none: passwords of devices can be read on the way",
        _if(not facts.plain_gateways), "62443-3-3 SR 3.1 RE 1",
    )  # fmt: skip
    yield SettingInForce(
        "plain-links", _named(facts.plain_links), "none: values and passwords can be read and altered on the way",
        _if(not facts.plain_links), "62443-3-3 SR 3.1 RE 1",
    )  # fmt: skip
    yield SettingInForce(
        "machines-without-identity", _named(facts.without_identity), "behind an edge, on a network of their own",
        _if(not facts.without_identity, look=True), "62443-3-3 SR 5.1",
    )  # fmt: skip
    yield SettingInForce(
        "endless-tokens", _named(facts.endless_tokens), "none: a token has an end",
        _if(not facts.endless_tokens, look=True), "62443-3-3 SR 1.5",
    )  # fmt: skip


def _if(good: bool, *, look: bool = False) -> Judged:
    return Judged.ADVISED if good else Judged.LOOK if look else Judged.DIFFERS


def _named(names: Sequence[str], none: str = "none") -> str:
    if not names:
        return none
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
