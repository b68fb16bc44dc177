"""The edge's end of the link: always there or coming back.

    dial ─► session (`edge_session.py`) ─► … until it is lost ─► pause ─► dial …

Tries take a second or two each, so that a link that is back is noticed at once; every fourth is patient, for links
where that is not enough. A hub that closes may ask to be left alone for a while. An outage is a few log lines, however
often the hub is tried in between.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from dataclasses import dataclass
from typing import Final

from headrace.exchange.link.dial import Address, Proxy, dial
from headrace.exchange.link.edge_session import EdgeEnd
from headrace.exchange.link.enrol import Identity
from headrace.exchange.link.messages import Close
from headrace.exchange.link.role import EdgeRole
from headrace.exchange.link.settings import LinkSettings
from headrace.exchange.spool import Spool
from headrace.model.errors import ConfigError, DataError, Unavailable, Unreachable
from headrace.sdk.clock import Clock

_logger = logging.getLogger(__name__)
_PATIENT_EACH: Final = 4
_REASONS_SAID: Final = 2  # why it was lost, and why it does not come back
_RENEW_EACH_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """`since_s` is monotonic; `error` says why it is not connected."""

    connected: bool
    since_s: float
    error: str
    connections: int
    latency_ms: float
    offset_ms: float
    sent_samples: int
    congestion: str


class EdgeLink:
    """Run `run` in the edge's TaskGroup; `stop` ends it in order."""

    def __init__(
        self,
        address: Address,
        identity: Identity,
        spool: Spool,
        role: EdgeRole,
        clock: Clock,
        settings: LinkSettings | None = None,
        *,
        proxy: Proxy | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._address, self._identity, self._spool, self._role, self._clock = address, identity, spool, role, clock
        self._settings, self._proxy = settings or LinkSettings(), proxy
        self._rng = rng or random.SystemRandom()
        self._session: EdgeEnd | None = None
        self._stopping = asyncio.Event()
        self._error, self._since_s, self._connections, self._sent = "", clock.monotonic_s(), 0, 0
        self._said: set[str] = set()  # of this outage
        self._stay_away_s = 0.0
        self._renewed_s: float | None = None

    async def run(self) -> None:
        self._identity.mend()
        context = self._identity.context()
        attempt = 0
        while not self._stopping.is_set():
            began_s = self._clock.monotonic_s()
            try:
                context = await self._connect(context, attempt)
                attempt = 0
            except (Unreachable, DataError, Unavailable, ConfigError) as error:
                attempt += 1
                if not self._stopping.is_set():
                    self._note_lost(error.message)
            bound_s = min(0.1 * 2.0 ** min(attempt, 8), self._settings.pause_s_max)
            spent_s = self._clock.monotonic_s() - began_s  # a try that took its time needs no pause
            pause_s = max(self._rng.uniform(0.0, bound_s) - spent_s, self._stay_away_s)
            self._stay_away_s = 0.0
            await self._pause(pause_s)

    def stop(self) -> None:
        """What is in the spool stays there; the connection is closed with a word."""
        self._stopping.set()
        if self._session is not None:
            self._session.channel.close("the edge stops")

    def status(self) -> LinkStatus:
        session = self._session
        return LinkStatus(
            session is not None and session.ready,
            self._since_s,
            self._error,
            self._connections,
            session.beat.latency_ms if session else float("nan"),
            session.beat.offset_ns / 1e6 if session else float("nan"),
            self._sent + (session.sender.sent_samples if session and session.sender else 0),
            session.congestion if session else "",
        )

    async def _connect(self, context: ssl.SSLContext, attempt: int) -> ssl.SSLContext:
        """One connection, until it is lost; gives the context for the next. Raises: Unreachable before it is ready."""
        settings = self._settings
        session = EdgeEnd(self, self._spool, self._role, self._identity, self._clock, settings)
        session.channel.on_close = self._closed_by_hub
        patient = attempt % _PATIENT_EACH == _PATIENT_EACH - 1
        await dial(
            self._address, context, session.channel, proxy=self._proxy,
            connect_s=settings.patient_timeout_s if patient else settings.connect_timeout_s,
            handshake_s=settings.patient_timeout_s if patient else settings.tls_timeout_s,
        )  # fmt: skip
        self._session = session
        try:
            if self._stopping.is_set():
                session.channel.close("the edge stops")
            await session.serve()
        finally:
            self._sent += session.sender.sent_samples if session.sender else 0
            self._session = None
            session.channel.abort("given up")
        reason = session.channel.lost.result()
        if not session.was_ready:
            raise Unreachable(f"the hub at {self._address} hung up: {reason}")
        if not self._stopping.is_set():
            self._note_lost(reason)
        return self._identity.context() if session.renewed else context

    def _closed_by_hub(self, close: Close) -> None:
        self._stay_away_s = close.retry_s

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def may_renew(self) -> bool:
        """Once a day at most, whatever the hub gives."""
        now_s = self._clock.monotonic_s()
        if self._renewed_s is not None and now_s - self._renewed_s < _RENEW_EACH_S:
            return False
        self._renewed_s = now_s
        return True

    def note_ready(self, edge: str, samples: int) -> None:
        """Called by the session once samples flow."""
        self._connections += 1
        self._error, self._since_s = "", self._clock.monotonic_s()
        self._said.clear()
        _logger.info("connected to the hub at %s as '%s'; %d samples wait", self._address, edge, samples)

    def _note_lost(self, reason: str) -> None:
        if not self._error:
            self._since_s = self._clock.monotonic_s()
        self._error = reason
        if reason not in self._said and len(self._said) < _REASONS_SAID:
            _logger.warning("not connected to the hub, samples wait in the spool: %s", reason)
            self._said.add(reason)
