"""Passkeys: a key pair whose private half never leaves a person's device, and which answers to our address alone.

options ─► browser ─► authenticator (touch, fingerprint, PIN) ─► answer ─► checked: origin, signature, counter

The bytes are read by py_webauthn; what is kept and what is refused is decided here.
Source: W3C Web Authentication Level 3 §7.1 (registration), §7.2 (assertion), §6.1.1 (signature counter).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from headrace.model.errors import AccessError, DataError
from headrace.sdk.entry import Json, Seen

ANSWER_BYTES_MAX: Final = 64 * 1024
TIMEOUT_MS: Final = 300_000
_ALGORITHMS: Final = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
_TRANSPORTS: Final = {one.value for one in AuthenticatorTransport}


@dataclass(frozen=True, slots=True)
class Passkey:
    """One registered key. `handle` is what the device knows the user as: random, the same for all keys of a user."""

    id: str
    user: str
    name: str
    handle: bytes
    public_key: bytes
    count: int
    host: str
    transports: tuple[str, ...]
    backed_up: bool
    created_ns: int
    last_used_ns: int | None = None
    blocked_ns: int | None = None


class Cloned(AccessError):
    """The counter of a key went back: somewhere there is a copy of it. It is to be blocked."""

    def __init__(self, key: Passkey) -> None:
        super().__init__(
            f"the passkey '{key.name}' has been copied, it seems, and is blocked; sign in another way and remove it",
            authenticated=False,
        )
        self.key = key


def check_host(seen: Seen) -> str:
    """The name that keys answer to. Raises: DataError for an address: a passkey needs a name."""
    try:
        ipaddress.ip_address(seen.host.strip("[]").partition("%")[0])
    except ValueError:
        return seen.host
    raise DataError(f"a passkey answers to a name, and {seen.host} is an address; open the console by the host's name")


def creation_options(user: str, handle: bytes, challenge: bytes, known: Sequence[Passkey], seen: Seen) -> Json:
    """What `navigator.credentials.create` is given. Raises: DataError."""
    options = webauthn.generate_registration_options(
        rp_id=check_host(seen),
        rp_name="Headrace",
        user_name=user,
        user_id=handle,
        user_display_name=user,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=_descriptors(known),
        supported_pub_key_algs=_ALGORITHMS,
    )
    return _as_json(webauthn.options_to_json(options))


def request_options(challenge: bytes, known: Sequence[Passkey] | None, seen: Seen) -> Json:
    """What `navigator.credentials.get` is given. `known` None: whoever it is, and then the device must make sure of the
    person. Raises: DataError."""
    options = webauthn.generate_authentication_options(
        rp_id=check_host(seen),
        challenge=challenge,
        timeout=TIMEOUT_MS,
        allow_credentials=None if known is None else _descriptors(known),
        user_verification=UserVerificationRequirement.REQUIRED
        if known is None
        else UserVerificationRequirement.PREFERRED,
    )
    return _as_json(webauthn.options_to_json(options))


def registered(
    answer: Json, challenge: bytes, seen: Seen, *, user: str, name: str, handle: bytes, now_ns: int
) -> Passkey:
    """The key in an answer to `creation_options`. Raises: DataError, AccessError."""
    text = _text(answer)
    try:
        proof = webauthn.verify_registration_response(
            credential=text,
            expected_challenge=challenge,
            expected_rp_id=check_host(seen),
            expected_origin=list(seen.origins),
            supported_pub_key_algs=_ALGORITHMS,
        )
    except DataError:
        raise
    except Exception as error:  # whatever bytes from outside do to the decoder, they register nothing
        raise AccessError("the answer of the passkey cannot be taken; try again", detail=repr(error)) from None
    response = answer.get("response")
    said = response.get("transports", ()) if isinstance(response, dict) else ()
    transports = tuple(sorted({one for one in said if isinstance(one, str)} & _TRANSPORTS))
    return Passkey(
        id=bytes_to_base64url(proof.credential_id),
        user=user,
        name=name,
        handle=handle,
        public_key=proof.credential_public_key,
        count=proof.sign_count,
        host=seen.host,
        transports=transports,
        backed_up=proof.credential_backed_up,
        created_ns=now_ns,
    )


def answer_id(answer: Json) -> str:
    """Which key answers; '' where the answer does not say."""
    id = answer.get("id")
    return id if isinstance(id, str) else ""


def answer_handle(answer: Json) -> bytes | None:
    """Whom the device says that it answers for."""
    response = answer.get("response")
    handle = response.get("userHandle") if isinstance(response, dict) else None
    if not isinstance(handle, str):
        return None
    try:
        return base64url_to_bytes(handle)
    except ValueError:
        return None


def checked_count(answer: Json, challenge: bytes, key: Passkey, seen: Seen, *, person: bool) -> int:
    """The new counter of a key that answered rightly. `person`: its device must have made sure of who touches it.

    Raises: AccessError(authenticated=False) for an answer that proves nothing, Cloned where the counter went back.
    """
    text = _text(answer)
    try:
        proof = webauthn.verify_authentication_response(
            credential=text,
            expected_challenge=challenge,
            expected_rp_id=key.host,
            expected_origin=list(seen.origins),
            credential_public_key=key.public_key,
            credential_current_sign_count=0,  # the counter is looked at below: a regression is more than a failure
            require_user_verification=person,
        )
    except Exception as error:  # as above
        raise AccessError("the passkey was not accepted", authenticated=False, detail=repr(error)) from None
    if (proof.new_sign_count or key.count) and proof.new_sign_count <= key.count:
        raise Cloned(key)
    return proof.new_sign_count


def _descriptors(keys: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=base64url_to_bytes(key.id), transports=[AuthenticatorTransport(one) for one in key.transports] or None
        )
        for key in keys
    ]


def _as_json(text: str) -> dict[str, Any]:
    made = json.loads(text)
    assert isinstance(made, dict)
    return made


def _text(answer: Json) -> str:
    text = json.dumps(answer)
    if len(text) > ANSWER_BYTES_MAX:
        raise DataError("the answer of the passkey is too large")
    return text
