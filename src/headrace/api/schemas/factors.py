"""Second factors, fresh proofs, sessions and providers."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from headrace.api.schemas.access import Password
from headrace.api.schemas.base import Answer, Request, Time, time_text
from headrace.model.time import format_time
from headrace.sdk.accounts import Safeguards
from headrace.sdk.entry import (
    Factor,
    Factors,
    Identity,
    PasskeyInfo,
    Pending,
    Proof,
    ProviderInfo,
    SessionInfo,
    TotpOffer,
)

Code = Annotated[str, Field(min_length=1, max_length=40, description="Of the authenticator app, or a recovery code.")]
PasskeyAnswer = Annotated[
    dict[str, Any], Field(description="`PublicKeyCredential.toJSON()`: W3C Web Authentication §5.1.")
]
PasskeyOptions = Annotated[
    dict[str, Any], Field(description="For `PublicKeyCredential.parseRequestOptionsFromJSON` or `…CreationOptions…`.")
]


class SecondFactorAnswer(Answer):
    """A first proof was right. `pending` completes it once, within five minutes and five tries."""

    pending: str
    kinds: list[Factor]
    passkey_options: PasskeyOptions | None

    @classmethod
    def of(cls, pending: Pending) -> Self:
        options = None if pending.passkey_options is None else dict(pending.passkey_options)
        return cls(pending=pending.secret, kinds=list(pending.kinds), passkey_options=options)


class PendingAnswer(Answer):
    """Not signed in yet: a second factor is needed."""

    second_factor: SecondFactorAnswer


class SecondFactor(Request):
    """A code, or the answer of a passkey."""

    pending: Annotated[str, Field(min_length=1, max_length=200)]
    code: Code | None = None
    passkey: PasskeyAnswer | None = None

    def proof(self) -> Proof:
        return Proof(code=self.code, passkey=self.passkey)


class PasskeyQuestion(Answer):
    challenge: str = Field(description="Names the question; to be sent back with the answer, once.")
    options: PasskeyOptions


class PasskeySignIn(Request):
    challenge: Annotated[str, Field(min_length=1, max_length=200)]
    passkey: PasskeyAnswer


class ProofOptions(Answer):
    """What a new proof takes. A passkey stands for the code, the password is given beside it."""

    password: bool
    code: bool
    passkey_options: PasskeyOptions | None


class NewProof(Request):
    password: Password | None = None
    code: Code | None = None
    passkey: PasskeyAnswer | None = None

    def proof(self) -> Proof:
        return Proof(self.password, self.code, self.passkey)


class PasskeyShown(Answer):
    id: str
    name: str
    host: str = Field(description="The name that the key answers to.")
    created_at: Time
    last_used_at: Time | None
    backed_up: bool
    blocked: bool = Field(description="Its counter went back: there is a copy of it.")

    @classmethod
    def of(cls, key: PasskeyInfo) -> Self:
        return cls(
            id=key.id,
            name=key.name,
            host=key.host,
            created_at=format_time(key.created_ns),
            last_used_at=time_text(key.last_used_ns),
            backed_up=key.backed_up,
            blocked=key.blocked,
        )


class IdentityShown(Answer):
    provider: str
    email: str
    created_at: Time

    @classmethod
    def of(cls, identity: Identity) -> Self:
        return cls(provider=identity.provider, email=identity.email, created_at=format_time(identity.created_ns))


class FactorsAnswer(Answer):
    password: bool
    totp_since: Time | None
    passkeys: list[PasskeyShown]
    recovery_codes_left: int
    identities: list[IdentityShown]
    needed: bool = Field(description="The tenant asks for a second factor of this account.")
    fresh: bool = Field(description="The session was proved within the last five minutes.")

    @classmethod
    def of(cls, factors: Factors, fresh: bool) -> Self:
        return cls(
            password=factors.password,
            totp_since=time_text(factors.totp_since_ns),
            passkeys=[PasskeyShown.of(key) for key in factors.passkeys],
            recovery_codes_left=factors.recovery_codes_left,
            identities=[IdentityShown.of(one) for one in factors.identities],
            needed=factors.needed,
            fresh=fresh,
        )


class TotpOfferAnswer(Answer):
    secret: str = Field(description="Base32, shown only now.")
    uri: str
    svg: str = Field(description="`uri` as a QR code.")

    @classmethod
    def of(cls, offer: TotpOffer) -> Self:
        return cls(secret=offer.secret, uri=offer.uri, svg=offer.svg)


class TotpCode(Request):
    code: Code


class RecoveryCodes(Answer):
    """Shown only now; each is good once. Empty where there are some already."""

    codes: list[str]


class NewPasskey(Request):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    passkey: PasskeyAnswer


class AddedPasskey(Answer):
    passkey: PasskeyShown
    recovery_codes: list[str] = Field(description="Shown only now, where this is the first second factor.")


class OneSession(Answer):
    """`id` names a session and opens nothing."""

    id: str
    created_at: Time
    last_used_at: Time
    peer: str
    agent: str
    proved: str = Field(examples=["password+totp", "passkey", "oidc:works"])
    this: bool

    @classmethod
    def of(cls, session: SessionInfo, this: str | None) -> Self:
        return cls(
            id=session.id,
            created_at=format_time(session.created_ns),
            last_used_at=format_time(session.last_used_ns),
            peer=session.peer,
            agent=session.agent,
            proved=session.proved,
            this=session.id == this,
        )


class SafeguardsAnswer(Answer):
    """How an account is guarded. Sessions are those that are open now."""

    name: str
    role: str
    disabled: bool
    must_change_password: bool
    password: bool
    totp_since: Time | None
    passkeys: int
    passkeys_blocked: int
    recovery_codes_left: int
    providers: list[str]
    second_factor: bool = Field(description="There is one that counts.")
    needed: bool = Field(description="The tenant asks for a second factor of this account.")
    relied_on: bool = Field(description="One that the policy `administrators` means.")
    locked_until: Time | None = Field(description="Too many wrong passwords or codes: no right one counts until then.")
    sessions: int
    first_session_at: Time | None = Field(description="Since when the oldest of them is open.")
    longest_idle_at: Time | None = Field(description="When the one was used that has rested longest.")

    @classmethod
    def of(cls, one: Safeguards) -> Self:
        user, factors, sessions = one.user, one.factors, one.sessions
        blocked = sum(key.blocked for key in factors.passkeys)
        return cls(
            name=user.name,
            role=user.role,
            disabled=user.disabled,
            must_change_password=user.must_change_password,
            password=factors.password,
            totp_since=time_text(factors.totp_since_ns),
            passkeys=len(factors.passkeys) - blocked,
            passkeys_blocked=blocked,
            recovery_codes_left=factors.recovery_codes_left,
            providers=sorted(one.provider for one in factors.identities),
            second_factor=factors.any,
            needed=factors.needed,
            relied_on=one.relied_on,
            locked_until=time_text(one.locked_until_ns),
            sessions=len(sessions),
            first_session_at=time_text(min((one.created_ns for one in sessions), default=None)),
            longest_idle_at=time_text(min((one.last_used_ns for one in sessions), default=None)),
        )


class EndedSessions(Answer):
    ended: int


class ProviderAnswer(Answer):
    name: str
    title: str

    @classmethod
    def of(cls, provider: ProviderInfo) -> Self:
        return cls(name=provider.name, title=provider.title)
