"""What a write must pass, decisions on critical ones, and locks."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from headrace.api.schemas.alarms import CommandAnswer
from headrace.api.schemas.base import Answer, JsonValue, Request, Time, Title, json_value, time_text
from headrace.model.commands import WriteLock
from headrace.model.guards import Comparison
from headrace.model.time import SECOND_NS, format_time
from headrace.sdk.commands import InterlockState, WriteConditions


class DecisionRequest(Request):
    reason: str = Field("", max_length=500, examples=["checked against the drawing"])


class LockRequest(Request):
    path: str = Field("", max_length=512, description="An asset with all below it, or a point; empty is everything.")
    reason: str = Field(min_length=1, max_length=500, examples=["somebody is inside the guard"])


class ReleaseRequest(Request):
    reason: str = Field(min_length=1, max_length=500, examples=["guard closed, everybody seen"])


class LockAnswer(Answer):
    """While it stands nothing at or below `path` is written, whoever asks."""

    id: str
    path: str
    reason: str
    locked_by: str
    locked_at: Time
    released_by: str
    released_at: Time | None
    release_reason: str

    @classmethod
    def of(cls, lock: WriteLock) -> Self:
        return cls(
            id=lock.id,
            path=lock.path,
            reason=lock.reason,
            locked_by=lock.locked_by,
            locked_at=format_time(lock.locked_ns),
            released_by=lock.released_by,
            released_at=time_text(lock.released_ns),
            release_reason=lock.release_reason,
        )


class LimitsAnswer(Answer):
    """In the point's unit; null: no such limit. `rate` is the sum of all steps within a minute."""

    step: float | None
    rate: float | None
    interval_s: float | None
    writes: int | None
    writes_each: int | None


class InterlockAnswer(Answer):
    """One condition, and how it stands now. `value` is the newest of its point; `why` says why it does not hold."""

    point: str
    condition: Literal["is", "below", "above", "between"]
    limit: JsonValue = Field(description="What it is compared with; null for between.")
    low: float | None
    high: float | None
    for_s: float
    fresh_s: float
    text: Title
    value: JsonValue
    holds: bool
    why: str

    @classmethod
    def of(cls, state: InterlockState) -> Self:
        one, between = state.interlock, state.interlock.comparison is Comparison.BETWEEN
        return cls(
            point=one.point,
            condition=one.comparison.value,
            limit=None if between else json_value(one.limit),
            low=one.low if between else None,
            high=one.high if between else None,
            for_s=one.for_ns / SECOND_NS,
            fresh_s=one.fresh_ns / SECOND_NS,
            text=dict(one.text),
            value=json_value(state.value),
            holds=state.holds,
            why=state.why,
        )


class ConditionsAnswer(Answer):
    """What stands between a point and a write now. `waiting` is the critical write that waits already."""

    critical: bool
    approval_s: float
    limits: LimitsAnswer
    interlocks: list[InterlockAnswer]
    locks: list[LockAnswer]
    waiting: CommandAnswer | None

    @classmethod
    def of(cls, conditions: WriteConditions) -> Self:
        guard, limits = conditions.guard, conditions.guard.limits
        return cls(
            critical=guard.critical,
            approval_s=guard.approval_ns / SECOND_NS,
            limits=LimitsAnswer(
                step=limits.step,
                rate=limits.rate_per_minute,
                interval_s=None if limits.interval_ns is None else limits.interval_ns / SECOND_NS,
                writes=limits.writes,
                writes_each=limits.writes_each,
            ),
            interlocks=[InterlockAnswer.of(state) for state in conditions.interlocks],
            locks=[LockAnswer.of(lock) for lock in conditions.locks],
            waiting=None if conditions.waiting is None else CommandAnswer.of(conditions.waiting),
        )
