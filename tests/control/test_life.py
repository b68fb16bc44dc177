"""The life of commands under a clock that stands, with everything that may come between two of its steps.

The machine below asks, approves, locks, releases, expires, restarts, takes rights and turns the plant around, some of
it in the middle of a write. Whenever the device hears of one, an oracle of its own, which shares nothing with the desk,
says whether it may.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.control.fakes import FORCE, MANAGER, OFFICER, OIL, OPERATOR, OTHER, OWNER, RUNNING, TOKEN, Rig
from tests.databases import sqlite_engine
from tests.properties import examples

from headrace.control import guard_tables, tables
from headrace.model.commands import Command, CommandState, WriteLock
from headrace.model.errors import AccessError, Conflict, NotFound
from headrace.sdk.access import Action, Principal

ASKING = (OPERATOR, OWNER, TOKEN)
DECIDING = (MANAGER, OTHER, OWNER, OPERATOR)
STEPS = ("requested", "authorised", "awaiting-approval", "sent", "done")
INTERFERENCE = ("nothing", "take-write", "take-approve", "run", "cold", "silence", "lock", "time")
PERSON = {"token:gateway": "wang"}


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.engine = sqlite_engine(Path(self.folder.name, "life.db"), tables.metadata, guard_tables.metadata)

    @initialize()
    def begin(self) -> None:
        self.rig = Rig(self.engine)
        self.rig.ready()
        self.rig.device.before_write = self.judge
        self.requesters: dict[str, Principal] = {}
        self.asking: Principal | None = None
        self.deciding: Principal | None = None
        self.locked: dict[str, WriteLock] = {}  # whose caller has had the answer
        self.locking: list[asyncio.Task[WriteLock]] = []
        self.sent: list[tuple[float, str, float]] = []  # when, by whom, how far
        self.sends = 0
        self.do(self.rig.desk.start())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def done() -> Any:
            try:
                return await work
            finally:
                for task in self.locking:
                    await task
                self.locking.clear()
                self.rig.access.fails = lambda action, outcome: False

        return self.loop.run_until_complete(done())

    # --- the oracle -----------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """The device hears of a write: may it?"""
        rig, now_s = self.rig, self.rig.clock.seconds
        path, value = rig.device.writes[-1]
        assert path == FORCE
        requester, approver = self.asking, self.deciding
        assert requester is not None and approver is not None, "sent without a second person"
        assert requester.role in ("operator", "owner") and approver.role in ("manager", "owner")
        assert PERSON.get(requester.name, requester.name) != PERSON.get(approver.name, approver.name), "one person"
        assert (requester.name, Action.WRITE) not in rig.access.taken, "sent without the right to write"
        assert (approver.name, Action.APPROVE) not in rig.access.taken, "sent without the right to approve"
        assert isinstance(value, float) and 0 <= value <= 900, "sent outside the range"
        assert not self.locked, "sent although a lock had been answered"
        running, oil = (rig.plant.samples[name][-1] for name in (RUNNING, OIL))
        for reading in (running, oil):
            assert now_s - reading.source_ns / 1e9 <= 10 + 1e-6, "sent on an old reading"
        assert running.value is False and 30 <= float(oil.value or 0) <= 65, "sent against an interlock"
        held = rig.device.held[FORCE]
        moved = abs(value - float(held))
        minute = [one for one in self.sent if now_s - one[0] < 60]
        person = PERSON.get(requester.name, requester.name)
        assert moved <= 50 + 1e-6, "a step too far"
        assert moved + sum(one[2] for one in minute) <= 80 + 1e-6, "too fast"
        assert not minute or now_s - minute[-1][0] >= 5 - 1e-6, "too soon"
        assert len(minute) < 4 and sum(one[1] == person for one in minute) < 3, "too often"
        self.sent.append((now_s, person, moved))
        self.sends += 1
        assert self.sends == 1, "sent twice"

    # --- what people do -------------------------------------------------------------------------------------------

    @rule(
        who=st.sampled_from(ASKING),
        value=st.one_of(st.floats(0, 60), st.sampled_from([float("nan"), float("inf"), -1.0, 901.0, 0.0, 50.0])),
        between=st.sampled_from(INTERFERENCE),
        at=st.sampled_from(STEPS),
    )
    def ask(self, who: Principal, value: float, between: str, at: str) -> None:
        self.meddle(between, at)
        self.asking, self.deciding = who, None
        command: Command = self.do(self.rig.write(value, FORCE, who))
        assert command.state in (CommandState.AWAITING, CommandState.REFUSED)
        if command.state is CommandState.AWAITING:
            self.requesters[command.id] = who

    @rule(
        steps=st.lists(
            st.tuples(
                st.floats(0, 90),
                st.sampled_from(ASKING),
                st.sampled_from([0.1, 2.0, 4.9, 5.1, 9.0]),
                st.sampled_from(INTERFERENCE),
                st.sampled_from(STEPS),
            ),
            min_size=1,
            max_size=8,
        )
    )
    def work(self, steps: list[tuple[float, Principal, float, str, str]]) -> None:
        """A shift of people who mostly do it right."""
        self.release_all()
        for value, who, seconds, between, at in steps:
            self.make_ready()
            self.ask(who, value, "nothing", at)
            self.approve(OTHER, between, at, False)
            self.time(seconds, True)

    @rule(
        who=st.sampled_from(DECIDING),
        between=st.sampled_from(INTERFERENCE),
        at=st.sampled_from(STEPS),
        twice=st.booleans(),
    )
    def approve(self, who: Principal, between: str, at: str, twice: bool) -> None:
        for command in self.waiting():
            self.meddle(between, at)
            self.asking, self.deciding, self.sends = self.requesters[command.id], who, 0
            many = [self.rig.desk.approve(command.id, who, "") for _ in range(1 + twice)]
            ends = self.do(_all(many))
            for end in ends:
                assert isinstance(end, Command | Conflict | AccessError), repr(end)
            won = [end for end in ends if isinstance(end, Command)]
            assert len(won) <= 1
            assert all(end.state.final for end in won)
            self.deciding = None

    @rule(who=st.sampled_from(DECIDING), own=st.booleans())
    def refuse(self, who: Principal, own: bool) -> None:
        for command in self.waiting():
            desk = self.rig.desk
            work = desk.withdraw(command.id, self.requesters[command.id]) if own else desk.reject(command.id, who, "no")
            (end,) = self.do(_all([work]))
            assert isinstance(end, Command | AccessError | Conflict), repr(end)

    @rule(path=st.sampled_from(["", "acme", "acme/press", FORCE]))
    def lock(self, path: str) -> None:
        lock: WriteLock = self.do(self.rig.desk.lock(path, OFFICER, "smoke"))
        self.locked[lock.id] = lock

    @rule()
    def release_all(self) -> None:
        for lock in list(self.locked.values()):
            self.do(self.rig.desk.release(lock.id, OFFICER, "it was toast"))
            del self.locked[lock.id]

    @rule(name=st.sampled_from([OPERATOR.name, MANAGER.name, OWNER.name, TOKEN.name]), give=st.booleans())
    def rights(self, name: str, give: bool) -> None:
        for action in (Action.WRITE, Action.APPROVE):
            (self.rig.access.taken.discard if give else self.rig.access.taken.add)((name, action))

    @rule(seconds=st.sampled_from([0.1, 4.0, 6.0, 30.0, 61.0, 601.0]), ready=st.booleans())
    def time(self, seconds: float, ready: bool) -> None:
        self.rig.clock.seconds += seconds
        if ready:
            self.rig.ready()

    @rule()
    def make_ready(self) -> None:
        self.rig.ready()
        self.rig.access.taken.clear()

    @rule()
    def restart(self) -> None:
        before = {one.id for one in self.waiting()}
        self.rig = Rig(self.engine, self.rig)
        self.do(self.rig.desk.start())
        now_ns = self.rig.clock.now_ns()
        after = {one.id for one in self.waiting()}
        assert after <= before
        assert all(one.expires_ns > now_ns for one in self.waiting())
        assert {one.id for one in self.rig.desk.locks()} == set(self.locked)

    # --- in between -----------------------------------------------------------------------------------------------

    def meddle(self, what: str, at: str) -> None:
        """Do something when the audit trail hears of a step."""

        def fails(action: str, outcome: str) -> bool:
            rig = self.rig
            if outcome != at or not action.startswith("write") or action in ("write.lock", "write.unlock"):
                return False
            rig.access.fails = lambda action, outcome: False
            if what == "take-write":
                rig.access.taken |= {(one.name, Action.WRITE) for one in ASKING}
            elif what == "take-approve":
                rig.access.taken |= {(one.name, Action.APPROVE) for one in DECIDING}
            elif what == "run":
                rig.plant.say(RUNNING, True)
            elif what == "cold":
                rig.plant.say(OIL, 12.0)
            elif what in ("silence", "time"):
                rig.clock.seconds += 11
            elif what == "lock":
                self.locking.append(asyncio.get_running_loop().create_task(self.lock_now()))
            return False

        self.rig.access.fails = fails

    async def lock_now(self) -> WriteLock:
        lock = await self.rig.desk.lock("acme", OFFICER, "smoke")
        self.locked[lock.id] = lock
        return lock

    def waiting(self) -> list[Command]:
        try:
            return list(self.do(self.rig.desk.list(state=CommandState.AWAITING)))
        except NotFound:
            return []

    @invariant()
    def nothing_is_half_done(self) -> None:
        if not hasattr(self, "rig"):
            return
        for command in self.do(self.rig.desk.list()):
            assert command.state.final or command.state is CommandState.AWAITING
        assert len(self.waiting()) <= 1

    def teardown(self) -> None:
        self.loop.close()
        self.engine.dispose()
        self.folder.cleanup()


async def _all(many: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    return await asyncio.gather(*many, return_exceptions=True)


TestLife = pytest.mark.clause("62443-3-3 SR 2.1 RE 4", "62443-3-3 SR 3.5", "GB/T 22239-2019 8.1.4.2")(Life.TestCase)
TestLife.settings = settings(
    max_examples=examples(60), stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
