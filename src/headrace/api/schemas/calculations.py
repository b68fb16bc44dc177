"""Calculated points: what each is made of, how it fares, and working it out anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field

from headrace.api.schemas.base import Answer, Request, Time, time_text
from headrace.model.time import format_time
from headrace.sdk.computing import BackfillJob, CalculationStatus


class CalculationAnswer(Answer):
    """One calculated point."""

    path: str
    expression: str
    inputs: list[str] = Field(description="Paths of the points that it is made of.")
    instances: int = Field(description="How many points are worked out together with it: those of the same template.")
    counts: Mapping[str, int] = Field(
        description="Of all these since they began: results that failed by reason, and `late` samples."
    )

    @classmethod
    def of(cls, one: CalculationStatus) -> Self:
        return cls(
            path=one.path, expression=one.expression, inputs=list(one.inputs), instances=one.instances,
            counts=dict(one.counts),
        )  # fmt: skip


class NewBackfill(Request):
    points: list[str] = Field(min_length=1, max_length=10_000, description="Paths of calculated points.")
    start: str = Field(max_length=64, description="RFC 3339, or before now such as now-7d.")
    end: str | None = Field(None, max_length=64, description="Not included. Default: now.")


class BackfillAnswer(Answer):
    """Ask again until `ended_at` is set; `error` is empty where all went well."""

    id: int
    points: list[str]
    start: Time
    end: Time
    actor: str
    started_at: Time
    upto: Time = Field(description="Worked out so far.")
    results: int = Field(description="Samples made so far.")
    ended_at: Time | None
    error: str
    cancelled_by: str = Field(description="Who has asked for its end; it ends after the samples that are on their way.")

    @classmethod
    def of(cls, job: BackfillJob) -> Self:
        return cls(
            id=job.id, points=list(job.points), start=format_time(job.start_ns), end=format_time(job.end_ns),
            actor=job.actor, started_at=format_time(job.begun_ns), upto=format_time(job.upto_ns), results=job.results,
            ended_at=time_text(job.finished_ns), error=job.error,
            cancelled_by=job.cancelled_by,
        )  # fmt: skip
