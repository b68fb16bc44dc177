"""Codes that change every 30 seconds, from a secret that a phone and we share.

secret ─► otpauth URI ─► QR code ─► phone            code ─► the step that it belongs to ─► later than the last? ─► good

A step is accepted once: the step of the last good code is kept, and nothing up to it is good any more. One step before
and after is allowed for clocks that differ.
Source: RFC 6238 §4, §5.2 (one use), §6 (drift); RFC 4226 §5.3; 160 bits as RFC 4226 §4 R6 recommends.
"""

from __future__ import annotations

import hmac
import io
import re
from typing import Final

import pyotp
import segno

from headrace.model.time import SECOND_NS

STEP_S: Final = 30
DRIFT_STEPS: Final = 1
ISSUER: Final = "Headrace"
_CODE: Final = re.compile(r"[0-9]{6}")


def new_secret() -> str:
    """Base32, 160 random bits."""
    return pyotp.random_base32(32)


def uri(secret: str, account: str) -> str:
    """What an authenticator app reads: `otpauth://totp/…`."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=ISSUER)


def svg(text: str) -> str:
    """A QR code as a picture that scales, black on white, with its quiet zone."""
    out = io.BytesIO()
    segno.make(text, error="m").save(
        out, kind="svg", border=4, xmldecl=False, svgns=True, omitsize=True, light="#ffffff"
    )
    return out.getvalue().decode()


def accepted_step(secret: str, code: str, now_ns: int, last_step: int) -> int | None:
    """The step whose code this is, if it is within the drift and later than `last_step`; None for anything else."""
    plain = code.replace(" ", "")
    if not _CODE.fullmatch(plain):
        return None
    generator = pyotp.TOTP(secret)
    now_step = now_ns // (STEP_S * SECOND_NS)
    found = None
    for step in range(now_step - DRIFT_STEPS, now_step + DRIFT_STEPS + 1):
        # Compare all of them, so that the time tells nothing.
        if hmac.compare_digest(generator.generate_otp(step), plain) and step > last_step and found is None:
            found = step
    return found
