"""Which role may do what: one table, each row holding all that the rows above it may; and a role for programs."""

from __future__ import annotations

from typing import Final

from headrace.model.errors import AccessError, DataError
from headrace.sdk.access import Action, Principal

#: The role of somebody whose password was given by another: signed in, and may do nothing but change it.
NEWCOMER: Final = "newcomer"

_ADDED: Final[dict[str, frozenset[Action]]] = {
    "viewer": frozenset({Action.VIEW}),
    "operator": frozenset({Action.ACKNOWLEDGE, Action.WRITE}),
    "engineer": frozenset({Action.CONFIGURE, Action.INGEST}),
    "administrator": frozenset({Action.ADMINISTER, Action.AUDIT}),
}
_LADDER: Final = tuple(_ADDED)
RIGHTS: Final[dict[str, frozenset[Action]]] = {
    **{role: frozenset().union(*(_ADDED[lower] for lower in _LADDER[: rank + 1])) for rank, role in enumerate(_LADDER)},
    "source": frozenset({Action.INGEST}),  # a collector's token opens nothing else
}
ROLES: Final = tuple(RIGHTS)


def check_role(role: str) -> str:
    """Raises: DataError for a role that does not exist."""
    if role not in RIGHTS:
        raise DataError(f"'{role}' is no role; use {', '.join(ROLES)}")
    return role


def exceeds(role: str, other: str) -> bool:
    """Whether `role` may more than `other`."""
    return not RIGHTS[role] <= RIGHTS.get(other, frozenset())


def check_right(principal: Principal, action: Action, path: str) -> None:
    """Raises: AccessError that names the right and the path."""
    if action in RIGHTS.get(principal.role, frozenset()):
        return
    if principal.role == NEWCOMER:
        raise AccessError("change your one-time password first; until then nothing else is open")
    needed = min((role for role in ROLES if action in RIGHTS[role]), key=lambda role: len(RIGHTS[role]))
    where = f" '{path}'" if path else ""
    raise AccessError(f"'{principal.name}' ({principal.role}) may not {action.value}{where}; that takes a {needed}")
