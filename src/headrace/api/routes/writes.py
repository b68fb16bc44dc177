"""Setpoints: a write is carried through its life and answered with how it ended, or that it waits for a second person.

The desk decides; here is only who asks for what.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from fastapi import Path, Query

from headrace.api.context import ByCaller, InContext, WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.alarms import CommandAnswer, WriteRequest
from headrace.api.schemas.control import (
    ConditionsAnswer,
    DecisionRequest,
    LockAnswer,
    LockRequest,
    ReleaseRequest,
)
from headrace.model.batch import Value, ValueKind
from headrace.model.commands import CommandState

router = api_router("Control")

Id = Annotated[str, Path(min_length=1, max_length=64)]
State = Literal["requested", "authorised", "awaiting-approval", "sent", "confirmed", "refused", "failed"]


@router.post("/writes", operation_id="writePoint", summary="Change a setpoint")
async def write_point(body: WriteRequest, caller: ByCaller, index: WithPlant, services: WithServices) -> CommandAnswer:
    """200 with `confirmed`, `refused` or `failed`: a refusal is an outcome, and is audited like a success.

    A write to a critical point is answered `awaiting-approval`; look it up until a second person has decided.
    """
    if not index.own(body.path):
        raise index.unknown(body.path)
    value = _exact(body.value, index.plant.points[body.path].kind)
    return CommandAnswer.of(await services.commands.write(body.path, value, caller.principal, body.reason))


@router.get("/writes", operation_id="listWrites", summary="Writes, newest first")
async def list_writes(
    services: WithServices,
    context: InContext,
    caller: ByCaller,
    path: Annotated[str | None, Query(max_length=512)] = None,
    state: Annotated[State | None, Query(description="Only those; awaiting-approval: what needs a decision.")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> list[CommandAnswer]:
    wanted = None if state is None else CommandState(state)
    area = context.area(caller.principal)
    commands = await services.commands.list(path=path, state=wanted, limit=limit, within=area)
    return [CommandAnswer.of(command) for command in commands]


@router.get("/writes/conditions", operation_id="getWriteConditions", summary="What a write must pass, as it stands now")
async def get_write_conditions(
    path: Annotated[str, Query(min_length=1, max_length=512)], index: WithPlant, services: WithServices
) -> ConditionsAnswer:
    if not index.own(path):
        raise index.unknown(path)
    return ConditionsAnswer.of(await services.commands.conditions(path))


@router.post("/writes/{id}/approve", operation_id="approveWrite", summary="Approve a critical write")
async def approve_write(id: Id, body: DecisionRequest, caller: ByCaller, services: WithServices) -> CommandAnswer:
    """As a second person; every check is made again, then it is sent, and answered with how it ended."""
    return CommandAnswer.of(await services.commands.approve(id, caller.principal, body.reason))


@router.post("/writes/{id}/reject", operation_id="rejectWrite", summary="Reject a critical write")
async def reject_write(id: Id, body: DecisionRequest, caller: ByCaller, services: WithServices) -> CommandAnswer:
    """As a second person, with a reason."""
    return CommandAnswer.of(await services.commands.reject(id, caller.principal, body.reason))


@router.post("/writes/{id}/withdraw", operation_id="withdrawWrite", summary="Take back one's own critical write")
async def withdraw_write(id: Id, body: DecisionRequest, caller: ByCaller, services: WithServices) -> CommandAnswer:
    return CommandAnswer.of(await services.commands.withdraw(id, caller.principal, body.reason))


@router.get("/locks", operation_id="listLocks", summary="Locks of writes that stand")
async def list_locks(caller: ByCaller, services: WithServices) -> list[LockAnswer]:
    """The oldest first."""
    tenant = caller.principal.tenant
    return [LockAnswer.of(lock) for lock in services.commands.locks() if lock.tenant == tenant]


@router.post("/locks", operation_id="createLock", summary="Stop all writes below a path")
async def create_lock(body: LockRequest, caller: ByCaller, services: WithServices) -> LockAnswer:
    """Takes the right to write, to maintain or to lock there. Once this is answered no write below is sent."""
    return LockAnswer.of(await services.commands.lock(body.path, caller.principal, body.reason))


@router.post("/locks/{id}/release", operation_id="releaseLock", summary="Let writes go on")
async def release_lock(id: Id, body: ReleaseRequest, caller: ByCaller, services: WithServices) -> LockAnswer:
    return LockAnswer.of(await services.commands.release(id, caller.principal, body.reason))


def _exact(value: Value, kind: ValueKind) -> Value:
    """What JSON could not say: an int64 that came as text, a float that was written without a point."""
    if kind is ValueKind.INT64 and isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value):
        number = int(value)
        return number if -(2**63) <= number < 2**63 else value
    if kind is ValueKind.FLOAT64 and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
