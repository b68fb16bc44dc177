"""The plant as text: read it, plan a change, apply it."""

from __future__ import annotations

from collections import Counter

from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.plant import ApplyRequest, DeclarationFile, Declarations, PlanAnswer, PlanRequest

router = api_router("Declarations")


@router.get("/declarations", operation_id="getDeclarations", summary="The plant as text")
async def get_declarations(caller: ByCaller, services: WithServices) -> Declarations:
    """Planning this text changes nothing."""
    tenant = caller.principal.tenant
    files = await services.registry.export(tenant=tenant)
    plant = await services.registry.model_of(tenant)
    return Declarations(
        revision=plant.revision, files=[DeclarationFile(name=file.name, text=file.text) for file in files]
    )


@router.post("/declarations/plan", operation_id="planDeclarations", summary="What would change")
async def plan_declarations(body: PlanRequest, caller: ByCaller, services: WithServices) -> PlanAnswer:
    """Wrong declarations are answered in `errors`, all in one pass."""
    tenant = caller.principal.tenant
    return PlanAnswer.of(await services.registry.plan(body.sources(), prune=body.prune, tenant=tenant))


@router.post("/declarations/apply", operation_id="applyDeclarations", summary="Change the plant")
async def apply_declarations(body: ApplyRequest, caller: ByCaller, services: WithServices) -> PlanAnswer:
    """All or nothing; `revision` in the answer is the new one. 422 with every error, 409 for an old revision."""
    actor = caller.principal.name
    plan, plant = await services.registry.apply(
        body.sources(),
        actor=actor,
        prune=body.prune,
        revision=body.revision,
        tenant=caller.principal.tenant,
    )
    counts = Counter(change.action.value for change in plan.changes)
    await services.audit.record(
        actor,
        "declarations.applied",
        f"revision {plant.revision}",
        "done",
        dict(counts),
        tenant=caller.principal.tenant,
    )
    return PlanAnswer.of(plan, plant.revision)
