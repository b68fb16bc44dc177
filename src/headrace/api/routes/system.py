"""The state of the system, for people, for Prometheus and for programs that generate clients."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.responses import JSONResponse

from headrace.api.context import WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.metrics import CONTENT_TYPE, render
from headrace.api.schemas.system import (
    FeedState,
    Health,
    HistoryState,
    IngestState,
    ProcessState,
    QueueState,
    SecuritySetting,
    SystemAnswer,
)
from headrace.model.time import SECOND_NS, format_time
from headrace.sdk.tenancy import Ground

router = api_router("System")
root_router = api_router("System", prefix="")


@router.get("/health", operation_id="getHealth", summary="Is the server up")
async def get_health() -> Health:
    """No login needed, nothing told."""
    return Health()


@router.get("/system", operation_id="getSystem", summary="Process, queues, history, feed")
async def get_system(index: WithPlant, services: WithServices) -> SystemAnswer:
    info, ground = services.system(), Ground(services.access.tenancy)
    return SystemAnswer(
        version=info.version,
        started_at=format_time(info.started_ns),
        uptime_s=max(0.0, (services.clock.now_ns() - info.started_ns) / SECOND_NS),
        revision=index.plant.revision,
        process=ProcessState(
            rss_mb=round(info.rss_bytes / 1_000_000, 1), cpu_percent=info.cpu_percent, threads=info.threads
        ),
        queues={
            name: QueueState(
                capacity=info.queue_capacities.get(name),
                depth=counters.depth,
                depth_max=counters.depth_max,
                published=counters.published,
                delivered=counters.delivered,
                dropped=counters.dropped,
            )
            for name, counters in services.bus.counters().items()
            if ground.owns_name(name.removeprefix("outlet "))
        },
        history=HistoryState.of(await services.store.stats()),
        samples_per_s=info.samples_per_s,
        feed=FeedState.of(services.feed),
        ingest=IngestState.of(services.ingest.counters),
    )


@router.get("/system/security", operation_id="getSecuritySettings", summary="Security settings in force, as advised?")
async def get_security_settings(services: WithServices) -> list[SecuritySetting]:
    """What this installation is set to, beside what is advised. Source: IEC 62443-3-3 SR 7.6 RE 1."""
    return [SecuritySetting.of(one) for one in await services.posture()]


@router.get("/openapi.json", operation_id="getOpenapi", summary="This description", response_class=JSONResponse)
async def get_openapi(request: Request) -> Response:
    return JSONResponse(request.app.openapi())


@root_router.get("/metrics", operation_id="getMetrics", summary="Prometheus text", response_class=Response)
async def get_metrics(services: WithServices) -> Response:
    """Prometheus text exposition 0.0.4; scrape it with a viewer's token."""
    return Response(render(services, await services.store.stats()), media_type=CONTENT_TYPE)
