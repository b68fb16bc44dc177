"""Sessions, users, tokens and the audit trail."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field

from headrace.api.schemas.base import Answer, Request, Time, time_text
from headrace.model.time import format_time
from headrace.sdk.access import AuditEntry
from headrace.sdk.services import Token, User

Role = Literal["viewer", "operator", "engineer", "administrator", "source"]
Name = Annotated[str, Field(min_length=1, max_length=128, examples=["li.wei"])]
Password = Annotated[str, Field(min_length=1, max_length=1024)]


class SignIn(Request):
    user: Name
    password: Password


class SessionAnswer(Answer):
    """Who is signed in. While `must_change_password` is true all other routes answer 403 `change-password`."""

    user: str
    role: str
    must_change_password: bool


class PasswordChange(Request):
    old: Password
    new: Password


class NewUser(Request):
    name: Name
    role: Role


class UserChange(Request):
    role: Role | None = None
    disabled: bool | None = None


class UserAnswer(Answer):
    name: str
    role: str
    disabled: bool
    must_change_password: bool
    created_at: Time

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(
            name=user.name,
            role=user.role,
            disabled=user.disabled,
            must_change_password=user.must_change_password,
            created_at=format_time(user.created_ns),
        )


class CreatedUser(Answer):
    user: UserAnswer
    one_time_password: str = Field(description="Shown only now; the user must change it at the first sign-in.")


class NewToken(Request):
    name: Name
    role: Role
    expires_at: str | None = Field(None, description="RFC 3339; never when absent.", examples=["2027-01-01T00:00:00Z"])


class TokenAnswer(Answer):
    id: str
    name: str
    role: str
    created_by: str
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None

    @classmethod
    def of(cls, token: Token) -> Self:
        return cls(
            id=token.id,
            name=token.name,
            role=token.role,
            created_by=token.created_by,
            created_at=format_time(token.created_ns),
            expires_at=time_text(token.expires_ns),
            last_used_at=time_text(token.last_used_ns),
        )


class CreatedToken(Answer):
    token: TokenAnswer
    secret: str = Field(description="Shown only now. Send it as `Authorization: Bearer …`.")


class AuditEntryAnswer(Answer):
    sequence: int
    time: Time
    actor: str
    action: str = Field(examples=["command.confirmed"])
    subject: str
    outcome: str
    data: dict[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        return cls(
            sequence=entry.sequence,
            time=format_time(entry.time_ns),
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            outcome=entry.outcome,
            data=dict(entry.data),
        )


class AuditPage(Answer):
    """Newest first."""

    entries: list[AuditEntryAnswer]
    next_cursor: str | None
