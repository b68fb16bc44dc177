"""A provider of identities in memory that can be told to lie in one thing at a time."""

from __future__ import annotations

import hmac
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from tests.access.authenticator import b64
from tests.access.conftest import FakeClock

ISSUER = "https://id.example"


@dataclass
class Provider:
    """`wrong` is called with the claims, header and key of each ID token before it is signed, and may change them."""

    clock: FakeClock
    issuer: str = ISSUER
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1", "preferred_username": "anna"})
    metadata: dict[str, Any] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}))
    shown: list[Any] = field(default_factory=list)
    wrong: Callable[[dict[str, Any], dict[str, Any]], Any] = lambda claims, header: None
    token: Callable[[str], str] = lambda token: token
    profile: dict[str, Any] | None = None
    asked: list[httpx.Request] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    numbers: Any = field(default_factory=itertools.count)
    answer: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    def go(self, url: str, **changed: str) -> dict[str, str]:
        """What a browser does there: the query that it comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{next(self.numbers)}"
        self.codes[code] = asked
        return {"state": asked["state"], "code": code, "iss": self.issuer, **changed}

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        said = self.answer(request)
        if said is not None:
            return said
        path = request.url.path
        if path == "/.well-known/openid-configuration":
            found = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/auth",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "userinfo_endpoint": f"{self.issuer}/me",
                "authorization_response_iss_parameter_supported": True,
                **self.metadata,
            }
            return httpx.Response(200, json={name: value for name, value in found.items() if value is not None})
        if path == "/keys":
            return httpx.Response(200, json={"keys": [key.as_dict(private=False) for key in [self.key, *self.shown]]})
        if path == "/me":
            return httpx.Response(200, json=self.profile or {"sub": self.claims["sub"]})
        if path == "/token":
            form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
            asked = self.codes.pop(form["code"], None)
            if asked is None:
                return httpx.Response(400, json={"error": "invalid_grant"})
            return httpx.Response(
                200, json={"id_token": self._token(asked), "access_token": "at", "token_type": "Bearer"}
            )
        return httpx.Response(404)

    def _token(self, asked: dict[str, str]) -> str:
        now_s = self.clock.seconds
        claims = {
            "iss": self.issuer,
            "aud": asked["client_id"],
            "exp": now_s + 300,
            "iat": now_s,
            "nonce": asked["nonce"],
            **self.claims,
        }
        header: dict[str, Any] = {"alg": "ES256" if isinstance(self.key, ECKey) else "RS256", "kid": self.key.kid}
        key = self.wrong(claims, header) or self.key
        if isinstance(key, str):
            return key
        if header["alg"] == "none":
            return self.token(unsigned(header, claims))
        return self.token(jwt.encode(header, claims, key, algorithms=[header["alg"]]))


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}."


def hmac_of_public(header: dict[str, Any], claims: dict[str, Any], key: RSAKey) -> str:
    """The old confusion: the public key, taken for a shared secret."""
    said = unsigned({**header, "alg": "HS256"}, claims).rstrip(".")
    return f"{said}.{b64(hmac.digest(key.as_pem(private=False), said.encode(), 'sha256'))}"
