"""Samples in columns. These shapes document what `columns.py` writes; no object is made per sample."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headrace.api.schemas.base import Answer, JsonValue, Time

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
