"""Jobs that look after the historian."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from headrace.api.schemas.base import Answer, Request, Time, time_text
from headrace.model.time import format_time
from headrace.sdk.services import HistoryJob


class NewHistoryJob(Request):
    kind: Literal["check", "backup"]
    target: str | None = Field(
        None, max_length=4_000, description="Folder on the server for a backup, absolute. Default: the declared one."
    )
    keep: int | None = Field(None, ge=1, le=10_000, description="How many backups stay. Default: the declared number.")


class HistoryJobAnswer(Answer):
    """Ask again until `state` is no longer `running`; `result` is that of a check or of a backup."""

    id: int
    kind: str
    actor: str
    state: Literal["running", "done", "failed"]
    started_at: Time
    ended_at: Time | None
    at: str = Field(description="The file in hand.")
    done_bytes: int
    total_bytes: int
    error: str
    result: dict[str, Any]

    @classmethod
    def of(cls, job: HistoryJob) -> HistoryJobAnswer:
        return cls(
            id=job.id,
            kind=job.kind,
            actor=job.actor,
            state=job.state.value,
            started_at=format_time(job.started_ns),
            ended_at=time_text(job.ended_ns),
            at=job.at,
            done_bytes=job.done_bytes,
            total_bytes=job.total_bytes,
            error=job.error,
            result=dict(job.result),
        )
