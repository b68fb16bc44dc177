"""Apps as those see them who use them: calls of routes, pages and their files, for whoever has the right.

call ─► runs for this tenant? ─► its route ─► right of the route on the app's assets ─► the app ─► trail (no GET)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from headrace.hosting.abilities import AppState
from headrace.hosting.assets_of import AppAssets
from headrace.hosting.keeper import Keeper, Run
from headrace.model.errors import AccessError, HeadraceError, NotFound, Unavailable
from headrace.sdk.access import Action, AuditLog, Authorizer, Principal
from headrace.sdk.app_desk import AppPage
from headrace.sdk.apps import Reply, Request

PAGES: Final = "pages/"


class Using:
    def __init__(self, keeper: Keeper, assets: AppAssets, authorizer: Authorizer, audit: AuditLog) -> None:
        self._keeper, self._assets, self._authorizer, self._audit = keeper, assets, authorizer, audit

    async def call(self, principal: Principal, name: str, request: Request) -> Reply:
        run = self._run(principal, name)
        route = run.runner.declared.find(request.method, request.path)
        if route is None:
            state = run.runner.health().state
            if state is not AppState.RUNNING:  # what it has is not known before it has run
                raise Unavailable(f"{name} is {state.value}; ask again in a moment")
            raise NotFound(f"{name} has no route {request.method} {request.path[:200]}")
        asked = f"{request.method} {route.path} of {name}"
        await self._assets.check(principal, route.action, run.wanted.grants, asked)

        async def may(action: Action, path: str) -> bool:
            try:
                self._authorizer.check(principal, action, path)
            except AccessError:
                return False
            return True

        ready = replace(request, user=principal.name, may=may)
        if request.method == "GET":
            return await run.runner.request(ready)
        outcome = "failed"
        try:
            reply = await run.runner.request(ready)
            outcome = "done"
            return reply
        except HeadraceError as error:
            outcome = "refused" if not isinstance(error, Unavailable) else outcome
            raise
        finally:
            data = {"method": request.method, "path": request.path[:500], "version": run.wanted.release.version}
            await asyncio.shield(
                self._audit.record(principal.name, "app.call", name, outcome, data, tenant=principal.tenant)
            )

    async def pages(self, principal: Principal, name: str | None) -> Sequence[AppPage]:
        """By app, in the order of its manifest."""
        found = []
        for run in self._keeper.of(principal.tenant):
            manifest = run.wanted.release.manifest
            if name not in (None, manifest.name):
                continue
            found += [
                AppPage(manifest.name, manifest.title, page, manifest.version)
                for page in manifest.pages
                if await self._assets.may(principal, page.action, run.wanted.grants)
            ]
        return found

    async def page_file(self, principal: Principal, name: str, file: str) -> bytes:
        run = self._run(principal, name)
        if not await self.pages(principal, name):
            raise AccessError(f"{name} has no page that {principal.name} may see")
        data = run.wanted.release.files.get(f"{PAGES}{file}")
        if data is None:
            raise NotFound(f"{name} has no file '{file[:100]}' for its pages")
        return data

    def _run(self, principal: Principal, name: str) -> Run:
        run = self._keeper.find(name, principal.tenant)
        if run is None:
            why = self._keeper.trouble(name, principal.tenant)
            raise Unavailable(f"{name} does not run{f': {why}' if why else '; enable it first'}")
        return run
