"""Is this ID token good? Signature, issuer, audience, times and nonce: no algorithm that is not named here.

Signatures are checked by joserfc, with public keys and asymmetric algorithms alone: neither `none` nor HMAC keyed with
a public key can pass.
Source: OpenID Connect Core 1.0 §3.1.3.7 (validation, by number below), §3.1.3.8 (at_hash); RFC 8725 §3.1, §3.2.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey, import_key

from headrace.model.errors import AccessError
from headrace.model.time import SECOND_NS

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
LEEWAY_S: Final = 60
AGE_S_MAX: Final = 600
RSA_BITS_MIN: Final = 2048
KEYS_MAX: Final = 50
TOKEN_CHARS_MAX: Final = 64 * 1024


def refused(what: str) -> AccessError:
    return AccessError(f"the provider's answer was refused: {what}", authenticated=False)


class UnknownKey(AccessError):
    """Signed with a key that we have not seen: the provider may have changed its keys."""

    def __init__(self) -> None:
        super().__init__("the provider's answer was refused: signed with an unknown key", authenticated=False)


def read_keys(keys: Mapping[str, Any]) -> list[RSAKey | ECKey | OKPKey]:
    """Public signing keys of a JWK set; what is no such key is passed over (RFC 7517 §5)."""
    found: list[RSAKey | ECKey | OKPKey] = []
    listed = keys.get("keys")
    for one in (listed if isinstance(listed, list) else [])[:KEYS_MAX]:
        if not isinstance(one, dict) or one.get("use", "sig") != "sig":
            continue
        public = {name: value for name, value in one.items() if name not in ("d", "p", "q", "dp", "dq", "qi", "oth")}
        try:
            key = import_key(public)
            if isinstance(key, OctKey):
                continue
            strong = not isinstance(key, RSAKey) or key.public_key.key_size >= RSA_BITS_MIN
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
        if strong:
            found.append(key)
    return found


def checked_claims(
    token: str,
    keys: list[RSAKey | ECKey | OKPKey],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    now_ns: int,
    access_token: str | None = None,
    since_s: int | None = None,
) -> Mapping[str, Any]:
    """`since_s`: the person must have proved themselves to the provider after this time.

    Raises: AccessError(authenticated=False), UnknownKey.
    """
    header, claims = _verified(token, keys)
    now_s = now_ns // SECOND_NS
    if claims.get("iss") != issuer:  # 2
        raise refused("it is of another issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client_id not in audiences:  # 3
        raise refused("it is meant for another program")
    party = claims.get("azp")
    if (len(audiences) > 1 and party is None) or (party is not None and party != client_id):  # 4, 5
        raise refused("it was made for another program")
    if _time(claims, "exp") <= now_s - LEEWAY_S:  # 9
        raise refused("it has expired")
    issued = _time(claims, "iat")
    if issued > now_s + LEEWAY_S or issued < now_s - AGE_S_MAX:  # 10
        raise refused("it is not of now; compare the clocks of both machines")
    if "nbf" in claims and _time(claims, "nbf") > now_s + LEEWAY_S:
        raise refused("it is not of now; compare the clocks of both machines")
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):  # 11
        raise refused("it answers another sign-in")
    if since_s is not None and _time(claims, "auth_time") < since_s - LEEWAY_S:  # 13
        raise refused("the provider did not ask again")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise refused("it names nobody")
    if (
        access_token is not None
        and "at_hash" in claims
        and claims["at_hash"] != at_hash(access_token, str(header["alg"]))
    ):
        raise refused("its access token is another one")
    return claims


def at_hash(access_token: str, algorithm: str) -> str:
    size = {"384": "sha384", "512": "sha512"}.get(algorithm[-3:], "sha512" if algorithm.startswith("Ed") else "sha256")
    digest = hashlib.new(size, access_token.encode("ascii", "replace")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _verified(token: str, keys: list[RSAKey | ECKey | OKPKey]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if len(token) > TOKEN_CHARS_MAX or token.count(".") != 2:
        raise refused("its ID token is none")
    kid = _kid(token)
    fitting = [key for key in keys if kid is None or key.kid == kid]
    if not fitting:
        raise UnknownKey
    failed: Exception | None = None
    for key in fitting:
        try:
            read = jwt.decode(token, key, algorithms=sorted(ALGORITHMS))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            failed = error
            continue
        if isinstance(read.claims, dict):
            return read.header, read.claims
    raise refused("its signature is wrong") from failed


def _kid(token: str) -> str | None:
    part = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        raise refused("its ID token is none") from None
    if not isinstance(header, dict) or header.get("alg") not in ALGORITHMS:
        raise refused("it is signed in a way that is not allowed")
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise refused(f"it does not say its '{name}'")
    return value
