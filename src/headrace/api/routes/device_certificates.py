"""Certificates of devices: given by people, asked for by devices, taken back.

people   /api/v1/devices/{name}/certificate …          devices   /.well-known/est/simpleenroll (RFC 7030)
all      /api/v1/ca/devices.pem, devices.crl                     /api/v1/device-certificate/renew
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from fastapi import Request, Response

from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.device_certificates import (
    CertificateRequest,
    DeviceCertificateAnswer,
    DeviceCertificateCounts,
    DeviceCertificatesAnswer,
    IssuedAnswer,
    RenewalRequest,
    RevokeRequest,
)
from headrace.model.errors import AccessError, DataError

router = api_router("Devices")
est_router = api_router("Devices", prefix="/.well-known/est")

PKCS7: Final = "application/pkcs7-mime"


def _binary(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}}


@router.get("/device-certificates", operation_id="listDeviceCertificates", summary="Which certificates end soon")
async def list_device_certificates(caller: ByCaller, services: WithServices) -> DeviceCertificatesAnswer:
    desk, tenant = services.device_certificates, caller.principal.tenant
    return DeviceCertificatesAnswer(
        counts=DeviceCertificateCounts(**desk.counts(tenant=tenant)),
        ending=[DeviceCertificateAnswer.of(one) for one in desk.ending(tenant=tenant)],
    )


@router.get("/devices/{name}/certificates", operation_id="getDeviceCertificates", summary="Certificates of a device")
async def get_device_certificates(name: str, caller: ByCaller, services: WithServices) -> list[DeviceCertificateAnswer]:
    """Newest first."""
    return [
        DeviceCertificateAnswer.of(one) for one in services.device_certificates.of(name, tenant=caller.principal.tenant)
    ]


@router.post(
    "/devices/{name}/certificate",
    operation_id="issueDeviceCertificate",
    summary="Give a device a certificate",
    status_code=201,
)
async def issue_device_certificate(
    name: str, body: CertificateRequest, caller: ByCaller, services: WithServices
) -> IssuedAnswer:
    """What the device showed before is good until it shows this, unless `at_once`."""
    issued = await services.device_certificates.issue(
        caller.principal.name, name, body.request.encode(), days=body.days, at_once=body.at_once,
        tenant=caller.principal.tenant,
    )  # fmt: skip
    return IssuedAnswer.of(issued)


@router.post(
    "/devices/{name}/certificate/revoke",
    operation_id="revokeDeviceCertificate",
    summary="Take back all certificates of a device",
)
async def revoke_device_certificate(
    name: str, body: RevokeRequest, caller: ByCaller, services: WithServices
) -> list[DeviceCertificateAnswer]:
    """It is closed at once."""
    left = await services.device_certificates.revoke(
        caller.principal.name, name, body.reason, tenant=caller.principal.tenant
    )
    return [DeviceCertificateAnswer.of(one) for one in left]


@router.post(
    "/device-certificate/renew",
    operation_id="renewDeviceCertificate",
    summary="A device renews its certificate with the key of the one it has",
    status_code=201,
)
async def renew_device_certificate(body: RenewalRequest, request: Request, services: WithServices) -> IssuedAnswer:
    try:
        signature = base64.b64decode(body.signature, validate=True)
    except (binascii.Error, ValueError):
        raise DataError("'signature' is base64") from None
    certificate, asked = body.certificate.encode(), body.request.encode()
    return IssuedAnswer.of(
        await services.device_certificates.renew(certificate, asked, signature, _peer(request))
    )  # fmt: skip


@router.get(
    "/ca/devices.pem",
    operation_id="getDeviceAuthority",
    summary="The authority that signs certificates of devices",
    response_class=Response,
    responses=_binary("application/x-pem-file"),
)
async def get_device_authority(services: WithServices) -> Response:
    return Response(await services.device_certificates.authority(), media_type="application/x-pem-file")


@router.get(
    "/ca/devices.crl",
    operation_id="getDeviceRevocations",
    summary="Certificates of devices that are good no more",
    response_class=Response,
    responses=_binary("application/pkix-crl"),
)
async def get_device_revocations(services: WithServices) -> Response:
    """Signed (RFC 5280), DER."""
    return Response(await services.device_certificates.revocations(), media_type="application/pkix-crl")


@est_router.get(
    "/cacerts",
    operation_id="estCacerts",
    summary="EST: who signs certificates of devices",
    response_class=Response,
    responses=_binary(PKCS7),
)
async def est_cacerts(services: WithServices) -> Response:
    return _pkcs7([await services.device_certificates.authority()])


@est_router.post(
    "/simpleenroll",
    operation_id="estEnroll",
    summary="EST: a device asks for a certificate with its login and secret",
    response_class=Response,
    responses=_binary(PKCS7),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/pkcs10": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def est_enroll(request: Request, services: WithServices) -> Response:
    """Basic authentication (RFC 7030 §3.2.3, §4.2). What the device showed before is good until it shows this."""
    login, secret = _basic(request)
    issued = await services.device_certificates.enrol(login, secret, await request.body(), _peer(request))
    return _pkcs7([issued.certificate], "; smime-type=certs-only")


def _pkcs7(certificates: list[bytes], more: str = "") -> Response:
    """RFC 8951: base64 in lines."""
    read = [x509.load_pem_x509_certificate(one) for one in certificates]
    body = base64.encodebytes(serialize_certificates(read, Encoding.DER))
    return Response(body, media_type=PKCS7 + more, headers={"Content-Transfer-Encoding": "base64"})


def _basic(request: Request) -> tuple[str, bytes]:
    """Raises: AccessError."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    try:
        login, colon, secret = base64.b64decode(text.strip(), validate=True).partition(b":")
        if scheme.lower() == "basic" and colon:
            return login.decode(), secret
    except ValueError:
        pass
    raise AccessError("send the login and the secret of the device (Basic)", authenticated=False)


def _peer(request: Request) -> str:
    return request.client.host if request.client is not None else ""
