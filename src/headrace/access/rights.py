"""From roles on parts of the plant to what somebody may do where. Pure: the same accounts and time give the same.

role on the whole ┐
roles on subtrees ├─ union by action ─ meet the tenant's roots ─► Rights, good until the first part of it ends
partner grants    ┘
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headrace.access.roles import actions_of
from headrace.model.areas import Area, area_of
from headrace.sdk.access import DEFAULT_TENANT, Action, Rights, Shared
from headrace.sdk.accounts import Part, PartnerGrant, Tenant


def land_of(tenant: str, tenants: Mapping[str, Tenant]) -> Area:
    """All that a tenant owns; the platform's own has what nobody else has."""
    if tenant == DEFAULT_TENANT:
        return area_of(("",), (root for one in tenants.values() for root in one.roots))
    known = tenants.get(tenant)
    return area_of(() if known is None or known.disabled else known.roots)


def rights_of(
    parts: Iterable[Part],
    land: Area,
    own_roles: Mapping[str, frozenset[Action]],
    received: Iterable[PartnerGrant],
    *,
    operates: bool,
    only: frozenset[Action] | None = None,
    now_ns: int,
) -> Rights:
    """`parts` with path '' count on the whole tenant. `operates` says that the tenant is the platform's own: only there
    OPERATE means something. `only` narrows it: a token's scopes."""
    within: dict[Action, list[str]] = {}
    whole: set[Action] = set()
    ends: list[int] = []
    for part in parts:
        if part.expires_ns is not None:
            if part.expires_ns <= now_ns:
                continue
            ends.append(part.expires_ns)
        for action in actions_of(part.role, own_roles):
            if (only is not None and action not in only) or (action is Action.OPERATE and not operates):
                continue
            within.setdefault(action, []).append(part.path)
            if not part.path:
                whole.add(action)
    areas = {action: _meet(paths, land) for action, paths in within.items()}
    shared: list[Shared] = []
    if Action.VIEW in whole:
        for grant in received:
            if grant.revoked_ns is not None or (grant.expires_ns is not None and grant.expires_ns <= now_ns):
                continue
            moments = (grant.expires_ns, grant.start_ns, grant.end_ns)
            ends += [moment for moment in moments if moment is not None and moment > now_ns]
            shared.append(
                Shared(
                    grant.id, grant.owner, grant.subtree, grant.patterns, grant.start_ns, grant.end_ns,
                    grant.expires_ns, grant.purpose,
                )
            )  # fmt: skip
    return Rights(areas, frozenset(whole), tuple(shared), min(ends, default=None))


def _meet(paths: list[str], land: Area) -> Area:
    return land if "" in paths else Area(tuple(dict.fromkeys(paths))).meet(land)
