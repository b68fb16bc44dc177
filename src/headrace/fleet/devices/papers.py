"""Certificates of devices in memory and in their table: whose is it, is it good, was this key seen before?

    issued ─► waits (the one before is good too) ─► shown for the first time: in use, the one before is superseded
           └► revoked, for a reason ─► on the revocation list until it would have ended

One process owns the table. What has ended long ago is forgotten, so that the list stays short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from headrace.fleet.devices.certificate_tables import certificates
from headrace.model.errors import Conflict, Unavailable
from headrace.model.time import DAY_NS

Result = TypeVar("Result")

FORGOTTEN_AFTER_NS: Final = 90 * DAY_NS


class Reason(StrEnum):
    """Why a certificate is good no more. Source: RFC 5280 §5.3.1."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    SUPERSEDED = "superseded"
    CESSATION = "cessationOfOperation"


@dataclass(frozen=True, slots=True)
class Paper:
    """Fields as in the table. `ours`: the authority of devices signed it."""

    fingerprint: str
    login: str
    tenant: str
    issued_ns: int
    ends_ns: int | None = None
    serial: str = ""
    key_digest: str = ""
    ours: bool = True
    pem: str | None = field(default=None, repr=False)
    used_ns: int | None = None
    revoked_ns: int | None = None
    reason: str = ""

    def good(self, now_ns: int) -> bool:
        return self.revoked_ns is None and not self.ended(now_ns)

    def ended(self, now_ns: int) -> bool:
        return self.ends_ns is not None and self.ends_ns <= now_ns


class Papers:
    """All of them, by each way of finding one."""

    def __init__(self) -> None:
        self._by_fingerprint: dict[str, Paper] = {}
        self._by_login: dict[str, dict[str, Paper]] = {}
        self._keys: dict[str, set[str]] = {}  # fingerprints by key
        self.version = 0

    def __iter__(self) -> Iterator[Paper]:
        return iter(self._by_fingerprint.values())

    def find(self, fingerprint: str | None) -> Paper | None:
        return None if fingerprint is None else self._by_fingerprint.get(fingerprint)

    def of(self, login: str) -> Sequence[Paper]:
        """Newest first."""
        held = self._by_login.get(login, {}).values()
        return sorted(held, key=lambda paper: paper.issued_ns, reverse=True)

    def waiting(self, login: str, now_ns: int) -> Paper | None:
        """The one that was issued and not shown yet; the one before is good too until then."""
        return next((one for one in self.of(login) if one.used_ns is None and one.good(now_ns)), None)

    def of_key(self, key_digest: str) -> Sequence[Paper]:
        return [self._by_fingerprint[one] for one in self._keys.get(key_digest, ())]

    def put(self, paper: Paper) -> None:
        self.version += 1
        self._by_fingerprint[paper.fingerprint] = paper
        self._by_login.setdefault(paper.login, {})[paper.fingerprint] = paper
        if paper.key_digest:
            self._keys.setdefault(paper.key_digest, set()).add(paper.fingerprint)

    def drop(self, paper: Paper) -> None:
        self.version += 1
        self._by_fingerprint.pop(paper.fingerprint, None)
        self._by_login.get(paper.login, {}).pop(paper.fingerprint, None)
        self._keys.get(paper.key_digest, set()).discard(paper.fingerprint)


class PaperStore:
    """The table. Raises: Unavailable where the database does not answer; Conflict for a certificate that is known."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def load(self) -> Sequence[Paper]:
        return await self._run(self._load)

    async def save(self, new: Sequence[Paper], changed: Sequence[Paper] = ()) -> None:
        """All or none."""
        if new or changed:
            await self._run(lambda: self._save(new, changed))

    async def forget(self, papers: Iterable[Paper]) -> None:
        fingerprints = [paper.fingerprint for paper in papers]
        if fingerprints:
            await self._run(lambda: self._delete(fingerprints))

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except IntegrityError as error:
            raise Conflict("this certificate is known already", detail=str(error)) from error
        except SQLAlchemyError as error:
            raise Unavailable("certificates cannot be read or changed now; try again", detail=str(error)) from error

    def _load(self) -> Sequence[Paper]:
        with self._engine.connect() as connection:
            rows = connection.execute(select(certificates)).mappings()
            return [Paper(**{**row, "ours": row["ours"] == "y"}) for row in rows]

    def _save(self, new: Sequence[Paper], changed: Sequence[Paper]) -> None:
        with self._engine.begin() as connection:
            for paper in changed:
                statement = update(certificates).where(certificates.c.fingerprint == paper.fingerprint)
                connection.execute(statement.values(**_row(paper)))
            if new:
                connection.execute(insert(certificates), [_row(paper) for paper in new])

    def _delete(self, fingerprints: Sequence[str]) -> None:
        with self._engine.begin() as connection:
            for fingerprint in fingerprints:
                connection.execute(delete(certificates).where(certificates.c.fingerprint == fingerprint))


def _row(paper: Paper) -> dict[str, Any]:
    return {**asdict(paper), "ours": "y" if paper.ours else "n"}


def revoked(paper: Paper, reason: Reason, now_ns: int) -> Paper:
    return replace(paper, revoked_ns=now_ns, reason=reason.value)
