"""Which role may do what: one table; a tenant's own roles come beside it. And which duties one person may not hold.

Source: IEC 62443-3-3 SR 2.1 (least privilege, segregation of duties); GB/T 22239-2019 8.1.5 (system, security and
audit management in three hands); ISO/IEC 62264-1 for who does what in a plant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Final

from headrace.model.errors import AccessError, Conflict, DataError
from headrace.sdk.access import Action, Principal

#: The role of somebody whose password was given by another: signed in, and may do nothing but change it.
NEWCOMER: Final = "newcomer"
#: The role of somebody whose tenant asks for a second factor that is not there yet: may do nothing but add one.
ENROLLING: Final = "enrolling"

RIGHTS: Final[Mapping[str, frozenset[Action]]] = {
    "member": frozenset(),  # nothing on the whole; roles on parts come beside it
    "viewer": frozenset({Action.VIEW}),
    "operator": frozenset({Action.VIEW, Action.ACKNOWLEDGE, Action.WRITE}),
    "maintainer": frozenset({Action.VIEW, Action.ACKNOWLEDGE, Action.MAINTAIN}),
    "engineer": frozenset(
        {Action.VIEW, Action.ACKNOWLEDGE, Action.WRITE, Action.MAINTAIN, Action.CONFIGURE, Action.INGEST}
    ),
    "manager": frozenset({Action.VIEW, Action.ACKNOWLEDGE, Action.APPROVE, Action.LOCK, Action.SHARE}),
    "security-officer": frozenset({Action.VIEW, Action.SECURE, Action.LOCK}),
    "auditor": frozenset({Action.VIEW, Action.AUDIT}),
    "administrator": frozenset({Action.VIEW, Action.ADMINISTER, Action.OPERATE}),
    "owner": frozenset(Action),  # all duties in one hand: the first account of a plant
    "source": frozenset({Action.INGEST}),  # a collector's token opens nothing else
}
ROLES: Final = tuple(RIGHTS)
#: Duties that watch over each other.
APART: Final = tuple(combinations((Action.ADMINISTER, Action.SECURE, Action.AUDIT), 2))
_DUTIES: Final = {Action.ADMINISTER: "administrator", Action.SECURE: "security officer", Action.AUDIT: "auditor"}


def actions_of(role: str, own: Mapping[str, frozenset[Action]]) -> frozenset[Action]:
    """What a role allows; `own` are the tenant's. A role that is gone allows nothing."""
    return RIGHTS.get(role) or own.get(role, frozenset())


def check_role(role: str, own: Mapping[str, frozenset[Action]]) -> str:
    """Raises: DataError for a role that does not exist."""
    if role not in RIGHTS and role not in own:
        raise DataError(f"'{role[:80]}' is no role; use {', '.join((*ROLES, *sorted(own)))}")
    return role


def check_apart(name: str, actions: Iterable[Action]) -> None:
    """Raises: Conflict where one person would hold two duties that watch over each other."""
    held = frozenset(actions)
    for one, other in APART:
        if one in held and other in held:
            raise Conflict(
                f"'{name}' would be {_DUTIES[one]} and {_DUTIES[other]} in one; here these duties are separate: "
                "give one of them to somebody else"
            )


def check_giving(giver: Principal, giver_actions: frozenset[Action], given: frozenset[Action]) -> None:
    """Raises: AccessError where a duty is given by somebody who may not: watchers are named by those who secure."""
    for action in (Action.SECURE, Action.AUDIT):
        if action in given and Action.SECURE not in giver_actions:
            raise AccessError(f"'{giver.name}' may not make somebody {_DUTIES[action]}; that takes a security-officer")
    if Action.OPERATE in given and Action.OPERATE not in giver_actions:
        raise AccessError(f"'{giver.name}' may not give the operation of the platform away")


def refusal(principal: Principal, action: Action, path: str) -> AccessError:
    """Names the right and the path."""
    if principal.role == NEWCOMER:
        return AccessError("change your one-time password first; until then nothing else is open")
    if principal.role == ENROLLING:
        return AccessError("add a second factor first; until then nothing else is open")
    needed = min((role for role in ROLES if action in RIGHTS[role]), key=lambda role: len(RIGHTS[role]))
    where = f" '{path}'" if path else ""
    return AccessError(f"'{principal.name}' ({principal.role}) may not {action.value}{where}; that takes a {needed}")
