"""Certificates of devices."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from headrace.api.schemas.base import Answer, Request, Time, time_text
from headrace.model.time import format_time
from headrace.sdk.fleet import DeviceCertificate, IssuedCertificate

Pem = Annotated[str, Field(min_length=1, max_length=32_768, description="PEM.")]


class DeviceCertificateAnswer(Answer):
    """`state`: waiting (issued, not shown yet), in use, ended or revoked, for a `reason` of RFC 5280."""

    device: str
    sha256: str
    serial: str
    state: Literal["waiting", "in use", "ended", "revoked"]
    own: bool
    issued_at: Time
    ends_at: Time | None
    used_at: Time | None
    revoked_at: Time | None
    reason: str

    @classmethod
    def of(cls, one: DeviceCertificate) -> Self:
        return cls.model_validate(
            {
                "device": one.device,
                "sha256": one.sha256,
                "serial": one.serial,
                "state": one.state,
                "own": one.own,
                "issued_at": format_time(one.issued_ns),
                "ends_at": time_text(one.ends_ns),
                "used_at": time_text(one.used_ns),
                "revoked_at": time_text(one.revoked_ns),
                "reason": one.reason,
            }
        )


class DeviceCertificateCounts(Answer):
    """`ending`, of those that are good: within 30 days, in use, and nothing newer waits."""

    good: int
    ending: int
    ended: int
    revoked: int


class DeviceCertificatesAnswer(Answer):
    """`ending` are those to look after first, a hundred at most."""

    counts: DeviceCertificateCounts
    ending: list[DeviceCertificateAnswer]


class CertificateRequest(Request):
    """What the request says of its subject does not count. `at_once`: what was good before is good no more."""

    request: Annotated[Pem, Field(description="PKCS #10, PEM, signed by the device's own key.")]
    days: Annotated[float, Field(gt=0, le=825, allow_inf_nan=False)] | None = None
    at_once: bool = False


class RenewalRequest(Request):
    """`signature`: of the request in DER, by the key of `certificate`, SHA-256 (ECDSA, RSA PKCS #1) or Ed25519."""

    certificate: Pem
    request: Pem
    signature: Annotated[str, Field(min_length=1, max_length=4_096, description="Base64.")]


class RevokeRequest(Request):
    reason: Literal["unspecified", "keyCompromise", "superseded", "cessationOfOperation"] = "unspecified"


class IssuedAnswer(Answer):
    """`authority` is who signed it; a gateway shows a certificate of another: /api/v1/ca.pem."""

    device: str
    certificate: str
    authority: str
    sha256: str
    ends_at: Time

    @classmethod
    def of(cls, one: IssuedCertificate) -> Self:
        return cls(
            device=one.device,
            certificate=one.certificate.decode(),
            authority=one.authority.decode(),
            sha256=one.sha256,
            ends_at=format_time(one.ends_ns),
        )
