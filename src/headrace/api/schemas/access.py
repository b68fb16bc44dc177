"""Sessions, users and tokens."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from headrace.api.schemas.base import ActionName, Answer, Request, Time, time_text
from headrace.api.times import time_ns_of
from headrace.model.time import format_time
from headrace.sdk.access import Action
from headrace.sdk.accounts import Part, Token, User

Role = Annotated[str, Field(min_length=1, max_length=64, examples=["operator"], description="Built in, or your own.")]
Name = Annotated[str, Field(min_length=1, max_length=128, examples=["li.wei"])]
Password = Annotated[str, Field(min_length=1, max_length=1024)]


class SignIn(Request):
    user: Name
    password: Password


class NoticeAnswer(Answer):
    text: str = Field(description="Plain text in lines; empty is no notice.")


class SessionAnswer(Answer):
    """Who is signed in. While `must_change_password` is true all other routes answer 403 `change-password`; while
    `must_enrol` is, those that add no second factor answer 403 `enrol-second-factor`."""

    user: str
    tenant: str
    role: str
    actions: list[Action] = Field(description="What one may do somewhere: on all of the tenant, or on a part of it.")
    everywhere: list[Action] = Field(description="Of these, what one may do on all of the tenant.")
    must_change_password: bool
    must_enrol: bool


class PasswordChange(Request):
    old: Password
    new: Password


class PartRequest(Request):
    """A role on an asset and all below it."""

    role: Role
    path: Annotated[str, Field(max_length=512, description="An asset; empty for the whole tenant.")]
    expires_at: str | None = Field(None, description="RFC 3339; the role is lent until then. Never when absent.")

    def part(self, now_ns: int) -> Part:
        """Raises: DataError for a time that is none."""
        return Part(self.role, self.path, None if self.expires_at is None else time_ns_of(self.expires_at, now_ns))


Parts = Annotated[list[PartRequest], Field(max_length=200)]


class NewUser(Request):
    name: Name
    role: Role = Field(description="On the whole tenant; `member` for none.")
    parts: Parts = Field(default_factory=list, description="Roles on parts of the plant, beside it.")


class UserChange(Request):
    role: Role | None = None
    disabled: bool | None = None
    parts: Parts | None = None


class PartAnswer(Answer):
    role: str
    path: str
    expires_at: Time | None


class UserAnswer(Answer):
    name: str
    role: str
    parts: list[PartAnswer]
    disabled: bool
    must_change_password: bool
    created_at: Time

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(
            name=user.name,
            role=user.role,
            parts=[
                PartAnswer(role=one.role, path=one.path, expires_at=time_text(one.expires_ns)) for one in user.parts
            ],
            disabled=user.disabled,
            must_change_password=user.must_change_password,
            created_at=format_time(user.created_ns),
        )


class OneTimePassword(Answer):
    one_time_password: str = Field(description="Shown only now; the user must change it at the next sign-in.")


class CreatedUser(Answer):
    user: UserAnswer
    one_time_password: str = Field(description="Shown only now; the user must change it at the first sign-in.")


class NewToken(Request):
    name: Name
    role: Role
    expires_at: str | None = Field(None, description="RFC 3339; never when absent.", examples=["2027-01-01T00:00:00Z"])
    paths: list[Annotated[str, Field(min_length=1, max_length=512)]] = Field(
        default_factory=list, max_length=100, description="Assets that it is good for; none: the whole tenant."
    )
    actions: list[ActionName] = Field(
        default_factory=list, max_length=len(Action), description="Scopes: no more than these of its role; none: all."
    )


class TokenAnswer(Answer):
    id: str
    name: str
    role: str
    paths: list[str]
    actions: list[Action]
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
            paths=list(token.paths),
            actions=list(token.actions),
            created_by=token.created_by,
            created_at=format_time(token.created_ns),
            expires_at=time_text(token.expires_ns),
            last_used_at=time_text(token.last_used_ns),
        )


class CreatedToken(Answer):
    token: TokenAnswer
    secret: str = Field(description="Shown only now. Send it as `Authorization: Bearer …`.")
