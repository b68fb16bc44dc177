"""Alarms: what needs a person now, what people do about it, what was, and how well the alarms themselves do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import Query

from headrace.api.context import ByCaller, Context, InContext, WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.plant_index import PlantIndex
from headrace.api.routes.history import End
from headrace.api.schemas.alarm_kpis import FloodAnswer, KpisAnswer
from headrace.api.schemas.alarms import (
    Acknowledgement,
    AlarmAnswer,
    AlarmPage,
    Removal,
    RuleAnswer,
    Shelving,
    State,
    StateCounts,
    TransitionAnswer,
    TransitionPageAnswer,
    Transitions,
)
from headrace.api.security import Caller
from headrace.api.times import span_ns_of, time_ns_of
from headrace.compute.alarms.grouping import Place, Sign, group
from headrace.compute.alarms.happenings import urgency
from headrace.model.alarms import AlarmTransition
from headrace.model.areas import Area
from headrace.model.errors import DataError, NotFound
from headrace.model.time import DAY_NS, parse_duration_ns
from headrace.sdk.services import AlarmRecord

KPI_SPAN_NS: Final = 366 * DAY_NS

router = api_router("Alarms")


Where = Annotated[str | None, Query(max_length=512, description="An asset with all below it; everything if none.")]


@router.get("/alarms", operation_id="listAlarms", summary="Alarms that are not normal")
async def list_alarms(
    services: WithServices,
    context: InContext,
    caller: ByCaller,
    index: WithPlant,
    area: Where = None,
    state: Annotated[State | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    cursor: Annotated[str | None, Query(max_length=800)] = None,
) -> AlarmPage:
    """By priority, then newest first. Consequences are folded under their cause by `group`; none is left out."""
    within = _within(context, caller, index, area)
    current = [one for one in services.alarms.current() if within is None or within.covers(one.rule.point)]
    places = await asyncio.to_thread(_grouped, current, index)
    sizes = Counter(place.root for place in places.values())
    chosen = [one for one in current if state is None or one.state.value == state]
    rest = chosen if cursor is None else [one for one in chosen if urgency(one) > _position(cursor)]
    flood = services.alarms.flood(within)
    states = Counter(one.state.value.replace("-", "_") for one in chosen)
    page = rest[:limit]
    return AlarmPage(
        alarms=[
            AlarmAnswer.of(one, index.plant, places[one.rule.name], sizes.get(one.rule.name, 1) - 1) for one in page
        ],
        next_cursor="{}.{}.{}".format(*urgency(page[-1])) if len(rest) > limit else None,
        total=len(chosen),
        states=StateCounts(**states),
        flood=None if flood is None else FloodAnswer.of(flood),
    )


@router.get("/alarms/rules/{rule:path}", operation_id="getAlarmRule", summary="An alarm as it is declared")
async def get_alarm_rule(rule: str, index: WithPlant) -> RuleAnswer:
    """Its rationalisation too, whether it stands or not."""
    found = index.plant.alarms.get(rule)
    if found is None:
        raise NotFound(f"there is no alarm '{rule[:200]}'; it may no longer be declared")
    return RuleAnswer.of(found, index.plant)


@router.get("/alarms/kpis", operation_id="getAlarmKpis", summary="How the alarm system did")
async def get_alarm_kpis(
    services: WithServices,
    context: InContext,
    caller: ByCaller,
    index: WithPlant,
    start: Annotated[str | None, Query(max_length=64, description="Default: a day before the end.")] = None,
    end: End = None,
    area: Where = None,
    operators: Annotated[float, Query(ge=0.1, le=1_000, description="How many look after that area.")] = 1.0,
) -> KpisAnswer:
    """Figures of ISA-18.2 §16 and EEMUA 191 over at most 366 days, to now at the latest."""
    now_ns = services.clock.now_ns()
    start_ns, end_ns = span_ns_of(start, end, now_ns, default_ns=DAY_NS)
    end_ns = min(end_ns, now_ns + 1)
    if start_ns >= end_ns:
        raise DataError("'start' is in the future")
    if end_ns - start_ns > KPI_SPAN_NS:
        raise DataError("figures are of at most 366 days; ask for less at a time")
    within = _within(context, caller, index, area)
    return KpisAnswer.of(await services.alarms.kpis(start_ns, end_ns, operators=operators, within=within))


@router.post("/alarms/acknowledge", operation_id="acknowledgeAlarms", summary="Acknowledge alarms")
async def acknowledge_alarms(
    body: Acknowledgement, caller: ByCaller, index: WithPlant, services: WithServices
) -> Transitions:
    """Answers those that were acknowledged by this call; one that already was is left out.

    Where a class asks for a proof, a session needs a fresh one (403 `fresh-proof-needed`), and a token is refused.
    """
    _known(body.rules, index)
    proven = False
    if services.alarms.needs_proof(body.rules) and caller.session is not None:
        services.access.check_fresh(caller.session)
        proven = True
    done = await services.alarms.acknowledge(body.rules, caller.principal, body.comment, proven=proven)
    return _answer(done, index)


@router.post("/alarms/reset", operation_id="resetAlarms", summary="Reset latched alarms")
async def reset_alarms(
    body: Acknowledgement, caller: ByCaller, index: WithPlant, services: WithServices
) -> Transitions:
    """Answers those that were latched; one whose condition still holds is left out."""
    _known(body.rules, index)
    return _answer(await services.alarms.reset(body.rules, caller.principal, body.comment), index)


@router.post("/alarms/shelve", operation_id="shelveAlarms", summary="Shelve alarms for a time")
async def shelve_alarms(body: Shelving, caller: ByCaller, index: WithPlant, services: WithServices) -> Transitions:
    """Shelving again sets the time anew. One that is out of service is left out."""
    _known(body.rules, index)
    duration_ns = None if body.duration is None else parse_duration_ns(body.duration)
    done = await services.alarms.shelve(
        body.rules, caller.principal, body.reason, duration_ns=duration_ns, once=body.once
    )
    return _answer(done, index)


@router.post("/alarms/unshelve", operation_id="unshelveAlarms", summary="End the shelving of alarms")
async def unshelve_alarms(
    body: Acknowledgement, caller: ByCaller, index: WithPlant, services: WithServices
) -> Transitions:
    _known(body.rules, index)
    return _answer(await services.alarms.unshelve(body.rules, caller.principal, body.comment), index)


@router.post("/alarms/out-of-service", operation_id="removeAlarms", summary="Take alarms out of service")
async def remove_alarms(body: Removal, caller: ByCaller, index: WithPlant, services: WithServices) -> Transitions:
    """Until somebody returns them."""
    _known(body.rules, index)
    return _answer(await services.alarms.remove_from_service(body.rules, caller.principal, body.reason), index)


@router.post("/alarms/return", operation_id="returnAlarms", summary="Return alarms to service")
async def return_alarms(
    body: Acknowledgement, caller: ByCaller, index: WithPlant, services: WithServices
) -> Transitions:
    _known(body.rules, index)
    return _answer(await services.alarms.return_to_service(body.rules, caller.principal, body.comment), index)


@router.get("/alarms/history", operation_id="getAlarmHistory", summary="What alarms did, newest first")
async def get_alarm_history(
    index: WithPlant,
    services: WithServices,
    context: InContext,
    caller: ByCaller,
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
    page = await services.alarms.history(
        start_ns, end_ns, point=point, limit=limit, cursor=cursor, within=context.area(caller.principal)
    )
    steps = [TransitionAnswer.of(step, index.plant) for step in page.transitions]
    return TransitionPageAnswer(transitions=steps, next_cursor=page.next_cursor)


def _within(context: Context, caller: Caller, index: PlantIndex, asset: str | None) -> Area | None:
    """What is asked for, as far as the caller sees it; None is everywhere. Raises: NotFound."""
    own = context.area(caller.principal)
    if not asset:
        return own
    index.points_of(asset)
    return Area((asset,)) if own is None else own.meet(Area((asset,)))


def _known(rules: Sequence[str], index: PlantIndex) -> None:
    for rule in rules:
        if index.sight is not None and rule not in index.plant.alarms:
            raise NotFound(f"there is no alarm '{rule[:200]}'")


def _answer(done: Sequence[AlarmTransition], index: PlantIndex) -> Transitions:
    return Transitions(transitions=[TransitionAnswer.of(step, index.plant) for step in done])


def _grouped(current: Sequence[AlarmRecord], index: PlantIndex) -> dict[str, Place]:
    signs = (Sign(one.rule.name, one.rule.asset, None if one.state.quiet else one.raised_ns) for one in current)
    return group(signs, {path: asset.feeds for path, asset in index.plant.assets.items() if asset.feeds})


def _position(cursor: str) -> tuple[int, int, str]:
    parts = cursor.split(".", 2)
    try:
        return int(parts[0]), int(parts[1]), parts[2]
    except (ValueError, IndexError):
        raise DataError(f"'{cursor[:40]}' is no cursor of the list of alarms") from None
