"""How much of it a door has with whoever shows something wrong."""

from __future__ import annotations

from typing import Final

from headrace.model.errors import AccessError, LimitReached
from headrace.sdk.clock import Clock
from headrace.sdk.devices import Claim
from headrace.sdk.throttle import Throttle, ThrottleLimits

LOGIN_LIMITS: Final = ThrottleLimits(free=5, locked_after=20, delay_max_s=30.0, lock_s=60.0)
PEER_LIMITS: Final = ThrottleLimits(free=300, locked_after=1_000, delay_max_s=5.0, lock_s=60.0)
_UNKNOWN: Final = "this device or its credential is not known here; ask who looks after the register of devices"


class Patience:
    """With whoever shows something wrong: none for guessing at one login, a little for a peer."""

    def __init__(self, clock: Clock) -> None:
        self._by_login, self._by_peer = Throttle(LOGIN_LIMITS, clock), Throttle(PEER_LIMITS, clock)

    def check(self, claim: Claim, login: str) -> None:
        """Raises: LimitReached."""
        self._by_login.check(f"{claim.peer}|{login}")

    def turned_away(self, claim: Claim, login: str) -> AccessError | LimitReached:
        """The same words for a name that is unknown as for a secret that is wrong."""
        try:
            self._by_peer.check(claim.peer)
        except LimitReached as error:
            return error
        self._by_peer.begin(claim.peer)
        self._by_login.begin(f"{claim.peer}|{login}")
        return AccessError(_UNKNOWN, authenticated=False)
