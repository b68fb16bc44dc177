"""Messages of the WebSocket `/api/v1/live`, one JSON object each.

client                                      server
{"token": "…"}         (without a cookie)
{"subscribe": [...], "alarms": true}  ───►  {"type": "points", …}     the answer: index of each path
                                      ◄───  {"type": "changes", …}    everything known, then what changes
                                      ◄───  {"type": "alarms", …}     at each transition
                                      ◄───  {"type": "error", …}      the message was wrong; the feed goes on
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headrace.api.schemas.alarms import TransitionAnswer
from headrace.api.schemas.base import Answer, ErrorDetail, JsonValue, Request
from headrace.api.schemas.values import EpochMs, Quality


class LiveSignIn(Request):
    """First message of a client that has a token and no cookie."""

    token: str = Field(min_length=1, max_length=1024)


class LiveSubscribe(Request):
    """Replaces the former set. Points that a later apply adds are seen after subscribing again."""

    subscribe: list[Annotated[str, Field(max_length=512)]]
    alarms: bool = False
    max_hz: float = Field(10.0, gt=0, le=20, description="Frames a second at most.")


class LivePoints(Answer):
    """The index of a path in `paths` is what `i` of the following changes speaks of."""

    type: Literal["points"] = "points"
    paths: list[str]
    unknown: list[str] = Field(description="Asked for and not declared.")


class LiveChanges(Answer):
    """Columns: point index, value, source time, quality. `time_ms` is the server's clock when the frame was made."""

    type: Literal["changes"] = "changes"
    time_ms: EpochMs
    i: list[int]
    v: list[JsonValue]
    t: list[EpochMs | None]
    q: list[Quality]


class LiveAlarms(Answer):
    """With `reload` transitions were lost on the way to a slow client: ask `GET /alarms` again."""

    type: Literal["alarms"] = "alarms"
    transitions: list[TransitionAnswer]
    reload: bool = False


class LiveError(Answer):
    type: Literal["error"] = "error"
    error: ErrorDetail


MESSAGES = (LiveSignIn, LiveSubscribe, LivePoints, LiveChanges, LiveAlarms, LiveError)
