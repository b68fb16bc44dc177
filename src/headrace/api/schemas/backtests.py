"""Back-tests of alarm rules: what they would have raised, beside what was."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from headrace.api.schemas.base import Answer, Request, Time, time_text
from headrace.api.schemas.plant import DeclarationFile
from headrace.model.time import format_time
from headrace.sdk.computing import BacktestEpisode, BacktestJob, BacktestRule
from headrace.sdk.services import SourceFile


class NewBacktest(Request):
    """Rules as declared, or as they would be with `files`; nothing is applied."""

    start: str = Field(max_length=64, description="RFC 3339, or before now such as now-7d.")
    end: str | None = Field(None, max_length=64, description="Not included. Default: now.")
    rules: list[str] = Field([], max_length=100_000, description="Names of alarms. Default: all.")
    files: list[DeclarationFile] = Field([], max_length=2_000, description="Declarations to test beside what is there.")

    def sources(self) -> list[SourceFile]:
        return [SourceFile(file.name, file.text) for file in self.files]


class BacktestRuleAnswer(Answer):
    rule: str
    priority: str
    raised: int = Field(description="How often it would have been raised.")
    active_s: float = Field(description="For how long, all together.")
    longest_s: float
    really_raised: int = Field(description="How often it really was.")
    really_acknowledged: int
    median_acknowledge_s: float | None = Field(description="Until somebody acknowledged; null where nobody did.")

    @classmethod
    def of(cls, one: BacktestRule) -> Self:
        return cls(
            rule=one.rule, priority=one.priority, raised=one.raised, active_s=one.active_s, longest_s=one.longest_s,
            really_raised=one.really_raised, really_acknowledged=one.really_acknowledged,
            median_acknowledge_s=one.median_acknowledge_s,
        )  # fmt: skip


class BacktestEpisodeAnswer(Answer):
    """One alarm that would have been, and the real one beside it: raised within a minute of it, or meanwhile."""

    rule: str
    raised_at: Time = Field(description="Before the stretch where it stood at its beginning.")
    cleared_at: Time | None = Field(description="Null where it stood at the end.")
    value: float | None
    really_raised_at: Time | None
    acknowledged_at: Time | None
    acknowledged_by: str
    comment: str

    @classmethod
    def of(cls, one: BacktestEpisode) -> Self:
        return cls(
            rule=one.rule, raised_at=format_time(one.raised_ns), cleared_at=time_text(one.cleared_ns), value=one.value,
            really_raised_at=time_text(one.really_raised_ns), acknowledged_at=time_text(one.acknowledged_ns),
            acknowledged_by=one.acknowledged_by, comment=one.comment,
        )  # fmt: skip


class BacktestAnswer(Answer):
    """Ask again until `ended_at` is set; `error` is empty where all went well."""

    id: int
    tested: int = Field(description="How many rules.")
    start: Time
    end: Time
    actor: str
    started_at: Time
    upto: Time
    samples: int
    raised: int
    elapsed_s: float = Field(description="How long it took.")
    ended_at: Time | None
    error: str

    @classmethod
    def of(cls, job: BacktestJob) -> Self:
        return cls(**_fields(job))


class BacktestResult(BacktestAnswer):
    rules: list[BacktestRuleAnswer] = Field(description="Those that were raised most first.")
    episodes: list[BacktestEpisodeAnswer] = Field(description="By time, the first 2000.")

    @classmethod
    def of(cls, job: BacktestJob) -> Self:
        return cls(
            **_fields(job),
            rules=[BacktestRuleAnswer.of(one) for one in job.rules],
            episodes=[BacktestEpisodeAnswer.of(one) for one in job.episodes],
        )


def _fields(job: BacktestJob) -> dict[str, object]:
    return {
        "id": job.id,
        "tested": job.tested,
        "start": format_time(job.start_ns),
        "end": format_time(job.end_ns),
        "actor": job.actor,
        "started_at": format_time(job.begun_ns),
        "upto": format_time(job.upto_ns),
        "samples": job.samples,
        "raised": job.raised,
        "elapsed_s": job.elapsed_s,
        "ended_at": time_text(job.finished_ns),
        "error": job.error,
    }
