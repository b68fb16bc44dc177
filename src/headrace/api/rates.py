"""How often somebody may ask: token buckets a peer and a principal, and how many heavy questions at a time.

request ─► Guard: peer ─► door: who is it? ─┬ nobody, or a public route ─► anonymous, a peer
                                            └ somebody ─► principal ─► heavy? a place among a few ─► route
                                     empty ─► 429, Retry-After

The local command is never slowed: it is how an operator gets in when everything else is too much. Nor is a program of
this machine by its address; a web server on it passes on whom it speaks for.
Sources: IEC 62443-3-3 SR 7.1 (denial of service protection), RE 1; GB/T 22239-2019 8.1.4.2 and 8.1.10.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import HTTPConnection

from headrace.api.settings import ApiSettings
from headrace.model.errors import LimitReached
from headrace.sdk.access import DEFAULT_TENANT, Principal

#: Operations that read much for one answer.
HEAVY: Final = frozenset(
    (
        "getHistoryRaw", "getHistoryDownsample", "exportHistory", "queryHistory", "getAlarmHistory", "getAudit",
        "getAlarmKpis", "prometheusQuery", "prometheusQueryForm", "prometheusQueryRange", "prometheusQueryRangeForm",
        "prometheusSeries", "prometheusSeriesForm", "planDeclarations",
    )
)  # fmt: skip
#: The principal behind `run/local.token`, which only the account of the platform can read.
LOCAL_COMMAND: Final = "token:local-command"
KEYS_MAX: Final = 10_000
_RETRY_S_MAX: Final = 60


class TooOften(LimitReached):
    """Raised for a bucket that is empty. `retry_s`: whole seconds until it holds one more."""

    def __init__(self, message: str, retry_s: float) -> None:
        super().__init__(message)
        self.retry_s = min(max(math.ceil(retry_s), 1), _RETRY_S_MAX)


class Buckets:
    """One token bucket a key, for at most `keys_max` keys; the longest unused is forgotten, and so full again."""

    __slots__ = ("_buckets", "_burst", "_clock_s", "_keys_max", "_per_s")

    def __init__(self, per_s: float, burst: float, clock_s: Callable[[], float], keys_max: int = KEYS_MAX) -> None:
        self._per_s, self._burst, self._clock_s, self._keys_max = per_s, burst, clock_s, keys_max
        self._buckets: OrderedDict[str, list[float]] = OrderedDict()  # key: [tokens, at_s]

    def take(self, key: str) -> float:
        """Seconds until the key has a token: 0 where it had one, which is now taken."""
        now_s, buckets = self._clock_s(), self._buckets
        bucket = buckets.get(key)
        if bucket is None:
            buckets[key] = [self._burst - 1.0, now_s]
            if len(buckets) > self._keys_max:
                buckets.popitem(last=False)
            return 0.0
        buckets.move_to_end(key)
        tokens = min(bucket[0] + (now_s - bucket[1]) * self._per_s, self._burst)
        bucket[1] = now_s
        if tokens < 1.0:
            bucket[0] = tokens
            return (1.0 - tokens) / self._per_s
        bucket[0] = tokens - 1.0
        return 0.0

    def __len__(self) -> int:
        return len(self._buckets)


@dataclass(slots=True)
class _Places:
    free: asyncio.Semaphore
    inside: int = 0


class Rates:
    """One an application."""

    def __init__(self, settings: ApiSettings, clock_s: Callable[[], float]) -> None:
        self._settings = settings
        self._peers = Buckets(settings.peer_requests_per_s, settings.peer_requests_burst, clock_s)
        self._principals = Buckets(settings.principal_requests_per_s, settings.principal_requests_burst, clock_s)
        self._anonymous = Buckets(settings.anonymous_requests_per_s, settings.anonymous_requests_burst, clock_s)
        self._heavy: dict[str, _Places] = {}

    def peer(self, peer: str) -> None:
        """Raises: TooOften."""
        if not _is_loopback(peer):
            wait_s = self._peers.take(peer)
            if wait_s:
                raise TooOften("too many requests from your address; ask less often", wait_s)

    def anonymous(self, peer: str) -> None:
        """For who is not known, or need not be. Raises: TooOften."""
        wait_s = self._anonymous.take(peer)
        if wait_s:
            raise TooOften("too many requests without a sign-in from your address; wait, or sign in", wait_s)

    def principal(self, principal: Principal, peer: str) -> None:
        """Raises: TooOften."""
        if _is_local_command(principal, peer):
            return
        wait_s = self._principals.take(f"{principal.tenant}/{principal.name}")
        if wait_s:
            raise TooOften("you ask too often; ask for more at a time, or less often", wait_s)

    @asynccontextmanager
    async def heavy(self, principal: Principal, peer: str) -> AsyncIterator[None]:
        """A place for one question that costs; waits for one. Raises: TooOften where too many wait already."""
        if _is_local_command(principal, peer):
            yield
            return
        key, running_max = f"{principal.tenant}/{principal.name}", self._settings.heavy_running_max
        places = self._heavy.setdefault(key, _Places(asyncio.Semaphore(running_max)))
        if places.inside >= running_max + self._settings.heavy_waiting_max:
            raise TooOften("too many of your questions wait for their answers; ask again when they have come", 1.0)
        places.inside += 1
        try:
            async with places.free:
                yield
        finally:
            places.inside -= 1
            if not places.inside:
                self._heavy.pop(key, None)


def peer_of(connection: HTTPConnection | Any, settings: ApiSettings) -> str:
    """The address that asks. Behind a web server (`behind_tls`): whom that says, last of all, it speaks for."""
    scope = connection if isinstance(connection, dict) else connection.scope
    client = scope.get("client")
    peer = client[0] if client else ""
    if settings.behind_tls:
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                said = value[-100:].decode("latin-1").rpartition(",")[2].strip()
                try:
                    peer = str(ipaddress.ip_address(said))
                except ValueError:
                    pass
    return _network_of(peer)


def _network_of(peer: str) -> str:
    """One host has a whole /64 of IPv6 to ask from: it counts as one."""
    if ":" not in peer:
        return peer
    try:
        address = ipaddress.IPv6Address(peer.partition("%")[0])
    except ValueError:
        return peer
    if address.is_loopback:
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))


def _is_loopback(peer: str) -> bool:
    return peer.startswith("127.") or peer == "::1"


def _is_local_command(principal: Principal, peer: str) -> bool:
    own = principal.tenant == DEFAULT_TENANT and principal.via == "token"
    return own and principal.name == LOCAL_COMMAND and _is_loopback(peer)
