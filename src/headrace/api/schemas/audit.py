"""The audit trail: entries, its state, and what a check of it found."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from headrace.api.schemas.base import Answer, Time, time_text
from headrace.model.time import format_time
from headrace.sdk.access import AuditEntry
from headrace.sdk.audit import AuditHead, AuditState, AuditVerdict

Hash = Annotated[str, Field(description="SHA-256, hex.", examples=["9f86d081…"])]


class AuditEntryAnswer(Answer):
    """`hash` covers the entry and the hash before it, so that it can be looked for in the whole chain later."""

    sequence: int
    time: Time
    actor: str
    action: str = Field(examples=["command.confirmed"])
    subject: str
    outcome: str
    data: dict[str, Any]
    hash: Hash

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        return cls(
            sequence=entry.sequence,
            time=format_time(entry.time_ns),
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            outcome=entry.outcome,
            data=dict(entry.data),
            hash=entry.hash,
        )


class AuditPage(Answer):
    """Newest first, of the caller's tenant; entries that are in archives already are in exports alone."""

    entries: list[AuditEntryAnswer]
    next_cursor: str | None


class AuditHeadAnswer(Answer):
    """An entry of the whole trail. Keep one elsewhere, and give it to a later check."""

    sequence: int
    hash: Hash

    @classmethod
    def of(cls, head: AuditHead) -> Self:
        return cls(sequence=head.sequence, hash=head.hash)


class AuditCountersAnswer(Answer):
    """Since start."""

    entries: int
    failures: int = Field(description="Entries that the database did not take; what they were of was refused.")
    checkpoints: int
    archives: int


class AuditStateAnswer(Answer):
    """`checkpoint` is the newest head that was signed; `trouble` is what a person has to see to."""

    head: AuditHeadAnswer
    checkpoint: AuditHeadAnswer | None
    checkpoint_at: Time | None
    key: str = Field(description="Fingerprint of the key that signs: SHA-256 of its public half, hex.")
    archived_until: int = Field(description="The newest entry in archives; 0 where there are none.")
    keep_days: int | None
    failing_since: Time | None = Field(description="Set while the trail cannot be written.")
    free_bytes: int | None
    used_percent: float | None
    warn_percent: float | None
    trouble: list[str]
    counters: AuditCountersAnswer

    @classmethod
    def of(cls, state: AuditState) -> Self:
        counters = state.counters
        return cls(
            head=AuditHeadAnswer.of(state.head),
            checkpoint=None if state.checkpoint is None else AuditHeadAnswer.of(state.checkpoint),
            checkpoint_at=time_text(state.checkpoint_ns),
            key=state.key,
            archived_until=state.archived_until,
            keep_days=state.keep_days,
            failing_since=time_text(state.failing_since_ns),
            free_bytes=state.free_bytes,
            used_percent=None if state.used_percent is None else round(state.used_percent, 1),
            warn_percent=state.warn_percent,
            trouble=list(state.trouble),
            counters=AuditCountersAnswer(
                entries=counters.entries,
                failures=counters.failures,
                checkpoints=counters.checkpoints,
                archives=counters.archives,
            ),
        )


class AuditVerdictAnswer(Answer):
    """What a check of the whole trail found, archives and signed heads included. It tells counts, no entries."""

    whole: bool
    problem: str | None = Field(description="The first thing that is not as it was written.")
    head: AuditHeadAnswer | None
    entries: int
    archived: int
    checkpoints: int
    checkpoint: AuditHeadAnswer | None
    checkpoint_at: Time | None

    @classmethod
    def of(cls, verdict: AuditVerdict) -> Self:
        signed = verdict.checkpoint
        return cls(
            whole=True,
            problem=None,
            head=AuditHeadAnswer.of(verdict.head),
            entries=verdict.entries,
            archived=verdict.archived,
            checkpoints=verdict.checkpoints,
            checkpoint=None if signed is None else AuditHeadAnswer.of(signed),
            checkpoint_at=time_text(verdict.checkpoint_ns),
        )

    @classmethod
    def altered(cls, problem: str) -> Self:
        return cls(
            whole=False, problem=problem, head=None, entries=0, archived=0, checkpoints=0, checkpoint=None,
            checkpoint_at=None,
        )  # fmt: skip
