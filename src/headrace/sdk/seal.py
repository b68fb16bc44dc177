"""Sealing: what must be secret on disk passes through here on its way there and back.

The key is outside the database. Source: IEC 62443-3-3 SR 4.1; NIST SP 800-38D (AES-GCM).
"""

from __future__ import annotations

from typing import Final, Protocol

MAGIC: Final = b"HRS1"
"""How everything sealed begins."""


class Sealer(Protocol):
    """`context` says what the secret is and whose (`totp:anna`): a sealed secret opens in its own context alone."""

    def seal(self, secret: bytes, context: str) -> bytes: ...

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises: DataError for what was altered, sealed in another context, or with a key that is not here."""
        ...
