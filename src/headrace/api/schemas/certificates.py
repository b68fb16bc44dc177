"""Certificates of the platform, and the key that seals secrets."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from headrace.api.schemas.base import Answer, Request, Time
from headrace.model.time import format_time
from headrace.sdk.certificates import CertificateStatus, Rekeyed


class CertificateAnswer(Answer):
    """`own`: made here, and renewed here by itself. `authority` signs the console's, `devices` those of devices."""

    kind: Literal["console", "authority", "devices"]
    subject: str
    sha256: str
    names: list[str]
    own: bool
    ends_at: Time

    @classmethod
    def of(cls, one: CertificateStatus) -> Self:
        return cls.model_validate(
            {
                "kind": one.kind,
                "subject": one.subject,
                "sha256": one.sha256,
                "names": list(one.names),
                "own": one.own,
                "ends_at": format_time(one.ends_ns),
            }
        )


class RenewRequest(Request):
    authority: Annotated[bool, Field(description="A new authority too, which everybody has to trust anew.")] = False


class RotateKeysRequest(Request):
    forget_old: Annotated[bool, Field(description="No older key opens anything any more.")] = False


class RekeyedAnswer(Answer):
    """`key` is the name of the newest key; nothing of the key can be told from it."""

    key: str
    keys: int
    files: int
    rows: int

    @classmethod
    def of(cls, one: Rekeyed) -> Self:
        return cls(key=one.key, keys=one.keys, files=one.files, rows=one.rows)
