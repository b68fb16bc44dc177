"""Back-tests: alarm rules over a stretch of history, before anybody has to live with them."""

from __future__ import annotations

from dataclasses import replace

from headrace.api.context import ByCaller, WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.backtests import BacktestAnswer, BacktestResult, NewBacktest
from headrace.api.security import Caller
from headrace.api.services import Services
from headrace.api.times import time_ns_of
from headrace.model.errors import NotFound
from headrace.sdk.computing import BacktestJob

router = api_router("Alarms")


@router.post("/backtests", operation_id="startBacktest", summary="Test alarm rules on history", status_code=202)
async def start_backtest(
    body: NewBacktest, caller: ByCaller, index: WithPlant, services: WithServices
) -> BacktestAnswer:  # fmt: skip
    """Of what is declared, or of what would be with these files. 422 with every error of the files."""
    tenant = caller.principal.tenant
    now_ns = services.clock.now_ns()
    start_ns = time_ns_of(body.start, now_ns)
    end_ns = now_ns if body.end is None else time_ns_of(body.end, now_ns)
    if body.files:
        model = await services.registry.preview(body.sources(), tenant=tenant)
    else:
        model = await services.registry.model_of(tenant)
        if index.sight is not None:
            seen = {name: rule for name, rule in model.alarms.items() if name in index.plant.alarms}
            model = replace(model, alarms=seen)
    job = services.backtests.start(model, body.rules, start_ns, end_ns, caller.principal.name, tenant)
    return BacktestAnswer.of(job)


@router.get("/backtests", operation_id="listBacktests", summary="Back-tests, newest first")
async def list_backtests(caller: ByCaller, services: WithServices) -> list[BacktestAnswer]:
    """Those since the platform started, the last twenty."""
    return [BacktestAnswer.of(job) for job in services.backtests.jobs() if job.tenant == caller.principal.tenant]


@router.get("/backtests/{id}", operation_id="getBacktest", summary="What rules would have raised, and what was")
async def get_backtest(id: int, caller: ByCaller, services: WithServices) -> BacktestResult:
    return BacktestResult.of(_own(id, caller, services))


@router.post("/backtests/{id}/cancel", operation_id="cancelBacktest", summary="End a back-test before it is through")
async def cancel_backtest(id: int, caller: ByCaller, services: WithServices) -> BacktestAnswer:
    """Its `error` says by whom. One that has ended stays as it is."""
    _own(id, caller, services)
    return BacktestAnswer.of(services.backtests.cancel(id, caller.principal.name))


def _own(id: int, caller: Caller, services: Services) -> BacktestJob:
    job = services.backtests.job(id)
    if job.tenant != caller.principal.tenant:
        raise NotFound(f"there is no back-test {id}; those of before a restart are forgotten")
    return job
