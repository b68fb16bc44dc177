"""How people prove who they are, beyond a password: second factors, sessions, and providers of identities.

sign in ─► right password ─► a second factor? ─► SecondFactorNeeded(pending) ─► complete ─► session
passkey ──────────────────────────────────────────────────────────────────────► session
provider (OpenID Connect) ─► identity ─► account ─► a second factor? ──────────► session

`access/` implements it and `api/` shows it.
Source: IEC 62443-3-3 SR 1.1 RE 2 (multifactor), SR 2.5, 2.6, 2.7 (sessions); GB/T 22239-2019 8.1.4.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from headrace.model.errors import AccessError
from headrace.sdk.access import Principal

Json = Mapping[str, Any]


class Factor(StrEnum):
    TOTP = "totp"  # a code that changes every 30 s
    PASSKEY = "passkey"  # a signature of a key that does not leave its device
    RECOVERY = "recovery"  # one of ten codes on paper


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request shows of who sends it. `host` is the name in the address bar, `origins` what pages of ours may be
    served from; a passkey answers to these alone."""

    peer: str
    agent: str = ""
    host: str = "localhost"
    origins: tuple[str, ...] = ("http://localhost",)


@dataclass(frozen=True, slots=True)
class Pending:
    """A first proof that waits for a second: `secret` completes it once, for a few minutes."""

    secret: str
    user: str
    kinds: tuple[Factor, ...]
    passkey_options: Json | None = None


class SecondFactorNeeded(AccessError):
    """The password was right, and it is not enough."""

    def __init__(self, pending: Pending) -> None:
        super().__init__("a second factor is needed to sign in", authenticated=False)
        self.pending = pending


class FreshProofNeeded(AccessError):
    """The session is too old for this: prove again who you are."""

    def __init__(self) -> None:
        super().__init__("prove again that it is you: POST /api/v1/session/proof, then repeat this")


@dataclass(frozen=True, slots=True)
class PasskeyInfo:
    id: str
    name: str
    host: str
    created_ns: int
    last_used_ns: int | None
    backed_up: bool
    blocked: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """An account elsewhere that opens an account here."""

    provider: str
    subject: str
    email: str
    created_ns: int


@dataclass(frozen=True, slots=True)
class Factors:
    """What somebody can prove themselves with. `needed`: the tenant asks for a second factor of this account."""

    password: bool
    totp_since_ns: int | None
    passkeys: tuple[PasskeyInfo, ...]
    recovery_codes_left: int
    identities: tuple[Identity, ...]
    needed: bool

    @property
    def any(self) -> bool:
        """Whether there is one that counts as a second factor: recovery codes alone are none."""
        return self.totp_since_ns is not None or any(not key.blocked for key in self.passkeys)


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """Shown once. `svg` is a QR code of `uri`."""

    secret: str
    uri: str
    svg: str


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """`id` names a session and opens nothing. `proved` says how: `password`, `password+totp`, `passkey`,
    `oidc:<provider>` …"""

    id: str
    user: str
    created_ns: int
    last_used_ns: int
    peer: str
    agent: str
    proved: str
    proved_ns: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody gives to prove themselves (again). A passkey answer is what a browser's `PublicKeyCredential`
    becomes as JSON."""

    password: str | None = None
    code: str | None = None
    passkey: Json | None = None


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Departure:
    """Where a browser is sent, and the secret that it must bring back."""

    url: str
    browser: str


class EntryDesk(Protocol):
    """Each proof is good once. Failures are counted and slowed as those of passwords are; every step is audited."""

    async def complete(self, pending: str, proof: Proof, seen: Seen) -> tuple[str, str]:
        """(session secret, user). Raises: AccessError(authenticated=False), LimitReached."""
        ...

    async def pending(self, secret: str, seen: Seen) -> Pending:
        """What a pending sign-in waits for. Raises: AccessError(authenticated=False)."""
        ...

    async def passkey_options(self, seen: Seen) -> tuple[str, Json]:
        """(challenge's name, options) for somebody who has not said who they are. Raises: DataError, LimitReached."""
        ...

    async def passkey_sign_in(self, challenge: str, answer: Json, seen: Seen) -> tuple[str, str]:
        """(session secret, user). Raises: AccessError(authenticated=False), LimitReached."""
        ...

    # --- the session at hand

    def check_fresh(self, session: str) -> None:
        """Raises: FreshProofNeeded where the last proof is older than five minutes."""
        ...

    async def proof_options(self, session: str, seen: Seen) -> Json | None:
        """For a passkey as a new proof; None where the user has none here."""
        ...

    async def prove_again(self, session: str, proof: Proof, seen: Seen) -> str:
        """The session's new secret; the former one is dead. Raises: AccessError, LimitReached."""
        ...

    async def renew(self, session: str) -> str:
        """A new secret for the same session, after a rise in what it may do."""
        ...

    async def sessions(self, user: str) -> Sequence[SessionInfo]:
        """Newest use first."""
        ...

    def session(self, secret: str) -> SessionInfo:
        """Raises: AccessError(authenticated=False)."""
        ...

    async def end_session(self, actor: Principal, user: str, id: str) -> None:
        """One's own, or with the right to secure one of the tenant. Raises: NotFound, AccessError."""
        ...

    async def end_sessions(self, actor: Principal, user: str, *, keep: str | None = None) -> int:
        """All but the one with the secret `keep`; how many there were."""
        ...

    # --- the factors of the one who asks

    async def factors(self, user: str) -> Factors: ...

    async def offer_totp(self, session: str) -> TotpOffer:
        """Raises: FreshProofNeeded, Conflict where there is one; Unavailable where secrets cannot be sealed."""
        ...

    async def confirm_totp(self, session: str, code: str) -> Sequence[str]:
        """Recovery codes, where these are the first. Raises: AccessError for a wrong code."""
        ...

    async def remove_totp(self, session: str) -> None: ...

    async def new_recovery_codes(self, session: str) -> Sequence[str]: ...

    async def offer_passkey(self, session: str, seen: Seen) -> Json:
        """Options of `navigator.credentials.create`."""
        ...

    async def add_passkey(self, session: str, name: str, answer: Json, seen: Seen) -> tuple[PasskeyInfo, Sequence[str]]:
        """The key, and recovery codes where these are the first. Raises: AccessError, DataError."""
        ...

    async def remove_passkey(self, session: str, id: str) -> None: ...

    async def reset_factors(self, actor: Principal, user: str) -> None:
        """For somebody who lost them; ends their sessions. Raises: AccessError, NotFound."""
        ...

    # --- providers of identities

    def providers(self) -> Sequence[ProviderInfo]: ...

    async def sign_in_notice(self) -> str:
        """What everybody is told before they sign in; '' is nothing. Raises: Unavailable."""
        ...

    async def depart(
        self, provider: str, seen: Seen, *, link: str | None = None, again: str | None = None
    ) -> Departure:
        """Send a browser to a provider. `link`: the session whose account is to be opened by that identity from now on;
        `again`: the session that proves itself again. Raises: NotFound, Unavailable, FreshProofNeeded."""
        ...

    async def arrive(self, provider: str, answer: Mapping[str, str], browser: str, seen: Seen) -> tuple[str, str]:
        """(session secret, user). Raises: SecondFactorNeeded, AccessError(authenticated=False), Unavailable."""
        ...

    async def remove_identity(self, session: str, provider: str) -> None: ...

    def way_out(self, session: str, seen: Seen) -> str | None:
        """Where a browser goes to sign out at the provider, too."""
        ...
