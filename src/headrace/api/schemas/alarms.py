"""Alarms and commands."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from headrace.api.schemas.alarm_kpis import FloodAnswer
from headrace.api.schemas.base import Answer, JsonValue, Request, Time, Title, WriteValue, json_value, time_text
from headrace.compute.alarms.grouping import Place
from headrace.model.alarms import AlarmClass, AlarmRule, AlarmTransition, Rationale
from headrace.model.commands import Command
from headrace.model.plant import PlantModel
from headrace.model.time import SECOND_NS, format_time
from headrace.sdk.services import AlarmRecord

Priority = Literal["critical", "high", "medium", "low"]
State = Literal[
    "normal", "unack-active", "ack-active", "unack-cleared", "latched-unack", "latched-ack", "shelved", "suppressed",
    "out-of-service",
]  # fmt: skip
Step = Literal[
    "raised", "cleared", "acknowledged", "reset", "shelved", "unshelved", "suppressed", "released", "removed",
    "returned", "found", "passed",
]  # fmt: skip
Comment = Annotated[str, Field(max_length=2_000)]


class ClassAnswer(Answer):
    """How alarms of a class are handled. Source: ISA-18.2-2016 §6."""

    name: str = Field(description="'' where none is declared.", examples=["safety"])
    title: Title
    acknowledge: bool = Field(description="Whether its alarms must be acknowledged.")
    comment: bool = Field(description="Whether that takes a comment.")
    proof: bool = Field(description="Whether that takes a fresh proof, by a person.")
    shelve_longest_s: float = Field(description="0 where shelving is not allowed.", examples=[28800])

    @classmethod
    def of(cls, one: AlarmClass) -> Self:
        return cls(
            name=one.name,
            title=dict(one.title),
            acknowledge=one.acknowledge,
            comment=one.comment,
            proof=one.proof,
            shelve_longest_s=one.shelve_longest_ns / SECOND_NS,
        )


class RationaleAnswer(Answer):
    """Why an alarm is one, and what to do. Source: ISA-18.2-2016 §9."""

    cause: Title
    consequence: Title
    response: Title
    time_to_respond_s: float | None
    setpoint_basis: str
    reviewed_on: str = Field(description="A date; '' where nobody has.", examples=["2026-05-01"])
    reviewed_by: str

    @classmethod
    def of(cls, one: Rationale | None) -> Self | None:
        if one is None:
            return None
        return cls(
            cause=dict(one.cause),
            consequence=dict(one.consequence),
            response=dict(one.response),
            time_to_respond_s=None if one.time_to_respond_ns is None else one.time_to_respond_ns / SECOND_NS,
            setpoint_basis=one.setpoint_basis,
            reviewed_on=one.reviewed_on,
            reviewed_by=one.reviewed_by,
        )


class RuleAnswer(Answer):
    """An alarm as it is declared, whether it stands or not: when it is raised, why, and what to do.

    Source: ISA-18.2-2016 §6 (master alarm database), §9.
    """

    rule: str = Field(examples=["acme/suzhou/press-shop/line-1/press-3/oil.temperature:hot"])
    point: str
    asset: str
    priority: Priority
    condition: str = Field(examples=["high"])
    limit: float
    message: Title
    latched: bool = Field(description="Whether it stays until somebody resets it.")
    suppressed_by: str | None = Field(description="The point that suppresses it by design, where the caller sees it.")
    handling: ClassAnswer
    rationale: RationaleAnswer | None

    @classmethod
    def of(cls, rule: AlarmRule, plant: PlantModel) -> Self:
        return cls(
            rule=rule.name,
            point=rule.point,
            asset=rule.point.rpartition("/")[0],
            priority=rule.priority.value,
            condition=rule.condition.value,
            limit=rule.limit,
            message=dict(rule.message),
            latched=rule.latched,
            suppressed_by=rule.suppressed_by if rule.suppressed_by in plant.points else None,
            handling=ClassAnswer.of(rule.handling),
            rationale=RationaleAnswer.of(rule.rationale),
        )


class AlarmAnswer(Answer):
    """An alarm that is not normal. Source: IEC 62682 §5.

    A state that is shelved, suppressed or out-of-service hides whether the condition holds: `active` says so.
    """

    rule: str = Field(examples=["acme/suzhou/press-shop/line-1/press-3/oil.temperature:hot"])
    point: str
    asset: str
    state: State
    priority: Priority
    condition: str = Field(examples=["high"])
    limit: float
    message: Title
    value: float | None
    raised_at: Time | None
    cleared_at: Time | None
    acknowledged_at: Time | None
    acknowledged_by: str
    comment: str
    active: bool = Field(description="Whether the condition holds, also beneath a quiet state.")
    latched: bool = Field(description="Whether it stays until somebody resets it.")
    suppressed_by: str | None = Field(description="The point that suppresses it by design, where the caller sees it.")
    shelved_until: Time | None
    shelved_once: bool = Field(description="The shelf ends also when the condition next clears.")
    quiet_by: str = Field(description="Who shelved it or took it out of service.")
    quiet_reason: str
    handling: ClassAnswer
    rationale: RationaleAnswer | None
    group: str = Field(description="The alarm that this one is folded under; its own name where it is none's.")
    first_out: int = Field(description="The how-manieth of its group was raised; 0 is the root.")
    consequences: int = Field(description="How many are folded under it.")

    @classmethod
    def of(cls, record: AlarmRecord, plant: PlantModel, place: Place, consequences: int) -> Self:
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
            raised_at=time_text(record.raised_ns),
            cleared_at=time_text(record.cleared_ns),
            acknowledged_at=time_text(record.acknowledged_ns),
            acknowledged_by=record.acknowledged_by,
            comment=record.comment,
            active=record.active,
            latched=rule.latched,
            suppressed_by=rule.suppressed_by if rule.suppressed_by in plant.points else None,
            shelved_until=time_text(record.shelved_until_ns),
            shelved_once=record.shelved_once,
            quiet_by=record.quiet_by,
            quiet_reason=record.quiet_reason,
            handling=ClassAnswer.of(rule.handling),
            rationale=RationaleAnswer.of(rule.rationale),
            group=place.root,
            first_out=place.first_out,
            consequences=consequences,
        )


class StateCounts(Answer):
    """How many alarms are in each state."""

    unack_active: int = 0
    ack_active: int = 0
    unack_cleared: int = 0
    latched_unack: int = 0
    latched_ack: int = 0
    shelved: int = 0
    suppressed: int = 0
    out_of_service: int = 0


class AlarmPage(Answer):
    """By priority, then newest first. `total` and `states` are of all pages."""

    alarms: list[AlarmAnswer]
    next_cursor: str | None
    total: int
    states: StateCounts
    flood: FloodAnswer | None = Field(description="The flood that goes on now, of what the caller sees.")


class TransitionAnswer(Answer):
    """One step in the life of an alarm. `priority` and `message` are the rule's of today; null once it is gone."""

    rule: str
    point: str
    asset: str
    action: Step
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


RuleNames = Annotated[list[Annotated[str, Field(min_length=1, max_length=700)]], Field(min_length=1, max_length=1_000)]


class Acknowledgement(Request):
    rules: RuleNames
    comment: Comment = ""


class Shelving(Request):
    """`duration` as long as the class allows unless given; with `once`, also no longer than until it next clears."""

    rules: RuleNames
    reason: str = Field(min_length=1, max_length=2_000, examples=["sensor is being changed"])
    duration: str | None = Field(None, max_length=30, examples=["2h"])
    once: bool = False


class Removal(Request):
    rules: RuleNames
    reason: str = Field(min_length=1, max_length=2_000, examples=["overhaul of the pump until May"])


class WriteRequest(Request):
    path: str = Field(min_length=1, max_length=512)
    value: WriteValue
    reason: str = Field(min_length=1, max_length=2_000, examples=["warm-up after tool change"])


class CommandAnswer(Answer):
    """A write and how it ended: `confirmed` by read-back, `refused` or `failed` with the reason in `detail`.

    A critical one is `awaiting-approval` until a second person, `approver`, decides, or until `expires_at`.
    """

    id: str
    path: str
    value: JsonValue
    actor: str
    reason: str
    state: Literal["requested", "authorised", "awaiting-approval", "sent", "confirmed", "refused", "failed"]
    detail: str
    read_back: JsonValue
    requested_at: Time
    expires_at: Time = Field(description="Not sent after this; while it waits, the end of its waiting.")
    finished_at: Time | None
    approver: str = Field(description="The second person of a critical write; empty where there is none yet.")
    decided_at: Time | None
    decision: str

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
            expires_at=format_time(command.expires_ns),
            finished_at=time_text(command.finished_ns),
            approver=command.approver,
            decided_at=time_text(command.decided_ns),
            decision=command.decision,
        )
