"""Notifications: what was told to whom of which alarm, who is on call, and whether a channel reaches somebody."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Query

from headrace.api.context import ByCaller, InContext, WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.plant_index import PlantIndex
from headrace.api.schemas.notifications import (
    NotificationAnswer,
    NotificationPage,
    NotificationTest,
    OnCallAnswer,
    OnCallPage,
)
from headrace.api.times import time_ns_of
from headrace.model.plant import PlantModel
from headrace.model.time import format_time
from headrace.sdk.access import Action

router = api_router("Alarms")


@router.get("/notifications", operation_id="listNotifications", summary="What was told to whom")
async def list_notifications(
    services: WithServices,
    context: InContext,
    caller: ByCaller,
    alarm: Annotated[str | None, Query(max_length=700, description="Only of this alarm.")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Annotated[str | None, Query(max_length=40)] = None,
) -> NotificationPage:
    """Newest first. Who sees a part of the plant sees messages of which all alarms lie in that part."""
    principal = caller.principal
    whole = Action.VIEW in services.access.rights(principal).whole
    within = None if whole else context.area(principal)
    page = await services.notifications.log(
        tenant=principal.tenant, rule=alarm, within=within, limit=limit, cursor=cursor
    )
    contacts = (await services.registry.model_of(principal.tenant)).contacts
    return NotificationPage(
        notifications=[NotificationAnswer.of(one, contacts) for one in page.notices], next_cursor=page.next_cursor
    )


@router.get("/notifications/on-call", operation_id="getOnCall", summary="Who is on call")
async def get_on_call(
    services: WithServices,
    caller: ByCaller,
    index: WithPlant,
    at: Annotated[str | None, Query(max_length=64, description="RFC 3339. Default: now.")] = None,
) -> OnCallPage:
    """By roster; who sees a part of the plant sees the rosters that are told of alarms there."""
    principal, now_ns = caller.principal, services.clock.now_ns()
    at_ns = now_ns if at is None else time_ns_of(at, now_ns)
    rights = services.access.rights(principal)
    model = await services.registry.model_of(principal.tenant)
    shifts = services.notifications.on_call(at_ns, tenant=principal.tenant)
    if Action.VIEW not in rights.whole:
        seen = await asyncio.to_thread(_rosters_of, model, index)
        shifts = [one for one in shifts if one.roster in seen]
    manages = Action.ADMINISTER in rights.whole
    return OnCallPage(
        at=format_time(at_ns), shifts=[OnCallAnswer.of(one, model.contacts, whole=manages) for one in shifts]
    )


@router.post("/notifications/test", operation_id="testNotification", summary="Send a test message")
async def test_notification(body: NotificationTest, caller: ByCaller, services: WithServices) -> NotificationAnswer:
    """Returns when the channel has answered; what it said is in `state` and `error`. Written into the audit trail."""
    principal = caller.principal
    done = await services.notifications.test(body.channel, body.contact, principal.name, tenant=principal.tenant)
    return NotificationAnswer.of(done, (await services.registry.model_of(principal.tenant)).contacts)


def _rosters_of(model: PlantModel, index: PlantIndex) -> frozenset[str]:
    """Those that are told of an alarm that somebody sees."""
    rules = index.plant.alarms.values()
    return frozenset(
        roster
        for one in model.notifications.values()
        if any(one.alarms.takes(rule) for rule in rules)
        for step in one.steps
        for roster in step.rosters
    )
