"""Alarms: what needs a person now, acknowledging it, and what was."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from headrace.api.context import ByCaller, WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.routes.history import End
from headrace.api.schemas.alarms import (
    Acknowledgement,
    AlarmAnswer,
    TransitionAnswer,
    TransitionPageAnswer,
    Transitions,
)
from headrace.api.times import time_ns_of
from headrace.model.errors import DataError

router = api_router("Alarms")


@router.get("/alarms", operation_id="listAlarms", summary="Alarms that are not normal")
async def list_alarms(services: WithServices) -> list[AlarmAnswer]:
    """By priority, then newest first."""
    return [AlarmAnswer.of(record) for record in services.alarms.current()]


@router.post("/alarms/acknowledge", operation_id="acknowledgeAlarms", summary="Acknowledge alarms")
async def acknowledge_alarms(
    body: Acknowledgement, caller: ByCaller, index: WithPlant, services: WithServices
) -> Transitions:
    """Answers those that were acknowledged by this call; one that already was is left out."""
    done = await services.alarms.acknowledge(body.rules, caller.principal, body.comment)
    return Transitions(transitions=[TransitionAnswer.of(step, index.plant) for step in done])


@router.get("/alarms/history", operation_id="getAlarmHistory", summary="What alarms did, newest first")
async def get_alarm_history(
    index: WithPlant,
    services: WithServices,
    start: Annotated[str | None, Query(max_length=64, description="Default: from the beginning.")] = None,
    end: End = None,
    point: Annotated[str | None, Query(max_length=512)] = None,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 500,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> TransitionPageAnswer:
    now_ns = services.clock.now_ns()
    start_ns = None if start is None else time_ns_of(start, now_ns)
    end_ns = None if end is None else time_ns_of(end, now_ns)
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise DataError("'start' must be before 'end'")
    page = await services.alarms.history(start_ns, end_ns, point=point, limit=limit, cursor=cursor)
    steps = [TransitionAnswer.of(step, index.plant) for step in page.transitions]
    return TransitionPageAnswer(transitions=steps, next_cursor=page.next_cursor)
