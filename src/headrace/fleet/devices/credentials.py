"""Secrets of devices: made here, shown once, kept as a salted HMAC that costs microseconds to check.

Thousands of devices come back at once after an outage, so a slow hash (as people's passwords have) would keep them
waiting. What makes a fast one safe is that these secrets cannot be guessed: ours have 144 random bits, and those that
an engineer brings have at least 16 characters.

    kept = salt (16 bytes) ':' HMAC-SHA-256(salt, secret), hex
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Final

from headrace.model.errors import DataError

SECRET_MARK: Final = "hrd_"
SECRET_CHARACTERS_MIN: Final = 16
SECRET_BYTES_MAX: Final = 1_024
OWN_BYTES_MIN: Final = 8
_SALT_BYTES: Final = 16
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


def new_secret() -> str:
    """28 characters: short enough for the fields of small devices."""
    return SECRET_MARK + secrets.token_urlsafe(18)


def keep(secret: bytes) -> str:
    """What recognises a secret. Shape: 32 hex digits, a colon, 64 hex digits."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{salt.hex()}:{hmac.digest(salt, secret, 'sha256').hex()}"


_NOBODY: Final = keep(secrets.token_bytes(32))


def recognises(kept: str | None, shown: bytes | None) -> bool:
    """In the same time whether there is a secret or not, and whatever was shown."""
    possible = shown is not None and len(shown) <= SECRET_BYTES_MAX
    salt, _, digest = (kept or _NOBODY).partition(":")
    found = hmac.digest(bytes.fromhex(salt), shown if shown is not None and possible else b"", "sha256").hex()
    return hmac.compare_digest(found, digest) and kept is not None and possible


def shows_key(password: bytes | None, key: bytes, has_certificate: bool) -> bool:
    """Whether somebody unknown shows the enrolment key, and something of its own that can be its credential."""
    if password is None or not hmac.compare_digest(password[: len(key)], key):
        return False
    own = password[len(key) :]
    if has_certificate and not own:
        return True
    return own[:1] == b":" and len(own) > OWN_BYTES_MIN and len(password) <= SECRET_BYTES_MAX


def check_secret(secret: str) -> str:
    """A secret that an engineer brings. Raises: DataError, which does not repeat it."""
    if len(secret) < SECRET_CHARACTERS_MIN or len(set(secret)) < 6:
        raise DataError(
            f"the secret can be guessed: take at least {SECRET_CHARACTERS_MIN} random characters, or leave it out "
            "and one is made"
        )
    if len(secret.encode("utf-8", "surrogatepass")) > SECRET_BYTES_MAX or not secret.isprintable():
        raise DataError(f"a secret has printable characters, at most {SECRET_BYTES_MAX} bytes of UTF-8")
    return secret


def check_certificate(text: str) -> str:
    """A SHA-256 fingerprint as tools print it (colons, capitals) to plain hex. Raises: DataError."""
    plain = text.strip().lower().removeprefix("sha256").lstrip(" :=").replace(":", "")
    if not _FINGERPRINT.fullmatch(plain):
        raise DataError("a certificate is given by its SHA-256, 64 hex digits: openssl x509 -fingerprint -sha256")
    return plain
