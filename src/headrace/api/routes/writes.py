"""Setpoints: a write is carried through its whole life and answered with how it ended."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Query

from headrace.api.context import ByCaller, WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.alarms import CommandAnswer, WriteRequest
from headrace.model.batch import Value, ValueKind

router = api_router("Control")


@router.post("/writes", operation_id="writePoint", summary="Change a setpoint")
async def write_point(body: WriteRequest, caller: ByCaller, index: WithPlant, services: WithServices) -> CommandAnswer:
    """200 with `confirmed`, `refused` or `failed`: a refusal is an outcome, and is audited like a success."""
    point = index.plant.points.get(body.path)
    value = body.value if point is None else _exact(body.value, point.kind)
    return CommandAnswer.of(await services.commands.write(body.path, value, caller.principal, body.reason))


@router.get("/writes", operation_id="listWrites", summary="Writes, newest first")
async def list_writes(
    services: WithServices,
    path: Annotated[str | None, Query(max_length=512)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> list[CommandAnswer]:
    return [CommandAnswer.of(command) for command in await services.commands.list(path=path, limit=limit)]


def _exact(value: Value, kind: ValueKind) -> Value:
    """What JSON could not say: an int64 that came as text, a float that was written without a point."""
    if kind is ValueKind.INT64 and isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value):
        number = int(value)
        return number if -(2**63) <= number < 2**63 else value
    if kind is ValueKind.FLOAT64 and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
