"""Tenants, roles, and what tenants let each other see."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Literal, Self

from pydantic import Field

from headrace.access.sessions import IDLE_S, LIFE_S, SESSIONS
from headrace.api.schemas.base import ActionName, Answer, Request, Time, time_text
from headrace.model.time import format_time
from headrace.sdk.access import Action
from headrace.sdk.accounts import OwnRole, PartnerGrant, Tenant, TenantPolicy

TenantName = Annotated[str, Field(min_length=1, max_length=64, examples=["acme"])]
Title = Annotated[str, Field(max_length=200)]


class RoleAnswer(Answer):
    name: str
    title: str
    actions: list[Action]
    built_in: bool

    @classmethod
    def of(cls, role: OwnRole, *, built_in: bool) -> Self:
        return cls(name=role.name, title=role.title, actions=sorted(role.actions), built_in=built_in)


class RoleRequest(Request):
    title: Title = ""
    actions: list[ActionName] = Field(max_length=len(Action))


SecondFactor = Literal["off", "administrators", "everyone"]


class Policy(Answer):
    """What holds for all accounts of a tenant; null is what the platform says."""

    separate_duties: bool = Field(description="Nobody is two of administrator, security officer and auditor.")
    second_factor: SecondFactor = Field(description="Who needs one; `administrators`: whoever others rely on.")
    session_idle_s: int | None = Field(description="A session ends after so long without use.")
    session_life_s: int | None = Field(description="A session ends after so long in all.")
    sessions_max: int | None = Field(description="Sessions of one user at a time.")
    notice: str = Field(description="Shown to whoever is about to sign in; the platform's own tenant has one.")

    @classmethod
    def of(cls, policy: TenantPolicy) -> Self:
        return cls.model_validate(asdict(policy))


class Bounds(Answer):
    least: int
    most: int

    @classmethod
    def of(cls, bounds: tuple[int, int]) -> Self:
        return cls(least=bounds[0], most=bounds[1])


class PolicyBounds(Answer):
    session_idle_s: Bounds
    session_life_s: Bounds
    sessions_max: Bounds


class PolicyAnswer(Answer):
    """The policy, what holds where it says null, and what may be said."""

    policy: Policy
    platform: Policy
    bounds: PolicyBounds

    @classmethod
    def of(cls, policy: TenantPolicy, platform: TenantPolicy) -> Self:
        return cls(
            policy=Policy.of(policy),
            platform=Policy.of(platform),
            bounds=PolicyBounds(
                session_idle_s=Bounds.of(IDLE_S), session_life_s=Bounds.of(LIFE_S), sessions_max=Bounds.of(SESSIONS)
            ),
        )


class PolicyRequest(Request):
    """What is left out stays as it is; null is what the platform says."""

    separate_duties: bool | None = None
    second_factor: SecondFactor | None = None
    session_idle_s: int | None = Field(None, ge=IDLE_S[0], le=IDLE_S[1])
    session_life_s: int | None = Field(None, ge=LIFE_S[0], le=LIFE_S[1])
    sessions_max: int | None = Field(None, ge=SESSIONS[0], le=SESSIONS[1])
    notice: Annotated[str, Field(max_length=2000)] | None = None

    def over(self, policy: TenantPolicy) -> TenantPolicy:
        """With what is said here in place of what was."""
        said = self.model_dump(exclude_unset=True)
        kept = {name for name in ("separate_duties", "second_factor", "notice") if said.get(name) is None}
        return replace(policy, **{name: value for name, value in said.items() if name not in kept})


class TenantAnswer(Answer):
    name: str
    title: str
    roots: list[str] = Field(description="First segments of its paths; the platform's own has the rest.")
    disabled: bool
    created_at: Time | None
    policy: Policy

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        return cls(
            name=tenant.name,
            title=tenant.title,
            roots=list(tenant.roots),
            disabled=tenant.disabled,
            created_at=time_text(tenant.created_ns or None),
            policy=Policy.of(tenant.policy),
        )


class NewTenant(Request):
    name: TenantName
    title: Title = ""
    roots: list[Annotated[str, Field(max_length=96)]] = Field(min_length=1, max_length=100, examples=[["acme"]])
    separate_duties: bool = Field(True, description="Three first accounts instead of one that may do everything.")


class CreatedTenant(Answer):
    tenant: TenantAnswer
    one_time_passwords: dict[str, str] = Field(description="By user. Shown only now; each must be changed at once.")


class TenantChange(Request):
    title: Title | None = None
    disabled: bool | None = None


class PartnerAnswer(Answer):
    """Whom one may share with: a name and a title, nothing else."""

    name: str
    title: str


class NewGrant(Request):
    partner: TenantName
    asset: Annotated[str, Field(min_length=1, max_length=512)]
    points: list[Annotated[str, Field(max_length=512)]] = Field(
        default_factory=list, max_length=50, description="Globs of what follows the asset in a path; none: all points."
    )
    start: str | None = Field(None, description="Samples from this time on. RFC 3339.")
    end: str | None = Field(None, description="Samples before this time.")
    expires_at: str | None = Field(None, description="When the grant ends by itself.")
    purpose: Annotated[str, Field(min_length=1, max_length=500)]


class GrantAnswer(Answer):
    id: str
    owner: str
    partner: str
    asset: str
    points: list[str]
    start: Time | None
    end: Time | None
    expires_at: Time | None
    purpose: str
    created_by: str
    created_at: Time
    ended_at: Time | None
    ended_by: str

    @classmethod
    def of(cls, grant: PartnerGrant) -> Self:
        return cls(
            id=grant.id,
            owner=grant.owner,
            partner=grant.partner,
            asset=grant.subtree,
            points=list(grant.patterns),
            start=time_text(grant.start_ns),
            end=time_text(grant.end_ns),
            expires_at=time_text(grant.expires_ns),
            purpose=grant.purpose,
            created_by=grant.created_by,
            created_at=format_time(grant.created_ns),
            ended_at=time_text(grant.revoked_ns),
            ended_by=grant.revoked_by,
        )


class GrantsAnswer(Answer):
    """Newest first."""

    given: list[GrantAnswer]
    received: list[GrantAnswer]
    titles: dict[str, str] = Field(description="Of the firms on the other side, by name, where they have one.")
