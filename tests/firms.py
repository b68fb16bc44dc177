"""Tenants of a hub, as whoever keeps the accounts would tell of them; a test may add some on the way."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.model.errors import NotFound
from headrace.sdk.access import DEFAULT_TENANT


class Firms:
    """Implements `sdk.access.Tenants`: each name with its roots."""

    def __init__(self, **roots: tuple[str, ...]) -> None:
        self.of = dict(roots)

    def names(self) -> Sequence[str]:
        return [DEFAULT_TENANT, *sorted(self.of)]

    def roots(self, tenant: str) -> tuple[str, ...]:
        if tenant == DEFAULT_TENANT:
            return ()
        if tenant not in self.of:
            raise NotFound(f"there is no tenant '{tenant}'")
        return self.of[tenant]

    def tenant_of(self, path: str) -> str:
        root = path.partition("/")[0]
        return next((name for name, roots in self.of.items() if root in roots), DEFAULT_TENANT)


def two() -> Firms:
    """`acme` with two roots, `beta` with one of another name than its own."""
    return Firms(acme=("acme", "acme-labs"), beta=("betaworks",))
