"""Check and backup of the historian while it runs: started here, looked at until they are done."""

from __future__ import annotations

from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.history import HistoryJobAnswer, NewHistoryJob

router = api_router("System")


@router.post("/history/jobs", operation_id="startHistoryJob", summary="Check or back up the history", status_code=202)
async def start_history_job(body: NewHistoryJob, caller: ByCaller, services: WithServices) -> HistoryJobAnswer:
    """One at a time; the end is in the audit trail. A backup holds everything acknowledged before this call."""
    job = services.care.start(body.kind, caller.principal.name, target=body.target, keep=body.keep)
    return HistoryJobAnswer.of(job)


@router.get("/history/jobs", operation_id="listHistoryJobs", summary="Checks and backups, newest first")
async def list_history_jobs(services: WithServices) -> list[HistoryJobAnswer]:
    return [HistoryJobAnswer.of(job) for job in services.care.jobs()]


@router.get("/history/jobs/{id}", operation_id="getHistoryJob", summary="How far a check or backup is")
async def get_history_job(id: int, services: WithServices) -> HistoryJobAnswer:
    return HistoryJobAnswer.of(services.care.job(id))
