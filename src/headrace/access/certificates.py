"""Certificates and keys of this platform, for people: what there is, when it ends, a new one now.

WebIdentity (console) ─┐
others (devices) ──────┴─► status        renew ─► WebIdentity        rotate_keys ─► rekey.py ─► audit
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine

from headrace.access.rekey import rotate
from headrace.access.seal import Keyring
from headrace.access.web_identity import WebIdentity
from headrace.sdk.access import AuditLog
from headrace.sdk.certificates import CertificateStatus, Rekeyed

Others = Callable[[], Sequence[CertificateStatus]]


class CertificateDesk:
    """Implements `sdk.certificates.Certificates`."""

    def __init__(
        self, web: WebIdentity, ring: Keyring, home: Path, engine: Engine, audit: AuditLog,
        *, reference: str = "", others: Others = lambda: (),
    ) -> None:  # fmt: skip
        self._web, self._ring, self._home, self._engine, self._audit = web, ring, home, engine, audit
        self._reference, self._others = reference, others
        self._rotating = asyncio.Lock()

    def authority(self) -> bytes:
        return self._web.authority()

    def status(self) -> Sequence[CertificateStatus]:
        return [*self._web.status(), *self._others()]

    async def renew(self, actor: str, *, authority: bool = False) -> Sequence[CertificateStatus]:
        await self._web.renew(actor, authority=authority)
        return self.status()

    async def rotate_keys(self, actor: str, *, forget_old: bool = False) -> Rekeyed:
        async with self._rotating:
            done = await asyncio.to_thread(
                rotate, self._ring, self._home, self._engine, reference=self._reference, forget_old=forget_old
            )
        told = {"files": done.files, "rows": done.rows, "keys": done.keys}
        await self._audit.record(actor, "keys.rotate", done.key, "done", told)
        return done
