"""Certificates of the console, and the key that seals secrets."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.certificates import CertificateAnswer, RekeyedAnswer, RenewRequest, RotateKeysRequest

router = api_router("Certificates")

_PEM: dict[int | str, dict[str, Any]] = {200: {"content": {"application/x-pem-file": {"schema": {"type": "string"}}}}}


@router.get(
    "/ca.pem",
    operation_id="getAuthority",
    summary="The authority of this server's certificate, to be trusted",
    response_class=Response,
    responses={**_PEM, 404: {"description": "The certificate was not made here."}},
)
async def get_authority(services: WithServices) -> Response:
    """Compare its SHA-256 with what the platform says when it starts."""
    headers = {"Content-Disposition": 'attachment; filename="headrace-ca.pem"'}
    return Response(services.certificates.authority(), media_type="application/x-pem-file", headers=headers)


@router.get("/certificates", operation_id="listCertificates", summary="Certificates of this platform")
async def list_certificates(services: WithServices) -> list[CertificateAnswer]:
    return [CertificateAnswer.of(one) for one in services.certificates.status()]


@router.post("/certificates/renew", operation_id="renewCertificate", summary="A new certificate for the console now")
async def renew_certificate(body: RenewRequest, caller: ByCaller, services: WithServices) -> list[CertificateAnswer]:
    """Connections go on. With `authority` everybody has to trust a new authority."""
    renewed = await services.certificates.renew(caller.principal.name, authority=body.authority)
    return [CertificateAnswer.of(one) for one in renewed]


@router.post("/keys/rotate", operation_id="rotateKeys", summary="Seal all secrets on disk with a new key")
async def rotate_keys(body: RotateKeysRequest, caller: ByCaller, services: WithServices) -> RekeyedAnswer:
    """Without `forget_old` what was copied away before, such as a backup, still opens with the keys of now."""
    return RekeyedAnswer.of(await services.certificates.rotate_keys(caller.principal.name, forget_old=body.forget_old))
