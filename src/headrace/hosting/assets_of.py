"""Whether somebody has a right on the assets of an app: on some asset or point of what it was granted to see.

One that was granted nothing of the plant has no assets: there the right is asked for on the whole tenant. A right on a
part opens the app's routes and pages; what a route shows of a part, it asks `Request.may` about.
"""

from __future__ import annotations

import asyncio
from typing import Final

from headrace.hosting.abilities import Plants
from headrace.model.areas import Area
from headrace.model.errors import AccessError
from headrace.model.plant import PlantModel
from headrace.sdk.access import Action, Authorizer, Principal, Tenants
from headrace.sdk.apps.manifest import Permissions
from headrace.sdk.tenancy import Ground

_HELD_MAX: Final = 1_000
_Key = tuple[str, Permissions, Area, int]


class AppAssets:
    def __init__(self, authorizer: Authorizer, plants: Plants, tenants: Tenants) -> None:
        self._authorizer, self._plants, self._tenants = authorizer, plants, tenants
        self._held: dict[_Key, bool] = {}

    async def may(self, principal: Principal, action: Action, grants: Permissions) -> bool:
        try:
            self._authorizer.check(principal, action, "")
            return True
        except AccessError:
            area = self._authorizer.rights(principal).area(action)
        if not area or not (grants.assets or grants.read or grants.write):
            return False
        model = await self._plants.model()
        key = (principal.tenant, grants, area, model.revision)
        if key not in self._held:
            if len(self._held) >= _HELD_MAX:
                self._held.clear()
            ground = Ground(self._tenants, principal.tenant)
            self._held[key] = await asyncio.to_thread(_meet, model, ground, grants, area)
        return self._held[key]

    async def check(self, principal: Principal, action: Action, grants: Permissions, what: str) -> None:
        """Raises: AccessError."""
        if not await self.may(principal, action, grants):
            raise AccessError(
                f"{what} takes the right to {action.value} on the assets of the app; "
                f"{principal.name} has it on none of them"
            )


def _meet(model: PlantModel, ground: Ground, grants: Permissions, area: Area) -> bool:
    return any(
        area.covers(path) and ground.owns(path) and grants.sees(path)
        for paths in (model.assets, model.points)
        for path in paths
    )
