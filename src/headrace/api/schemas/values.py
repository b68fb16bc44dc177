"""Samples in columns. These shapes document what `columns.py` writes; no object is made per sample."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headrace.api.schemas.base import Answer, JsonValue, Request, Time

Quality = Annotated[int, Field(description="OPC UA StatusCode (OPC 10000-4 §7.39).", examples=[0])]
EpochMs = Annotated[float, Field(description="Milliseconds since 1970, UTC.", examples=[1_795_334_400_000.0])]


class LatestColumns(Answer):
    """One row a point. A point never seen has no times and quality BadWaitingForInitialData (0x80320000)."""

    paths: list[str]
    time_ms: list[EpochMs | None] = Field(description="When the source says it was so.")
    received_ms: list[EpochMs | None]
    values: list[JsonValue]
    quality: list[Quality]


class RawColumns(Answer):
    """Samples of one point, oldest first. Ask on with `next_cursor` until it is null."""

    path: str
    time: list[Time]
    values: list[JsonValue]
    quality: list[Quality]
    next_cursor: str | None


class Series(Answer):
    path: str
    unit: str
    columns: dict[str, list[float | None]] = Field(
        description="By aggregate, one number a bucket; null where the bucket is empty.",
        examples=[{"min": [41.2, None], "max": [41.9, None], "mean": [41.55, None]}],
    )


class Downsampled(Answer):
    """Bucket i covers `[start_ms + i·width_ms, start_ms + (i+1)·width_ms)`."""

    start_ms: EpochMs
    width_ms: float
    count: int
    series: list[Series]


class SqlRequest(Request):
    """One SELECT over `samples`, `minutes`, `points` and `assets`."""

    sql: Annotated[str, Field(min_length=1, max_length=20_000, examples=["SELECT path, avg(value) FROM samples"])]
    timezone: Annotated[str, Field(min_length=1, max_length=64, examples=["Asia/Shanghai"])] = "UTC"
    limit: Annotated[int, Field(ge=1, le=1_000_000, description="Rows at most.")] = 10_000


class SqlColumn(Answer):
    name: str
    type: str = Field(description="As DuckDB calls it.", examples=["DOUBLE"])


class SqlRows(Answer):
    """Times are RFC 3339 in UTC; an integer beyond ±(2^53−1) and a decimal are text; null for NaN and infinities."""

    columns: list[SqlColumn]
    rows: list[list[object]]
    truncated: bool = Field(description="There were more rows than `limit`, or than fit in 32 MiB.")


class RefusedRows(Answer):
    path: str
    reason: str = Field(examples=["is not declared"])
    rows: int


class ImportAnswer(Answer):
    """What an import came to."""

    rows: int = Field(description="Stored; with `dry_run`, that could be.")
    points: int
    refused: list[RefusedRows]


class IngestAnswer(Answer):
    """Everything that was sent, on disk."""

    lines: int
    samples: int


class IngestLineProblem(Answer):
    line: int = Field(description="Counted from 1.")
    message: str


class IngestProblemDetail(Answer):
    code: str = Field(examples=["partial-write"])
    message: str
    samples: int = Field(description="Stored.")
    refused: int = Field(description="Samples and lines that were wrong.")
    lines: list[IngestLineProblem] = Field(description="The first hundred of them.")


class IngestProblem(Answer):
    """`code` and `message` at the top are for InfluxDB's clients."""

    code: str = Field(examples=["invalid"])
    message: str
    error: IngestProblemDetail
