"""Notifications: what was told to whom, and who is on call. An address is shown whole to who manages people alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field

from headrace.api.schemas.base import Answer, Request, Time, time_text
from headrace.model.notifications import Contact
from headrace.model.time import format_time
from headrace.sdk.notify import NoticeRecord, OnCallShift


class ToldAlarm(Answer):
    rule: str
    point: str


class ToldFact(Answer):
    label: str
    value: str


class NotificationAnswer(Answer):
    """One message to some people by one channel."""

    key: str
    notification: str = Field(description="The declared notification; empty for a test.")
    kind: str = Field(description="raised, escalated, repeated, flood, acknowledged, cleared or test.")
    step: int = Field(description="Which step of its escalation, from 1.")
    state: str = Field(description="pending, sent, failed, passed-on, nobody or withdrawn.")
    channel: str
    contacts: list[str] = Field(description="Whom it is for, as declared.")
    people: list[str] = Field(description="What they are called.")
    alarms: list[ToldAlarm]
    title: str
    lines: list[str]
    facts: list[ToldFact]
    made_at: Time
    done_at: Time | None = Field(description="When it was sent or given up.")
    attempts: int
    next_try_at: Time | None
    next_step_at: Time | None = Field(description="When the next step is, while nobody has acknowledged.")
    error: str
    actor: str = Field(description="Who sent a test.")

    @classmethod
    def of(cls, one: NoticeRecord, contacts: Mapping[str, Contact]) -> Self:
        made_at = format_time(one.made_ns)
        return cls(
            key=one.key, notification=one.notification, kind=one.kind, step=one.step + 1, state=one.state,
            channel=one.channel, contacts=list(one.contacts),
            people=[contacts[name].called if name in contacts else name for name in one.contacts],
            alarms=[ToldAlarm(rule=rule, point=point) for rule, point in one.alarms], title=one.title,
            lines=list(one.message.get("lines", ())),
            facts=[ToldFact(label=label, value=value) for label, value in one.message.get("facts", ())],
            made_at=made_at, done_at=time_text(one.done_ns), attempts=one.attempts,
            next_try_at=time_text(one.next_try_ns), next_step_at=time_text(one.next_step_ns), error=one.error,
            actor=one.actor,
        )  # fmt: skip


class NotificationPage(Answer):
    notifications: list[NotificationAnswer]
    next_cursor: str | None


class OnCallPerson(Answer):
    contact: str
    name: str
    user: str = Field(description="Their account at the console, or empty.")
    addresses: dict[str, str] = Field(description="By kind; masked for who does not manage people.")

    @classmethod
    def of(cls, contact: Contact, *, whole: bool) -> Self:
        addresses = {kind: one if whole else masked(one) for kind, one in contact.addresses.items()}
        return cls(contact=contact.name, name=contact.called, user=contact.user, addresses=addresses)


class OnCallAnswer(Answer):
    roster: str
    title: dict[str, str]
    time_zone: str
    shift: str
    began_on: str = Field(description="The day on which the shift began there.", examples=["2026-11-27"])
    people: list[OnCallPerson]

    @classmethod
    def of(cls, one: OnCallShift, contacts: Mapping[str, Contact], *, whole: bool) -> Self:
        known = [contacts[name] for name in one.people if name in contacts]
        return cls(
            roster=one.roster, title=dict(one.title), time_zone=one.time_zone, shift=one.shift,
            began_on=one.began.isoformat(), people=[OnCallPerson.of(contact, whole=whole) for contact in known],
        )  # fmt: skip


class OnCallPage(Answer):
    at: Time
    shifts: list[OnCallAnswer]


class NotificationTest(Request):
    """A message that says that it is a test, to one contact over one channel, now."""

    channel: str = Field(min_length=1, max_length=200)
    contact: str = Field(min_length=1, max_length=200)


def masked(address: str) -> str:
    """Enough to know one's own by: `l***@acme.example`, `1***00`."""
    head, at, host = address.rpartition("@")
    if at:
        return f"{head[:1]}***@{host}"
    return f"{address[:1]}***{address[-2:] if len(address) > 5 else ''}"
