"""Alarms and commands."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from headrace.api.schemas.base import Answer, JsonValue, Request, Time, Title, WriteValue, json_value, time_text
from headrace.model.alarms import AlarmTransition
from headrace.model.commands import Command
from headrace.model.plant import PlantModel
from headrace.model.time import format_time
from headrace.sdk.services import AlarmRecord

Priority = Literal["critical", "high", "medium", "low"]
State = Literal["normal", "unack-active", "ack-active", "unack-cleared"]
Comment = Annotated[str, Field(max_length=2_000)]


class AlarmAnswer(Answer):
    """An alarm that is not normal. Source: IEC 62682 §5."""

    rule: str = Field(examples=["acme/suzhou/press-shop/line-1/press-3/oil.temperature:hot"])
    point: str
    asset: str
    state: State
    priority: Priority
    condition: str = Field(examples=["high"])
    limit: float
    message: Title
    value: float | None
    raised_at: Time
    cleared_at: Time | None
    acknowledged_at: Time | None
    acknowledged_by: str
    comment: str

    @classmethod
    def of(cls, record: AlarmRecord) -> Self:
        rule = record.rule
        return cls(
            rule=rule.name,
            point=rule.point,
            asset=rule.point.rpartition("/")[0],
            state=record.state.value,
            priority=rule.priority.value,
            condition=rule.condition.value,
            limit=rule.limit,
            message=dict(rule.message),
            value=json_value(record.value),
            raised_at=format_time(record.raised_ns),
            cleared_at=time_text(record.cleared_ns),
            acknowledged_at=time_text(record.acknowledged_ns),
            acknowledged_by=record.acknowledged_by,
            comment=record.comment,
        )


class TransitionAnswer(Answer):
    """One step in the life of an alarm. `priority` and `message` are the rule's of today; null once it is gone."""

    rule: str
    point: str
    asset: str
    action: Literal["raised", "cleared", "acknowledged"]
    state: State
    time: Time
    value: float | None
    priority: Priority | None
    message: Title
    actor: str
    comment: str

    @classmethod
    def of(cls, step: AlarmTransition, plant: PlantModel) -> Self:
        rule = plant.alarms.get(step.rule)
        point = rule.point if rule else step.rule.rpartition(":")[0]
        return cls(
            rule=step.rule,
            point=point,
            asset=point.rpartition("/")[0],
            action=step.action.value,
            state=step.state.value,
            time=format_time(step.time_ns),
            value=json_value(step.value),
            priority=rule.priority.value if rule else None,
            message=dict(rule.message) if rule else {},
            actor=step.actor,
            comment=step.comment,
        )


class Transitions(Answer):
    transitions: list[TransitionAnswer]


class TransitionPageAnswer(Answer):
    """Newest first."""

    transitions: list[TransitionAnswer]
    next_cursor: str | None


class Acknowledgement(Request):
    rules: list[Annotated[str, Field(min_length=1, max_length=700)]] = Field(min_length=1, max_length=1_000)
    comment: Comment = ""


class WriteRequest(Request):
    path: str = Field(min_length=1, max_length=512)
    value: WriteValue
    reason: str = Field(min_length=1, max_length=2_000, examples=["warm-up after tool change"])


class CommandAnswer(Answer):
    """A write and how it ended: `confirmed` by read-back, `refused` or `failed` with the reason in `detail`."""

    id: str
    path: str
    value: JsonValue
    actor: str
    reason: str
    state: Literal["requested", "authorised", "sent", "confirmed", "refused", "failed"]
    detail: str
    read_back: JsonValue
    requested_at: Time
    finished_at: Time | None

    @classmethod
    def of(cls, command: Command) -> Self:
        return cls(
            id=command.id,
            path=command.point,
            value=json_value(command.value),
            actor=command.actor,
            reason=command.reason,
            state=command.state.value,
            detail=command.detail,
            read_back=json_value(command.read_back),
            requested_at=format_time(command.requested_ns),
            finished_at=time_text(command.finished_ns),
        )
