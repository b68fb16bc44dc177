"""Services in memory, honest about their contracts: what the API may ask of them, they answer as the real rooms do.

The live table, the bus and the registers of devices and edges are the real ones; the rest is small. `plant()` declares
two presses, a meter and a text.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool
from tests.api.fake_entry import FakeEntry
from tests.hosting.house import House

from headrace.access import factor_tables
from headrace.access.desk import AccessDesk
from headrace.access.passwords import Hasher
from headrace.access.roles import RIGHTS, check_role
from headrace.access.tables import metadata as access_tables
from headrace.api import Services, SystemInfo
from headrace.compute.alarms.happenings import record_of, urgency
from headrace.compute.alarms.kpis import Steps, measure
from headrace.compute.alarms.states import Held, Moved, Shelf, Step, traits_of
from headrace.compute.live import LiveTable
from headrace.compute.streams.register import Register
from headrace.compute.streams.versions import StreamVersions
from headrace.connect.ingest.desk import IngestDesk
from headrace.exchange.local import LocalBus
from headrace.fleet.devices import Devices
from headrace.fleet.devices.authority import DeviceAuthority
from headrace.fleet.edges import Edges
from headrace.fleet.tables import metadata as fleet_tables
from headrace.model.alarm_kpis import AlarmKpis, Flood
from headrace.model.alarms import AlarmAction, AlarmCondition, AlarmRule, AlarmState, AlarmTransition, Priority
from headrace.model.areas import Area
from headrace.model.assets import Asset, AssetType, Level
from headrace.model.batch import Batch, Handles, Value, ValueKind
from headrace.model.commands import Command, CommandState, WriteLock
from headrace.model.errors import (
    AccessError,
    ConfigError,
    ConfigErrors,
    Conflict,
    DataError,
    LimitReached,
    NotFound,
    Unavailable,
)
from headrace.model.plant import Connection, PlantModel
from headrace.model.points import Access, Point, PointSource, Range
from headrace.model.time import SECOND_NS
from headrace.sdk.access import DEFAULT_TENANT, Action, AuditEntry, AuditLog, Authorizer, Principal, Rights, Tenants
from headrace.sdk.accounts import Part, Token, User
from headrace.sdk.audit import AuditCounters, AuditFilter, AuditFormat, AuditHead, AuditState, AuditVerdict
from headrace.sdk.certificates import CertificateStatus, Rekeyed
from headrace.sdk.clock import SystemClock
from headrace.sdk.commands import WriteConditions
from headrace.sdk.computing import BackfillJob, BacktestEpisode, BacktestJob, BacktestRule, CalculationStatus
from headrace.sdk.driver import BrowseNode
from headrace.sdk.edges import Share
from headrace.sdk.entry import Seen
from headrace.sdk.field import LinkCounters, LinkState, LinkStatus
from headrace.sdk.notify import NoticePage, NoticeRecord, NotifyCounters, OnCallShift
from headrace.sdk.outlet import OutletCounters, OutletStatus
from headrace.sdk.posture import Judged, SettingInForce
from headrace.sdk.services import (
    AlarmRecord,
    Change,
    ChangeAction,
    FeedCounters,
    FieldChange,
    HistoryJob,
    JobState,
    Plan,
    SourceFile,
    TransitionPage,
)
from headrace.sdk.store import Aggregate, Buckets, Page, StoreStats
from headrace.sdk.stream import StreamFunction, reduced
from headrace.sdk.tenancy import ONE_TENANT

T0 = 1_795_334_400 * SECOND_NS  # 2026-11-22T08:00:00Z
LINE = "acme/suzhou/press-shop/line-1"
TEMPERATURE = f"{LINE}/press-1/oil.temperature"
SETPOINT = f"{LINE}/press-1/setpoint.pressure"
COUNTER = f"{LINE}/press-1/strokes"
RUNNING = f"{LINE}/press-2/running"
ORDER = f"{LINE}/press-2/order"
RULE = f"{TEMPERATURE}:hot"
ROLES = tuple(role for role in RIGHTS if role != "member")


def may(role: str, action: Action) -> bool:
    return action in RIGHTS[role]


def plant(more_points: int = 0) -> PlantModel:
    assets = [
        Asset("acme", Level.ENTERPRISE, {"en": "Acme"}),
        Asset(LINE, Level.LINE, {"en": "Line 1", "zh": "一号线"}),
        Asset(f"{LINE}/press-1", Level.EQUIPMENT, {"en": "Press 1"}, "hydraulic-press", {"maker": "Yuanwang"}),
        Asset(f"{LINE}/press-10", Level.EQUIPMENT, {"en": "Press 10, not below press 1"}),
        Asset(f"{LINE}/press-2", Level.EQUIPMENT, {"en": "Press 2"}),
    ]
    source = PointSource("press-plc-1", {"table": "holding", "address": 4, "encoding": "float32"})
    points = [
        Point(TEMPERATURE, ValueKind.FLOAT64, "Cel", Range(0, 120), title={"zh": "油温"}, source=source, decimals=1),
        Point(SETPOINT, ValueKind.FLOAT64, "bar", Range(0, 350), Access.READ_WRITE, write_range=Range(80, 280)),
        Point(COUNTER, ValueKind.INT64),
        Point(RUNNING, ValueKind.BOOL),
        Point(ORDER, ValueKind.TEXT),
        *(Point(f"{LINE}/press-10/p{i:05d}", ValueKind.FLOAT64) for i in range(more_points)),
    ]
    rule = AlarmRule(
        RULE, TEMPERATURE, AlarmCondition.HIGH, 75.0, priority=Priority.HIGH, message={"en": "Oil too hot"}
    )
    return PlantModel(
        1,
        {"hydraulic-press": AssetType("hydraulic-press", 2, {"en": "Press"}, ("strokes",), (), {"base": 0})},
        {"press-plc-1": Connection("press-plc-1", "modbus", {"host": "127.0.0.1"}, {"en": "Press PLC"})},
        {asset.path: asset for asset in assets},
        {point.path: point for point in points},
        {rule.name: rule},
    )


#: What apps of the tests answer, by path.
APP_ANSWERS: dict[str, Any] = {}


class FakeRegistry:
    def __init__(self, model: PlantModel) -> None:
        self.plant = model
        self.files = [SourceFile("plant.yaml", "assets: {}\n")]

    async def model(self) -> PlantModel:
        return self.plant

    async def preview(self, files: Sequence[SourceFile], *, prune: bool = False, tenant: str = "default") -> PlantModel:
        return self.plant

    async def model_of(self, tenant: str) -> PlantModel:
        return self.plant

    async def plan(self, files: Sequence[SourceFile], *, prune: bool = True, tenant: str = "default") -> Plan:
        wrong = [
            ConfigError("unknown key 'typo'; did you mean 'type'?", file=file.name, line=2, column=3)
            for file in files
            if "typo" in file.text
        ]
        change = Change(ChangeAction.CHANGE, "point", TEMPERATURE, [FieldChange("unit", "Cel", "K")])
        return Plan(self.plant.revision, [] if wrong or list(files) == self.files else [change], wrong)

    async def apply(
        self, files: Sequence[SourceFile], *, actor: str, prune: bool = True, revision: int | None = None,
        tenant: str = "default",
    ) -> tuple[Plan, PlantModel]:  # fmt: skip
        if revision is not None and revision != self.plant.revision:
            raise Conflict(f"revision {revision} is no longer the current one ({self.plant.revision}); plan again")
        plan = await self.plan(files, prune=prune)
        if plan.errors:
            raise ConfigErrors(list(plan.errors))
        self.plant = replace(self.plant, revision=self.plant.revision + 1)
        self.files = list(files)
        return plan, self.plant

    async def export(self, *, tenant: str = "default") -> Sequence[SourceFile]:
        return self.files


class FakeStore:
    """Batches as they were appended; slow, and right."""

    def __init__(self) -> None:
        self._paths: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._samples: list[Batch] = []
        self.most_scanned_ahead = 0

    async def register(self, paths: Sequence[str]) -> Handles:
        for path in paths:
            handle = self._numbers.setdefault(path, len(self._numbers))
            self._paths[handle] = path
        return np.array([self._numbers[path] for path in paths], np.uint32)

    def paths(self) -> Mapping[int, str]:
        return self._paths

    async def append(self, batches: Sequence[Batch], marks: object = None) -> None:
        self._samples += batches

    async def raw(
        self, handles: Handles, start_ns: int, end_ns: int, *, limit: int = 100_000, cursor: str | None = None
    ) -> Page:
        try:
            skip = int(cursor or 0)
        except ValueError:
            raise DataError("this cursor is not one that the store gave") from None
        found = [batch async for batch in self.scan(handles, start_ns, end_ns)]
        batches, left = [], limit
        for batch in found:
            part = batch.take(slice(skip, skip + left))
            skip = max(0, skip - len(batch))
            left -= len(part)
            if len(part):
                batches.append(part)
        total, given = sum(map(len, found)), int(cursor or 0) + limit - left
        return Page(batches, str(given) if given < total else None)

    async def downsample(self, handles: Handles, start_ns: int, end_ns: int, **asked: Any) -> Buckets:
        width_ns, count = asked.get("width_ns"), asked.get("count")
        if (width_ns is None) == (count is None):
            raise DataError("say either width or count")
        if width_ns is None:
            width_ns = max(1, -(-(end_ns - start_ns) // count))
        else:
            start_ns -= start_ns % width_ns
            count = -(-(end_ns - start_ns) // width_ns)
        if count * len(handles) > 1_000_000:
            raise LimitReached("more than 1 M cells")
        columns = {name: np.full((len(handles), count), np.nan) for name in asked["aggregates"]}
        for row, handle in enumerate(handles):
            async for batch in self.scan(np.array([handle], np.uint32), start_ns, end_ns):
                at = (batch.source_ns - start_ns) // width_ns
                for bucket in np.unique(at):
                    values = batch.values[at == bucket].astype(float)
                    for name in columns:
                        columns[name][row, bucket] = {
                            Aggregate.MIN: values.min(),
                            Aggregate.MAX: values.max(),
                            Aggregate.MEAN: values.mean(),
                        }.get(name, float(len(values)))
        starts = start_ns + np.arange(count, dtype=np.int64) * width_ns
        return Buckets(handles, starts, width_ns, columns)

    async def scan(
        self, handles: Handles | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> AsyncIterator[Batch]:
        for batch in self._samples:
            chosen = np.ones(len(batch), bool) if handles is None else np.isin(batch.handles, handles)
            chosen &= batch.source_ns >= (start_ns if start_ns is not None else -(2**63))
            chosen &= batch.source_ns < (end_ns if end_ns is not None else 2**63 - 1)
            if chosen.any():
                await asyncio.sleep(0)
                yield batch.take(chosen)

    async def stats(self) -> StoreStats:
        samples = sum(map(len, self._samples))
        return StoreStats(len(self._paths), samples, samples, 0, 0, 0, T0, None, {"durable_lag_ms": 1.5})


@dataclass(frozen=True)
class Directory:
    model: PlantModel
    handles: Mapping[str, int]

    @classmethod
    async def of(cls, model: PlantModel, store: FakeStore) -> Directory:
        paths = sorted(model.points)
        return cls(model, dict(zip(paths, (await store.register(paths)).tolist(), strict=True)))


class Appending:
    """An intake straight into the store; set `full` to refuse."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self.full = False

    async def take(self, batches: Sequence[Batch]) -> None:
        if self.full:
            raise Unavailable("the disk is full; nothing was stored")
        await self._store.append(batches)


class FakeAlarms:
    def __init__(self, model: PlantModel) -> None:
        self._rules = model.alarms
        self.records = {RULE: AlarmRecord(self._rules[RULE], AlarmState.UNACK_ACTIVE, 81.5, T0)}
        self.steps = [AlarmTransition(RULE, AlarmAction.RAISED, AlarmState.UNACK_ACTIVE, T0, 81.5)]
        self.flooding: Flood | None = None
        self._held: dict[str, Held] = {}
        self._listeners: list[asyncio.Queue[Sequence[AlarmTransition]]] = []

    def current(self) -> Sequence[AlarmRecord]:
        return sorted(self.records.values(), key=urgency)

    def push(self, step: AlarmTransition) -> None:
        self.steps.append(step)
        for listener in self._listeners:
            listener.put_nowait([step])

    def needs_proof(self, rules: Sequence[str]) -> bool:
        return any(rule in self._rules and self._rules[rule].handling.proof for rule in rules)

    async def acknowledge(
        self, rules: Sequence[str], principal: Principal, comment: str, *, proven: bool = False
    ) -> Sequence[AlarmTransition]:
        if self.needs_proof(rules) and not proven:
            raise AccessError("to acknowledge this takes a fresh proof of who you are, by a person")
        return self._act(AlarmAction.ACKNOWLEDGED, rules, principal, comment)

    async def reset(self, rules: Sequence[str], principal: Principal, comment: str) -> Sequence[AlarmTransition]:
        return self._act(AlarmAction.RESET, rules, principal, comment)

    async def shelve(
        self, rules: Sequence[str], principal: Principal, reason: str, *, duration_ns: int | None = None,
        once: bool = False,
    ) -> Sequence[AlarmTransition]:  # fmt: skip
        shelf = Shelf(T0 + 1, T0 + 1 + (duration_ns or 8 * 3600 * SECOND_NS), principal.name, reason, once)
        return self._act(AlarmAction.SHELVED, rules, principal, reason, shelf)

    async def unshelve(self, rules: Sequence[str], principal: Principal, comment: str) -> Sequence[AlarmTransition]:
        return self._act(AlarmAction.UNSHELVED, rules, principal, comment)

    async def remove_from_service(
        self, rules: Sequence[str], principal: Principal, reason: str
    ) -> Sequence[AlarmTransition]:
        return self._act(AlarmAction.REMOVED, rules, principal, reason)

    async def return_to_service(
        self, rules: Sequence[str], principal: Principal, comment: str
    ) -> Sequence[AlarmTransition]:
        return self._act(AlarmAction.RETURNED, rules, principal, comment)

    def _act(
        self, action: AlarmAction, rules: Sequence[str], principal: Principal, comment: str, shelf: Shelf | None = None
    ) -> Sequence[AlarmTransition]:
        for rule in rules:
            if rule not in self._rules:
                raise NotFound(f"there is no alarm '{rule[:200]}'")
        held = self._held
        for name, record in self.records.items():  # as tests have put them
            if name not in held or held[name].state is not record.state:
                held[name] = Held(record.state, record.value, record.raised_ns, active=record.state.active)
        moved = Moved(held)
        for rule in dict.fromkeys(rules):
            step = Step(action, T0 + 1, None, principal.name, comment, shelf)
            moved.take(rule, step, traits_of(self._rules[rule]))
        for name, one in moved.become.items():
            self.records.pop(name, None)
            held.pop(name, None)
            if one is not None:
                held[name], self.records[name] = one, record_of(self._rules[name], one)
        for step_ in moved.made:
            self.push(step_)
        return moved.made

    async def kpis(
        self, start_ns: int, end_ns: int, *, operators: float = 1.0, within: Area | None = None
    ) -> AlarmKpis:
        rows = [
            (one.rule, one.action.value, one.state.value, one.time_ns)
            for one in sorted(self.steps, key=lambda one: one.time_ns)
            if one.time_ns < end_ns and (within is None or within.covers(one.rule.rpartition(":")[0]))
        ]
        return measure(Steps.of(rows, T0), self._rules, {}, start_ns, end_ns, operators)

    def flood(self, within: Area | None = None) -> Flood | None:
        return self.flooding if within is None or within.covers(RULE.rpartition(":")[0]) else None

    async def history(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        point: str | None = None,
        limit: int = 500,
        cursor: str | None = None,
        within: Area | None = None,
    ) -> TransitionPage:
        if cursor is not None:
            raise DataError("this cursor is not one that the alarm history gave")
        found = [s for s in reversed(self.steps) if point is None or s.rule.startswith(f"{point}:")]
        found = [s for s in found if (start_ns or 0) <= s.time_ns < (end_ns or 2**63)]
        found = [s for s in found if within is None or within.covers(s.rule.rpartition(":")[0])]
        return TransitionPage(found[:limit], None)

    async def transitions(self) -> AsyncIterator[Sequence[AlarmTransition]]:
        mailbox: asyncio.Queue[Sequence[AlarmTransition]] = asyncio.Queue()
        self._listeners.append(mailbox)
        try:
            while True:
                yield await mailbox.get()
        finally:
            self._listeners.remove(mailbox)


class FakeCommands:
    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry
        self._commands: list[Command] = []
        self._locks: dict[str, WriteLock] = {}

    async def write(self, path: str, value: Value, principal: Principal, reason: str) -> Command:
        point = self._registry.plant.points.get(path)
        if point is None:
            raise NotFound(f"there is no point '{path[:200]}'")
        command = Command(str(len(self._commands)), path, value, principal.name, reason, T0, T0 + 10 * SECOND_NS)
        span = point.write_range or point.range
        if not point.writable:
            command = replace(command, state=CommandState.REFUSED, detail="the point is read-only")
        elif isinstance(value, (bool, str)) or (span is not None and value not in span):
            command = replace(command, state=CommandState.REFUSED, detail="outside the range")
        else:
            command = replace(command, state=CommandState.CONFIRMED, read_back=value, finished_ns=T0 + SECOND_NS)
        self._commands.insert(0, command)
        return command

    async def list(
        self,
        *,
        path: str | None = None,
        state: CommandState | None = None,
        limit: int = 100,
        within: Area | None = None,
    ) -> Sequence[Command]:
        seen = [c for c in self._commands if within is None or within.covers(c.point)]
        return [c for c in seen if path in (None, c.point) and state in (None, c.state)][:limit]

    async def conditions(self, path: str) -> WriteConditions:
        point = self._registry.plant.points.get(path)
        if point is None:
            raise NotFound(f"there is no point '{path[:200]}'")
        over = [lock for lock in self._locks.values() if lock.covers(path)]
        return WriteConditions(point.guard, [], over, None)

    async def approve(self, id: str, principal: Principal, reason: str) -> Command:
        raise NotFound(f"there is no write '{id[:40]}'")

    async def reject(self, id: str, principal: Principal, reason: str) -> Command:
        raise NotFound(f"there is no write '{id[:40]}'")

    async def withdraw(self, id: str, principal: Principal, reason: str = "") -> Command:
        raise NotFound(f"there is no write '{id[:40]}'")

    def locks(self) -> Sequence[WriteLock]:
        return list(self._locks.values())

    async def lock(self, path: str, principal: Principal, reason: str) -> WriteLock:
        if principal.role == "viewer":
            raise AccessError(f"'{principal.name}' may not write '{path}'")
        lock = WriteLock(str(len(self._locks)), path, principal.tenant, reason, principal.name, T0)
        self._locks[lock.id] = lock
        return lock

    async def release(self, id: str, principal: Principal, reason: str) -> WriteLock:
        if id not in self._locks:
            raise NotFound("no such lock stands")
        lock = self._locks.pop(id)
        return replace(lock, released_by=principal.name, released_ns=T0, release_reason=reason)


class FakeLinks:
    SHOWN = "3F:0A"

    def __init__(self) -> None:
        self.trusted: list[str] = []

    def status(self) -> Sequence[LinkStatus]:
        counters = LinkCounters(connects=2, losses=1, samples=600, last_sample_ns=T0, round_trip_ms=1.25)
        return [LinkStatus("press-plc-1", "modbus", LinkState.CONNECTED, T0, 1, "", None, counters)]

    async def browse(self, connection: str, parent: Mapping[str, Any] | None) -> AsyncIterator[BrowseNode]:
        self._known(connection)
        if parent is None:
            yield BrowseNode("Press1", {"node": "ns=2;s=Press1"}, None, True)
        elif parent.get("down"):
            raise Unavailable("press-plc-1 is not connected; try again when it is")
        else:
            yield BrowseNode("OilTemperature", {"node": "ns=2;s=T"}, ValueKind.FLOAT64, unit="Cel")

    async def fingerprint(self, connection: str) -> str:
        self._known(connection)
        return self.SHOWN

    async def trust(self, connection: str, fingerprint: str) -> None:
        self._known(connection)
        if fingerprint != self.SHOWN:
            raise Conflict("the server shows another certificate now")
        self.trusted.append(connection)

    def _known(self, connection: str) -> None:
        if connection != "press-plc-1":
            raise NotFound(f"there is no connection '{connection[:100]}'")


class FakeOutlets:
    def status(self) -> Sequence[OutletStatus]:
        counters = OutletCounters(connects=1, samples=7, last_sent_ns=T0)
        return [OutletStatus("erp", "webhook", LinkState.WAITING, T0, 5, "it answers 503", 2.5, counters)]


class FakeAccess(FakeEntry):
    """Users are their roles, with password `password-<role>`; `newcomer` must change theirs; tokens `token-<role>`."""

    def __init__(self) -> None:
        self._users = {role: User(role, role, created_ns=T0) for role in ROLES}
        self._users["newcomer"] = User("newcomer", "engineer", must_change_password=True, created_ns=T0)
        self._passwords = {name: f"password-{name}" for name in self._users}
        self._sessions: dict[str, str] = {}
        self._tokens = {f"token-{role}": Token(role, role, role, "owner", T0, None) for role in ROLES}
        self._numbers = itertools.count(1)
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        access_tables.create_all(engine)
        factor_tables.metadata.create_all(engine)
        self._real = AccessDesk(engine, SystemClock(), hasher=Hasher(time_cost=1, memory_kib=8))
        self._memory = self._real.memory
        self.entries: list[AuditEntry] = []

    def __getattr__(self, name: str) -> Any:
        """Tenants, roles of their own and grants are the real desk's."""
        return getattr(self._real, name)

    async def sign_in(self, user: str, password: str, *, peer: str, seen: Seen | None = None) -> tuple[str, User]:
        if user == "locked":
            raise LimitReached("too many failed attempts; wait a minute")
        if user not in self._users or self._passwords[user] != password:
            raise AccessError("the name or the password is wrong", authenticated=False)
        secret = f"session-{next(self._numbers)}"
        self._sessions[secret] = user
        return secret, self._users[user]

    async def sign_out(self, session: str) -> None:
        self._sessions.pop(session, None)

    async def by_session(self, session: str, *, quiet: bool = False) -> Principal:
        name = self._sessions.get(session, "")
        if name not in self._users:
            raise AccessError("this session has ended; sign in again", authenticated=False)
        user = self._users[name]
        return Principal(name, "newcomer" if user.must_change_password else user.role, "session")

    async def by_token(self, token: str) -> Principal:
        if token not in self._tokens:
            raise AccessError("this token is not valid", authenticated=False)
        return Principal(self._tokens[token].name, self._tokens[token].role, "token")

    async def change_password(self, user: str, old: str, new: str, *, session: str | None = None) -> None:
        if self._passwords[user] != old:
            raise AccessError("the old password is wrong")
        if len(new) < 12:
            raise DataError("a password has at least 12 characters")
        self._passwords[user] = new
        self._users[user] = replace(self._users[user], must_change_password=False)
        self._sessions = {key: name for key, name in self._sessions.items() if name != user or key == session}

    async def users(self, tenant: str = DEFAULT_TENANT) -> Sequence[User]:
        return list(self._users.values())

    async def user(self, name: str, *, tenant: str | None = None) -> User:
        if name not in self._users:
            raise NotFound(f"there is no user '{name[:100]}'")
        return self._users[name]

    async def create_user(
        self, actor: Principal, name: str, role: str, *, parts: Sequence[Part] = ()
    ) -> tuple[User, str]:
        check_role(role, {})
        if name in self._users:
            raise Conflict(f"there is a user '{name}' already")
        self._users[name] = User(name, role, must_change_password=True, created_ns=T0)
        self._passwords[name] = f"one-time-{name}"
        return self._users[name], self._passwords[name]

    async def update_user(
        self,
        actor: Principal,
        name: str,
        *,
        role: str | None = None,
        disabled: bool | None = None,
        parts: Sequence[Part] | None = None,
    ) -> User:
        user = await self.user(name)
        if user.role == "owner":
            raise Conflict("this is the last owner")
        changes = {"role": role or user.role, "disabled": user.disabled if disabled is None else disabled}
        self._users[name] = replace(user, **changes)
        return self._users[name]

    async def delete_user(self, actor: Principal, name: str) -> None:
        if (await self.user(name)).role == "owner":
            raise Conflict("this is the last owner")
        del self._users[name]

    async def tokens(self, tenant: str = DEFAULT_TENANT) -> Sequence[Token]:
        return list(self._tokens.values())

    async def create_token(
        self,
        actor: Principal,
        name: str,
        role: str,
        expires_ns: int | None = None,
        *,
        paths: Sequence[str] = (),
        actions: Sequence[Action] = (),
    ) -> tuple[Token, str]:
        number = next(self._numbers)
        self._tokens[f"token-{number}"] = Token(str(number), name, role, actor.name, T0, expires_ns)
        return self._tokens[f"token-{number}"], f"token-{number}"

    async def delete_token(self, actor: Principal, id: str) -> None:
        for secret, token in list(self._tokens.items()):
            if token.id == id:
                del self._tokens[secret]
                return
        raise NotFound(f"there is no token '{id[:100]}'")

    def check(self, principal: Principal, action: Action, path: str) -> None:
        if principal.role not in ROLES or not may(principal.role, action):
            raise AccessError(f"'{principal.name}' may not {action} here; ask an owner")

    @property
    def tenancy(self) -> Tenants:
        return self._memory

    @property
    def version(self) -> int:
        return self._memory.version

    def rights(self, principal: Principal) -> Rights:
        return self._memory.of_role(principal.tenant, principal.role)

    async def record(
        self,
        actor: str,
        action: str,
        subject: str,
        outcome: str,
        data: Mapping[str, Any] | None = None,
        *,
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        told = dict(data or {})
        self.entries.append(AuditEntry(len(self.entries) + 1, T0, actor, action, subject, outcome, told, tenant))


class FakeTrail:
    """The entries of a `FakeAccess`; `altered` is what a check finds, `full` whether nothing can be recorded."""

    def __init__(self, access: FakeAccess) -> None:
        self._access, self.altered, self.full = access, "", False

    async def page(
        self, tenant: str, wanted: AuditFilter, *, limit: int = 200, cursor: str | None = None
    ) -> tuple[Sequence[AuditEntry], str | None]:
        if cursor is not None:
            raise DataError("this cursor is not one that the audit trail gave")
        held = [one for one in self._access.entries if one.tenant == tenant and one.action.startswith(wanted.action)]
        return held[::-1][:limit], None

    async def export(self, tenant: str, wanted: AuditFilter, form: AuditFormat) -> AsyncIterator[bytes]:
        for entry in (await self.page(tenant, wanted))[0]:
            yield f"{form} {entry.action}\n".encode()

    async def verify(self, known: AuditHead | None = None) -> AuditVerdict:
        if self.altered:
            raise DataError(self.altered)
        head = known or AuditHead(len(self._access.entries), "f" * 64)
        return AuditVerdict(head, head.sequence, 0, 1, AuditHead(0, "0" * 64), T0)

    async def ready(self) -> None:
        if self.full:
            raise Unavailable("the audit trail cannot be written now; try again")

    def state(self) -> AuditState:
        trouble = ("the audit trail cannot be written",) if self.full else ()
        head = AuditHead(len(self._access.entries), "f" * 64)
        return AuditState(
            head, AuditCounters(), failing_since_ns=T0 if self.full else None, checkpoint=AuditHead(0, "0" * 64),
            checkpoint_ns=T0, keep_days=365, free_bytes=10**9, used_percent=50.0, warn_percent=90.0, key="ab" * 32,
            trouble=trouble,
        )  # fmt: skip


class FakeCare:
    """One job at a time, done at once."""

    def __init__(self) -> None:
        self.held: list[HistoryJob] = []

    def start(self, kind: str, actor: str, *, target: str | None = None, keep: int | None = None) -> HistoryJob:
        if kind == "backup" and target is None:
            raise ConfigError("say where to")
        result = {"target": target, "keep": keep}
        self.held.append(HistoryJob(len(self.held) + 1, kind, actor, JobState.DONE, T0, T0, result=result))
        return self.held[-1]

    def job(self, id: int) -> HistoryJob:
        if not 1 <= id <= len(self.held):
            raise NotFound(f"there is no history job {id}")
        return self.held[id - 1]

    def jobs(self) -> Sequence[HistoryJob]:
        return self.held[::-1]


def registers(registry: FakeRegistry, audit: AuditLog, tenants: Tenants = ONE_TENANT) -> tuple[Devices, Edges]:
    """The real ones, on a database that is gone with them."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    fleet_tables.create_all(engine)
    folder = tempfile.TemporaryDirectory(prefix="headrace-api-")

    async def nowhere(_: object) -> None: ...

    class NoShares:
        gone_with = folder

        async def shares(self, prefixes: Mapping[str, str]) -> Mapping[str, Share]:
            return {edge: Share() for edge in prefixes}

    devices = Devices(
        engine, SystemClock(), audit, lambda: registry, tenants,
        authority=DeviceAuthority(Path(folder.name) / "devices"),
    )  # fmt: skip
    edges = Edges(
        engine, SystemClock(), audit, NoShares(), Path(folder.name), provide=nowhere, handles=dict, publish=nowhere,
        guests=devices.guests, tenants=tenants,
    )  # fmt: skip
    return devices, edges


class FakeCalculations:
    """Back-fills are done at once."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry
        self.held: list[BackfillJob] = []

    def status(self) -> Sequence[CalculationStatus]:
        return [
            CalculationStatus(path, one.program.text, tuple(one.inputs.values()), 1, {"late": 2})
            for path, one in self._registry.plant.calculations.items()
        ]

    def start_backfill(self, paths: Sequence[str], start_ns: int, end_ns: int, actor: str) -> BackfillJob:
        if not set(paths) <= set(self._registry.plant.calculations):
            raise NotFound(f"'{paths[0]}' is not calculated")
        job = BackfillJob(len(self.held) + 1, tuple(paths), start_ns, end_ns, actor, T0, end_ns, 7, T0)
        self.held.insert(0, job)
        return job

    def backfill(self, id: int) -> BackfillJob:
        if not 1 <= id <= len(self.held):
            raise NotFound(f"there is no back-fill {id}")
        return self.held[-id]

    def backfills(self) -> Sequence[BackfillJob]:
        return self.held

    def cancel_backfill(self, id: int, actor: str) -> BackfillJob:
        job = self.backfill(id)
        if job.finished_ns is None:
            self.held[-id] = job = replace(job, finished_ns=T0, error=f"cancelled by {actor}", cancelled_by=actor)
        return job


class FakeNotifications:
    """A log that tests write into; `shifts` are those of the platform's own tenant."""

    def __init__(self) -> None:
        self.counters = NotifyCounters()
        self.notices: list[NoticeRecord] = []
        self.shifts: list[OnCallShift] = []
        self.asked_at: list[int] = []
        self.error = ""

    async def log(
        self, *, tenant: str = DEFAULT_TENANT, rule: str | None = None, within: Area | None = None, limit: int = 100,
        cursor: str | None = None,
    ) -> NoticePage:  # fmt: skip
        if cursor is not None and not cursor.isdigit():
            raise DataError(f"'{cursor}' is no cursor")
        seen = [
            one
            for one in (self.notices if tenant == DEFAULT_TENANT else [])
            if rule is None or rule in dict(one.alarms)
            if within is None or (one.alarms and all(within.covers(point) for _, point in one.alarms))
        ]
        start = int(cursor or 0)
        more = str(start + limit) if len(seen) > start + limit else None
        return NoticePage(seen[start : start + limit], more)

    def on_call(self, at_ns: int, *, tenant: str = DEFAULT_TENANT) -> Sequence[OnCallShift]:
        self.asked_at.append(at_ns)
        return self.shifts if tenant == DEFAULT_TENANT else []

    async def test(self, channel: str, contact: str, actor: str, *, tenant: str = DEFAULT_TENANT) -> NoticeRecord:
        if channel != "mail" or tenant != DEFAULT_TENANT:
            raise NotFound(f"there is no channel '{channel}'")
        state = "failed" if self.error else "sent"
        return NoticeRecord(
            "k", "", "test", 0, state, channel, (contact,), (), "Test", T0, T0, 1, error=self.error, actor=actor
        )


class FakeBacktests:
    """Done at once."""

    def __init__(self) -> None:
        self.held: list[BacktestJob] = []

    def start(
        self, model: PlantModel, rules: Sequence[str], start_ns: int, end_ns: int, actor: str, tenant: str
    ) -> BacktestJob:
        for name in rules:
            if name not in model.alarms:
                raise NotFound(f"there is no alarm '{name}'")
        told = [BacktestRule(name, "high", 2, 90.0, 60.0, 1, 1, 12.5) for name in rules or model.alarms]
        episodes = [BacktestEpisode(one.rule, T0, None, 80.0, T0, T0 + SECOND_NS, "li", "seen") for one in told]
        job = BacktestJob(
            len(self.held) + 1, tenant, len(told), start_ns, end_ns, actor, T0, end_ns, 100, len(episodes), 0.5, T0,
            rules=told, episodes=episodes,
        )  # fmt: skip
        self.held.insert(0, job)
        return job

    def job(self, id: int) -> BacktestJob:
        if not 1 <= id <= len(self.held):
            raise NotFound(f"there is no back-test {id}")
        return self.held[-id]

    def jobs(self) -> Sequence[BacktestJob]:
        return self.held

    def cancel(self, id: int, actor: str) -> BacktestJob:
        return self.job(id)


def streams(audit: AuditLog, tenants: Tenants) -> StreamVersions:
    """The real ones over a folder of their own, but no process: a source is the name and version of a mean."""

    def load(source: str, function: str, model: bytes) -> StreamFunction:
        del function, model
        name, _, version = source.partition(" ")
        return reduced(name, {"mean": ("oil", "mean", "")}, inputs={"oil": "oil.temperature"}, window="10s",
                       version=version)  # fmt: skip

    folder = tempfile.TemporaryDirectory(prefix="headrace-streams-")
    made = StreamVersions(Register(Path(folder.name)), audit, tenants, SystemClock(), load=load)
    weakref.finalize(made, folder.cleanup)
    return made


def apps(audit: AuditLog, authorizer: Authorizer, tenants: Tenants, plants: FakeRegistry) -> House:
    """A real desk over a folder of its own, but no process: `tests/hosting/house.py`."""
    folder = tempfile.TemporaryDirectory(prefix="headrace-apps-")
    made = House(
        Path(folder.name), tenants, SystemClock(), authorizer, audit, plants=plants, answers=dict(APP_ANSWERS)
    )  # fmt: skip
    weakref.finalize(made, folder.cleanup)
    return made


async def fake_posture() -> list[SettingInForce]:
    return [SettingInForce("second-factor", "off", "administrators", Judged.DIFFERS, "62443-3-3 SR 1.1 RE 2")]


class FakeCertificates:
    """A console with a certificate of its own."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, bool]] = []

    def authority(self) -> bytes:
        return b"-----BEGIN CERTIFICATE-----\n"

    def status(self) -> Sequence[CertificateStatus]:
        return [CertificateStatus("console", "CN=hub", "ab" * 32, T0, True, ("hub",))]

    async def renew(self, actor: str, *, authority: bool = False) -> Sequence[CertificateStatus]:
        self.done.append((actor, "renew", authority))
        return self.status()

    async def rotate_keys(self, actor: str, *, forget_old: bool = False) -> Rekeyed:
        self.done.append((actor, "rotate", forget_old))
        return Rekeyed("ab" * 8, 2, 3, 4)


@dataclass
class World:
    """The services under a name each, so that a test can push at them."""

    services: Services
    registry: FakeRegistry
    store: FakeStore
    live: LiveTable
    alarms: FakeAlarms
    links: FakeLinks
    access: FakeAccess
    feed: FeedCounters
    devices: Devices
    edges: Edges
    intake: Appending
    trail: FakeTrail
    apps: House
    handles: dict[str, int] = field(default_factory=dict)

    @classmethod
    async def make(cls, more_points: int = 0) -> World:
        model = plant(more_points)
        registry, store, live, alarms = FakeRegistry(model), FakeStore(), LiveTable(), FakeAlarms(model)
        links, access, feed, bus = FakeLinks(), FakeAccess(), FeedCounters(), LocalBus()
        directory = await Directory.of(model, store)
        appending = Appending(store)
        devices, edges = registers(registry, access)
        info = SystemInfo("0.1.0", T0, 101_000_000, 3.5, 7, 600.0, {"history": 200_000})
        services = Services(
            registry,
            store,  # type: ignore[arg-type]  # latest, delete and close are not asked for
            live,
            alarms,
            FakeCommands(registry),
            links,
            access,  # type: ignore[arg-type]  # bootstrap is not asked for
            access,
            trail := FakeTrail(access),
            bus,
            SystemClock(),
            feed,
            lambda: info,
            FakeCare(),
            devices,
            edges,
            IngestDesk(lambda: directory, appending, SystemClock()),
            FakeOutlets(),
            FakeCertificates(),
            devices.certificates,
            fake_posture,
            FakeCalculations(registry),
            FakeBacktests(),
            FakeNotifications(),
            streams(access, ONE_TENANT),
            (house := apps(access, access, ONE_TENANT, registry)).desk,
        )
        world = cls(
            services, registry, store, live, alarms, links, access, feed, devices, edges, appending, trail, house
        )
        numbers = await store.register(sorted(model.points))
        world.handles = dict(zip(sorted(model.points), numbers.tolist(), strict=True))
        return world

    def batch(self, path: str, values: Any, *, at_ns: int = T0, step_ns: int = SECOND_NS, quality: Any = 0) -> Batch:
        """Consecutive samples of one point; received 1.000001 ms after the source time."""
        point = self.registry.plant.points[path]
        values = np.asarray(values, point.kind.dtype)
        times = at_ns + np.arange(len(values), dtype=np.int64) * step_ns
        handles = np.full(len(values), self.handles[path], np.uint32)
        return Batch.of(point.kind, handles, times, values, quality, times + 1_000_001)
