"""The HTTP application.

Guard (host, rate, body, headers) ─► errors (one table) ─┬► /api/v1/…      GuardedRoute ─► routes/
                                                        ├► /api/v1/live   LiveFeed
                                                        ├► /metrics       GuardedRoute
                                                        └► everything else: the console's files
"""

from __future__ import annotations

from functools import cache

from fastapi import FastAPI

from headrace import __version__
from headrace.api import errors
from headrace.api.console_files import ConsoleFiles
from headrace.api.context import Context
from headrace.api.description import document
from headrace.api.guard import Guard
from headrace.api.guarded_route import PREFIX
from headrace.api.live_feed import LiveFeed
from headrace.api.routes import (
    account,
    alarms,
    app_use,
    apps,
    audit,
    backtests,
    calculations,
    certificates,
    connections,
    declarations,
    device_certificates,
    devices,
    edges,
    exports,
    grafana,
    history,
    history_jobs,
    imports,
    ingest,
    notifications,
    plant,
    providers,
    session,
    sql,
    streams,
    system,
    tenants,
    users,
    writes,
)
from headrace.api.services import Services
from headrace.api.settings import ApiSettings


def bare_app() -> FastAPI:
    """All routes and no services: enough to describe the API."""
    app = FastAPI(
        title="Headrace", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    rooms = (
        session, providers, account, plant, history, history_jobs, sql, exports, imports, ingest, grafana, alarms,
        notifications, calculations, backtests, streams, app_use, apps,
        writes, connections, devices, device_certificates, edges, declarations, users, tenants, certificates,
        audit, system,
    )  # fmt: skip
    for module in rooms:
        app.include_router(module.router)
    app.include_router(system.root_router)
    app.include_router(ingest.influx_router)
    app.include_router(device_certificates.est_router)
    return app


def create_app(services: Services, settings: ApiSettings) -> FastAPI:
    """The whole surface. `app.state.feed.run()` must run beside it for the live feed; `server.serving` does both."""
    app = bare_app()
    context = Context.of(services, settings)
    app.state.context = context
    errors.install(app)
    app.add_middleware(Guard, settings=settings, rates=context.rates)
    app.state.feed = LiveFeed(context)
    app.router.add_websocket_route(f"{PREFIX}/live", app.state.feed.endpoint)
    app.router.default = ConsoleFiles(settings.console_dir)  # after all routes, so that a wrong method stays a 405
    described = cache(lambda: document(app))
    app.openapi = described  # type: ignore[method-assign]
    return app
