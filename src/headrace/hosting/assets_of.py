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
from headrace.sdk.access import Action, Authorizer, Principal
from headrace.sdk.apps.manifest import Permissions

_HELD_MAX: Final = 1_000
_Key = tuple[Permissions, Area, int]


class AppAssets:
    def __init__(self, authorizer: Authorizer, plants: Plants) -> None:
        self._authorizer, self._plants = authorizer, plants
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
        key = (grants, area, model.revision)
        if key not in self._held:
            if len(self._held) >= _HELD_MAX:
                self._held.clear()
            self._held[key] = await asyncio.to_thread(_meet, model, grants, area)
        return self._held[key]

    async def check(self, principal: Principal, action: Action, grants: Permissions, what: str) -> None:
        """Raises: AccessError."""
        if not await self.may(principal, action, grants):
            raise AccessError(
                f"{what} takes the right to {action.value} on the assets of the app; "
                f"{principal.name} has it on none of them"
            )


def _meet(model: PlantModel, grants: Permissions, area: Area) -> bool:
    """An area is of its tenant alone already."""
    return any(area.covers(path) and grants.sees(path) for paths in (model.assets, model.points) for path in paths)
