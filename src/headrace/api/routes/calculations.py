"""Calculated points: how they fare, and working a stretch out anew."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.api.context import ByCaller, WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.plant_index import PlantIndex
from headrace.api.schemas.calculations import BackfillAnswer, CalculationAnswer, NewBackfill
from headrace.api.services import Services
from headrace.api.times import time_ns_of
from headrace.model.errors import NotFound
from headrace.sdk.computing import BackfillJob

router = api_router("Plant")


@router.get("/calculations", operation_id="listCalculations", summary="Calculated points, and how they fare")
async def list_calculations(index: WithPlant, services: WithServices) -> list[CalculationAnswer]:
    """Those that are seen with everything that they are made of."""
    known = index.plant.calculations
    return [CalculationAnswer.of(one) for one in services.calculations.status() if one.path in known]


@router.post(
    "/calculations/backfills", operation_id="startBackfill", summary="Work points out anew over a stretch",
    status_code=202,
)  # fmt: skip
async def start_backfill(
    body: NewBackfill, caller: ByCaller, index: WithPlant, services: WithServices
) -> BackfillAnswer:  # fmt: skip
    """From what history holds of their inputs; results take the place of those of the same times. One after the
    other, beside what comes in meanwhile."""
    now_ns = services.clock.now_ns()
    start_ns = time_ns_of(body.start, now_ns)
    end_ns = now_ns if body.end is None else time_ns_of(body.end, now_ns)
    for path in body.points:
        if path not in index.plant.points or path in index.windows:
            raise NotFound(f"there is no point '{path[:200]}'")
    job = services.calculations.start_backfill(body.points, start_ns, end_ns, caller.principal.name)
    answer = BackfillAnswer.of(job)
    await services.audit.record(
        caller.principal.name, "calculation.backfill", job.points[0], "started",
        {"points": len(job.points), "start": answer.start, "end": answer.end},
        tenant=caller.principal.tenant,
    )  # fmt: skip
    return answer


@router.get("/calculations/backfills", operation_id="listBackfills", summary="Back-fills, newest first")
async def list_backfills(index: WithPlant, services: WithServices) -> list[BackfillAnswer]:
    """Those since the platform started, the last fifty."""
    return [BackfillAnswer.of(job) for job in services.calculations.backfills() if _ours(job.points, index)]


@router.get("/calculations/backfills/{id}", operation_id="getBackfill", summary="How far a back-fill is")
async def get_backfill(id: int, index: WithPlant, services: WithServices) -> BackfillAnswer:
    return BackfillAnswer.of(_own(id, index, services))


@router.post(
    "/calculations/backfills/{id}/cancel", operation_id="cancelBackfill", summary="End a back-fill before it is through"
)
async def cancel_backfill(id: int, caller: ByCaller, index: WithPlant, services: WithServices) -> BackfillAnswer:
    """What was worked out so far stays, and is right; the same back-fill goes over it again. Ask until `ended_at` is
    set: samples that are on their way are stored first. One that has ended stays as it is."""
    before = _own(id, index, services)
    job = services.calculations.cancel_backfill(id, caller.principal.name)
    if job.cancelled_by != before.cancelled_by:
        await services.audit.record(
            caller.principal.name, "calculation.backfill", job.points[0], "cancelled",
            {"points": len(job.points), "id": id}, tenant=caller.principal.tenant,
        )  # fmt: skip
    return BackfillAnswer.of(job)


def _own(id: int, index: PlantIndex, services: Services) -> BackfillJob:
    job = services.calculations.backfill(id)
    if not _ours(job.points, index):
        raise NotFound(f"there is no back-fill {id}; those of before a restart are forgotten")
    return job


def _ours(points: Sequence[str], index: PlantIndex) -> bool:
    return index.sight is None or all(path in index.plant.points and path not in index.windows for path in points)
