"""What was told to whom, and who is on call: what `compute/notify/` offers to the people above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from headrace.model.areas import Area
from headrace.sdk.access import DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class NoticeRecord:
    """One message to some people by one channel.

    `kind` is raised, escalated, repeated, flood, acknowledged, cleared or test; `state` is pending, sent, failed,
    passed-on, nobody or withdrawn. `alarms` are rule and point of each that it told. `next_try_ns` is set while it is
    pending, `next_step_ns` while the alarm that it told waits for somebody.
    """

    key: str
    notification: str
    kind: str
    step: int
    state: str
    channel: str
    contacts: tuple[str, ...]
    alarms: tuple[tuple[str, str], ...]
    title: str
    made_ns: int
    done_ns: int | None = None
    attempts: int = 0
    next_try_ns: int | None = None
    next_step_ns: int | None = None
    error: str = ""
    actor: str = ""
    message: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoticePage:
    notices: Sequence[NoticeRecord]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class OnCallShift:
    """A shift that goes on: the day on which it began in the roster's time zone, and who is on call by name."""

    roster: str
    title: Mapping[str, str]
    time_zone: str
    shift: str
    began: date
    people: tuple[str, ...]


@dataclass(slots=True)
class NotifyCounters:
    """Since start. `lost` are annunciations for which there was no room."""

    sent: int = 0
    failed: int = 0
    retried: int = 0
    lost: int = 0
    open_cases: int = 0
    pending: int = 0


class NotificationDesk(Protocol):
    @property
    def counters(self) -> NotifyCounters: ...

    async def log(
        self,
        *,
        tenant: str = DEFAULT_TENANT,
        rule: str | None = None,
        within: Area | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> NoticePage:
        """Newest first, of a tenant; of alarms that lie in an area. Raises: DataError, Unavailable."""
        ...

    def on_call(self, at_ns: int, *, tenant: str = DEFAULT_TENANT) -> Sequence[OnCallShift]:
        """Who is, by roster; a roster that nobody is on call of is there with no people."""
        ...

    async def test(self, channel: str, contact: str, actor: str, *, tenant: str = DEFAULT_TENANT) -> NoticeRecord:
        """Send a test message now, once. What the channel said is in the record. Raises: NotFound, DataError,
        LimitReached, Unavailable."""
        ...
