"""What the hub has of the spool, remembered in few bytes: one epoch a connection, and what each epoch was to bring.

A connection has an *epoch* of its own. When it begins, everything the hub still lacks is its `backlog`, in order; what
is appended from then on is `live`. So the hub says how far it is with three numbers, one a lane, and the epoch that
they belong to; and the spool, which remembers what that epoch was to bring, knows what is missing:

    held by the hub (epoch, backlog, live) ─► is the epoch mine? ─► pending: its backlog after …, live after …
                                                └ no: everything is pending

An epoch is durable here before the hub hears of it. The hub may have taken it, or may have died before: so the last
two are kept, and both are mine. An epoch has random bits, for a copy of this spool on another machine counts on too.
"""

from __future__ import annotations

import json
import os
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from headrace.exchange.spool.ranges import Ranges
from headrace.model.errors import Unavailable
from headrace.sdk.disk import Disk

SPANS_MAX: Final = 2_000  # of a backlog; beyond it a connection sends everything in order
_RANDOM_BITS: Final = 31


@dataclass(frozen=True, slots=True)
class Held:
    """What the hub has: the newest sequence of each lane, and the epoch that they belong to (0: nothing)."""

    epoch: int = 0
    backlog: int = 0
    live: int = 0
    urgent: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a connection is to bring: `backlog`, then what follows from `live_from` on."""

    epoch: int
    backlog: Ranges
    live_from: int
    urgent_from: int

    def pending(self, held: Held, last: int) -> Ranges:
        """What the hub lacks, of everything up to `last`."""
        return self.backlog.after(held.backlog).joined(max(self.live_from, held.live + 1), last)

    def document(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "backlog": list(self.backlog), "live": self.live_from, "urgent": self.urgent_from}

    @classmethod
    def of(cls, document: dict[str, Any]) -> Plan:
        spans = Ranges((int(first), int(last)) for first, last in document["backlog"])
        return cls(int(document["epoch"]), spans, int(document["live"]), int(document["urgent"]))


@dataclass(frozen=True, slots=True)
class State:
    """`plans` are of the newest epochs, one or two; `dropped` are samples that went by the declared policy."""

    dictionary: str = field(default_factory=lambda: secrets.token_hex(16))
    plans: tuple[Plan, ...] = ()
    dropped: int = 0

    def next(self, held: Held, spool: tuple[int, int], events: tuple[int, int], rng: random.Random) -> State:
        """The state with a plan for another connection, given what the hub says that it has.

        `spool` and `events` are first and last sequence of the two logs.
        """
        (first, last), (first_event, last_event) = spool, events
        mine = next((plan for plan in self.plans if plan.epoch == held.epoch), None)
        if mine is not None and (max(held.live, held.backlog) > last or held.urgent > last_event):
            mine = None  # the hub has more than we ever wrote: this spool was put back to an earlier day
        pending, urgent = Ranges([(first, last)]), first_event
        if mine is not None:
            pending = mine.pending(held, last).within(first, last)
            urgent = max(mine.urgent_from, held.urgent + 1, first_event)
        live_from = last + 1
        if len(pending) > SPANS_MAX:  # in order, and nothing overtakes, until the hub has caught up
            *spans, (live_from, _) = pending
            pending = Ranges(spans)
        count = 1 + max([held.epoch, *(plan.epoch for plan in self.plans)]) // (1 << _RANDOM_BITS)
        epoch = count << _RANDOM_BITS | rng.getrandbits(_RANDOM_BITS)
        plan = Plan(epoch, pending, live_from, urgent)
        kept = (mine,) if mine is not None else ()
        return replace(self, plans=(*kept, plan))


class StateFile:
    """`state.json`, replaced as a whole; unreadable ones are put aside, and everything is sent again."""

    def __init__(self, directory: Path, disk: Disk, warn: Callable[[str], None]) -> None:
        self._path, self._disk = directory / "state.json", disk
        self.state = State()
        try:
            self.state = _read(self._path.read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            warn(f"{self._path} cannot be read ({error}): everything in the spool is sent again")

    def put(self, state: State) -> None:
        """Durable on return. Raises: Unavailable."""
        if state == self.state and self._path.exists():
            return
        document = {
            "dictionary": state.dictionary, "plans": [plan.document() for plan in state.plans],
            "dropped": state.dropped,
        }  # fmt: skip
        temporary = self._path.with_suffix(".tmp")
        try:
            self._disk.unlink(temporary)
            descriptor = self._disk.open(temporary, create=True)
            try:
                self._disk.write(descriptor, json.dumps(document).encode())
                self._disk.datasync(descriptor)
            finally:
                os.close(descriptor)
            self._disk.replace(temporary, self._path)
            self._disk.sync_directory(self._path.parent)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {error.strerror}") from error
        self.state = state


def _read(data: bytes) -> State:
    document = json.loads(data)
    plans = tuple(Plan.of(plan) for plan in document["plans"])
    return State(str(document["dictionary"]), plans, int(document["dropped"]))
