"""Stream functions: their versions, how those that run fare, and how a shadow differs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Self

from pydantic import Field

from headrace.api.schemas.base import Answer, Request, Time, time_text
from headrace.model.errors import DataError
from headrace.model.time import SECOND_NS, format_time
from headrace.sdk.computing import StreamAct, StreamDifference, StreamRun, StreamVersion


class NewStream(Request):
    """The source runs in a process of its own, which can compute and nothing else, from the first time on."""

    source: str = Field(min_length=1, max_length=262_144, description="Python with a stream function.")
    function: str = Field("", max_length=100, description="Which of them, where it has several.")
    model: str = Field(
        "", max_length=-(-(16 << 20) // 3) * 4, json_schema_extra={"contentEncoding": "base64"},
        description="An ONNX model in base64, which the source knows as `MODEL`; 16 MiB at most.",
    )  # fmt: skip
    on: str = Field("hub", max_length=100, description="Where it runs: `hub`, or `workers` that share it over NATS.")

    def model_bytes(self) -> bytes:
        """Raises: DataError."""
        try:
            return base64.b64decode(self.model, validate=True)
        except ValueError:
            raise DataError("model is no base64") from None


class StreamPlace(Request):
    on: str = Field(max_length=100, description="`hub` or `workers`.")
    why: str = Field("", max_length=500, description="For the audit trail.")


class StreamReason(Request):
    why: str = Field("", max_length=500, description="For the audit trail.")


class StreamRunAnswer(Answer):
    running: bool
    waiting: int = Field(description="Samples that wait for their windows.")
    counters: Mapping[str, int] = Field(
        description="`taken`, `unusable` and `late` samples; `windows`; `outputs`, samples made; `failed` windows."
    )
    stopped: int = Field(description="How often a call was ended: too long, too large.")
    halted: bool = Field(description="It was stopped too often in a row, and is called no more.")
    lateness_s: float = Field(description="How far a sample may be behind the newest.")
    newest_at: Time | None = Field(description="The newest sample's time; null before the first.")
    error: str

    @classmethod
    def of(cls, run: StreamRun) -> Self:
        return cls(
            running=run.running, waiting=run.waiting, counters=dict(run.counters), stopped=run.stopped,
            halted=run.halted, lateness_s=run.lateness_ns / SECOND_NS, newest_at=time_text(run.newest_ns),
            error=run.error,
        )  # fmt: skip


class StreamAnswer(Answer):
    """A version of a stream function."""

    name: str
    version: str
    stage: str = Field(description="`shadow`: runs, stores nothing. `active`: its outputs count. `retired`.")
    sha256: str = Field(description="Of its source.")
    added_at: Time
    added_by: str
    on: str = Field(description="Where it runs: `hub` or `workers`.")
    before: str = Field(description="The version that a rollback would bring back.")
    run: StreamRunAnswer | None = Field(description="Null where it does not run.")

    @classmethod
    def of(cls, one: StreamVersion) -> Self:
        return cls(
            name=one.name, version=one.version, stage=one.stage, sha256=one.sha256, added_at=one.added_at,
            added_by=one.by, on=one.on, before=one.before, run=None if one.run is None else StreamRunAnswer.of(one.run),
        )  # fmt: skip


class StreamDifferenceAnswer(Answer):
    """Of a shadow and the active version, since both run, the last 200,000 samples."""

    both: int = Field(description="Moments of points that both have.")
    same: int = Field(description="Of these, with equal values and quality.")
    missing: int = Field(description="Moments that the active one has alone.")
    more: int = Field(description="Moments that the shadow has alone.")
    worst: float = Field(description="The greatest difference of two values.")
    point: str = Field(description="Where that was; empty where there is none.")
    at: Time | None

    @classmethod
    def of(cls, one: StreamDifference) -> Self:
        return cls(
            both=one.both, same=one.same, missing=one.missing, more=one.more, worst=one.worst, point=one.point,
            at=format_time(one.time_ns) if one.point else None,
        )  # fmt: skip


class StreamActAnswer(Answer):
    time: Time
    who: str
    act: str = Field(description="`add`, `promote`, `roll back`, `retire` or `place`.")
    name: str
    version: str
    why: str

    @classmethod
    def of(cls, one: StreamAct) -> Self:
        return cls(time=one.time, who=one.who, act=one.act, name=one.name, version=one.version, why=one.why)
