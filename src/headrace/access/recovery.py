"""Recovery codes: ten, each good once, for who lost the phone. Only their fingerprints are kept.

Source: NIST SP 800-63B §5.1.2 (look-up secrets). 79 random bits each: SHA-256 is enough to keep them by.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Sequence
from typing import Final

from headrace.access.store import fingerprint

COUNT: Final = 10
#: No letter or digit that is taken for another.
_READABLE: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_LETTERS: Final = 16


def new_codes() -> Sequence[str]:
    """`k3m9-xq7c-…`."""
    codes = []
    for _ in range(COUNT):
        letters = "".join(secrets.choice(_READABLE) for _ in range(_LETTERS))
        codes.append("-".join(letters[at : at + 4] for at in range(0, _LETTERS, 4)))
    return codes


def looks_like_one(code: str) -> bool:
    return len(_plain(code)) == _LETTERS


def code_fingerprint(user: str, code: str) -> str:
    """Of the code and whose it is: equal codes of two people would not show."""
    return fingerprint(f"recovery:{user}:{_plain(code)}")


def _plain(code: str) -> str:
    normal = unicodedata.normalize("NFKC", code[:80]).casefold()
    return "".join(letter for letter in normal if letter in _READABLE)
