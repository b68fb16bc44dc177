"""An authenticator in software: what a security key does inside, and, when asked, what a broken or hostile one would.

Written from W3C Web Authentication §6 (authenticator model) and §5.8.1 (client data), not from the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One key for one site. `verifies`: it makes sure of the person (PIN, fingerprint). `count` None: it counts not."""

    origin: str = "http://localhost"
    verifies: bool = True
    count: int | None = 0
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: os.urandom(32))
    handle: bytes = b""
    host: str = ""

    def create(self, options: Mapping[str, Any]) -> dict[str, Any]:
        self.handle, self.host = unb64(options["user"]["id"]), options["rp"]["id"]
        point = self.private.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")})
        attested = bytes(16) + struct.pack(">H", len(self.id)) + self.id + cose
        data = self._data(ATTESTED) + attested
        client = self._client("webauthn.create", options["challenge"])
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            {"clientDataJSON": b64(client), "attestationObject": b64(attestation), "transports": ["internal"]}
        )

    def get(self, options: Mapping[str, Any], **wrong: Any) -> dict[str, Any]:
        """`wrong` may replace `challenge`, `origin`, `host`, `handle`, `type` or `signature`."""
        if self.count is not None:
            self.count += 1
        data = self._data(0, wrong.get("host"))
        client = self._client(
            wrong.get("type", "webauthn.get"), wrong.get("challenge", options["challenge"]), wrong.get("origin")
        )
        signed = self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {
                "clientDataJSON": b64(client),
                "authenticatorData": b64(data),
                "signature": b64(wrong.get("signature", signed)),
                "userHandle": b64(wrong.get("handle", self.handle)),
            }
        )

    def _data(self, flags: int, host: str | None = None) -> bytes:
        flags |= PRESENT | (VERIFIED if self.verifies else 0)
        return hashlib.sha256((host or self.host).encode()).digest() + struct.pack(">BI", flags, self.count or 0)

    def _client(self, kind: str, challenge: str, origin: str | None = None) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": origin or self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": b64(self.id),
            "rawId": b64(self.id),
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }
