"""What outlets are given of the running rooms, and alarms as events on the bus.

live table ──newest──► outlet        access ──who holds a token──► outlet ──write──► control
alarms ──transitions──► events on the bus ──► outlets, and whoever else listens
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import numpy as np

from headrace.access.desk import AccessDesk
from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.live import LiveTable
from headrace.control.desk import ControlDesk
from headrace.model.alarms import AlarmRule, AlarmTransition
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import Unavailable
from headrace.model.events import Event
from headrace.model.plant import PlantModel
from headrace.sdk.access import Action
from headrace.sdk.bus import Bus
from headrace.sdk.clock import Clock
from headrace.sdk.messenger import MessengerContext
from headrace.sdk.outlet import OutletContext
from headrace.sdk.reach import Reach
from headrace.sdk.references import References
from headrace.sdk.secret_files import PLAIN, SecretFiles

_KINDS = {float: ValueKind.FLOAT64, int: ValueKind.INT64, bool: ValueKind.BOOL, str: ValueKind.TEXT}


def outlet_context(
    live: LiveTable,
    access: AccessDesk,
    commands: ControlDesk,
    clock: Clock,
    state_dir: Path,
    secrets: SecretFiles = PLAIN,
) -> OutletContext:
    return OutletContext(
        outlet="",
        clock=clock,
        state_dir=state_dir,
        newest=lambda handles: newest(live, handles),
        authenticate=access.by_known_token,
        may_view=lambda principal: access.check(principal, Action.VIEW, ""),
        write=commands.write,
        secrets=secrets,
    )


def newest(live: LiveTable, handles: Sequence[int]) -> Sequence[Batch]:
    """The newest sample of each point that has one, a batch a kind."""
    held = live.get(np.array(handles, np.uint32))
    kinds = np.array([_KINDS.get(type(value), 0) for value in held.values.tolist()], np.uint8)
    batches = []
    for kind in ValueKind:
        at = np.flatnonzero(kinds == kind)
        if len(at):
            values = np.array(held.values[at].tolist(), kind.dtype)
            batches.append(
                Batch(kind, held.handles[at], held.source_ns[at], held.received_ns[at], values, held.quality[at])
            )
    return batches


def message_context(
    name: str, clock: Clock, reach_of: Callable[[str], Reach], references_of: Callable[[str], References]
) -> MessengerContext:
    """What a channel to people may reach and read: as much as its owner's outlets."""
    return MessengerContext(name, clock, reach_of(name), references_of(name))


async def tell_alarms(alarms: AlarmDesk, bus: Bus, plant: Callable[[], PlantModel]) -> None:
    """Each transition as an event, until the desk closes."""
    async with aclosing(cast(Any, alarms.transitions())) as feed:
        async for made in feed:
            rules = plant().alarms
            try:
                await bus.publish_events([_event(one, rules.get(one.rule)) for one in made])
            except Unavailable:
                return  # the bus closes first on the way down; the journal has them


def _event(step: AlarmTransition, rule: AlarmRule | None) -> Event:
    data: dict[str, Any] = {
        "rule": step.rule, "action": step.action.value, "state": step.state.value, "value": step.value,
    }  # fmt: skip
    if rule is not None:
        data |= {"priority": rule.priority.value, "limit": rule.limit, "message": dict(rule.message)}
    if step.actor:
        data |= {"actor": step.actor, "comment": step.comment}
    point = step.rule.rpartition(":")[0]
    return Event(f"{step.rule}:{step.action.value}:{step.time_ns}", "alarms", step.event, point, step.time_ns, data)
