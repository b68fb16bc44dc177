"""Passwords: Argon2id in a thread, and which ones are refused.

Source: RFC 9106 (Argon2), OWASP Password Storage (at least 19 MiB, 2 passes), NIST SP 800-63B §5.1.1.2 (length and
a list of common ones rather than rules of composition; NFKC before hashing).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from collections.abc import Callable
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from headrace.model.errors import DataError, LimitReached

Result = TypeVar("Result")

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 256

#: 32 MiB and two passes take about 60 ms of one core, and one at a time bounds the memory of a flood of sign-ins.
_TIME_COST: Final = 2
_MEMORY_KIB: Final = 32 * 1024
_WAITING_MAX: Final = 20

_COMMON_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """password passwort passwd passw word admin administrator root user guest login welcome letmein changeme secret
        default qwerty qwertyuiop asdf asdfghjkl zxcvbnm qwer qazwsx qazwsxedc qweasd qweasdzxc iloveyou monkey dragon
        master sunshine princess football baseball superman test testing demo headrace operator engineer viewer
        factory machine plant scada woaini mima""",
    )
)
_READABLE: Final = "abcdefghjkmnpqrstuvwxyz23456789"


class Hasher:
    """One password at a time, away from the event loop."""

    def __init__(self, time_cost: int = _TIME_COST, memory_kib: int = _MEMORY_KIB) -> None:
        self._argon2 = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1, type=Type.ID)
        self._one = asyncio.Lock()
        self._waiting = 0
        self._dummy = ""

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._argon2.hash(_normal(password)))

    async def verify(self, known: str | None, password: str) -> bool:
        """False for a wrong one. `known` None does the same work and is always false."""
        if not self._dummy:
            self._dummy = await self.hash(secrets.token_urlsafe(16))
        against = known if known is not None else self._dummy
        return await self._run(lambda: self._verify(against, password)) and known is not None

    def outdated(self, known: str) -> bool:
        """Whether the hash was made with other costs than today's."""
        return self._argon2.check_needs_rehash(known)

    def _verify(self, known: str, password: str) -> bool:
        try:
            return self._argon2.verify(known, _normal(password[: LENGTH_MAX + 1]))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= _WAITING_MAX:
            raise LimitReached("too many people sign in at once; try again in a moment")
        self._waiting += 1
        try:
            async with self._one:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def check_strength(password: str, user: str) -> None:
    """Raises: DataError that says what is wrong with a new password."""
    if len(password) < LENGTH_MIN:
        raise DataError(f"a password has at least {LENGTH_MIN} characters; a few words make a good one")
    if len(password) > LENGTH_MAX:
        raise DataError(f"a password has at most {LENGTH_MAX} characters")
    plain = _normal(password).casefold()
    if len(user) >= 3 and user.casefold() in plain:
        raise DataError("a password does not contain the user name")
    if len(set(plain)) < 5:
        raise DataError("the password repeats too few characters")
    if _common(plain):
        raise DataError("the password is a common one with signs around it; take a few words of your own")


def one_time_password() -> str:
    """Twenty easily read characters, 99 bits: `k3m9x-…`."""
    letters = [secrets.choice(_READABLE) for _ in range(20)]
    return "-".join("".join(letters[at : at + 5]) for at in range(0, 20, 5))


def _common(password: str) -> bool:
    """No letters at all, or nothing but common words once digits and signs are taken away."""
    words = re.findall(r"[^\W\d_]+", password)
    long = [word for word in words if len(word) >= 3]
    return _known("".join(words)) or (bool(long) and all(_known(word) for word in long))


def _known(letters: str) -> bool:
    half = len(letters) // 2
    twice = len(letters) % 2 == 0 and letters[:half] == letters[half:]
    return letters in _COMMON_WORDS or (twice and (not half or _known(letters[:half])))


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
