"""What is on offer: releases read from the register or from this installation, each judged anew when it is read.

A release that was altered on disk, or whose publisher was revoked since, is none: it does not start any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from headrace.hosting.register import AppRecord, Register
from headrace.hosting.releases import Release, SignedPackages, from_kept, from_package
from headrace.model.errors import DataError, NotFound
from headrace.sdk.app_desk import AppOrigin, AppVersion

HELD_MAX: Final = 32
_PACKAGE: Final = AppOrigin.PACKAGE


class Shelf:
    """Everything here blocks. Threads may meet: at worst a release is read twice."""

    def __init__(
        self, register: Register, packages: SignedPackages, built_in: Mapping[str, Release], platform: str
    ) -> None:
        """`platform` is the version of this platform, which packages may need."""
        self._register, self._packages, self._platform = register, packages, platform
        self.built_in = built_in
        self._held: dict[tuple[str, str], Release] = {}

    def names(self) -> list[str]:
        """Of what is installed, or on its way out."""
        return sorted({*self.built_in, *(one for one in self._register.names() if self._register.app(one))})

    def present(self) -> dict[str, str]:
        """What packages may name as needs."""
        found = {"headrace": self._platform, **{name: one.version for name, one in self.built_in.items()}}
        for name in self._register.names():
            record = self._register.app(name)
            if record is not None and record.removing is None:
                found[name] = record.offered
        return found

    def record(self, name: str) -> AppRecord | None:
        """One that is built in has a record of its own making. Raises: DataError."""
        release = self.built_in.get(name)
        if release is None:
            return self._register.app(name)
        version = AppVersion(release.version, AppOrigin.BUILT_IN, release.sha256, (), 0, "")
        return AppRecord(name, release.version, (version,))

    def offered(self, name: str) -> Release:
        """Raises: NotFound; DataError, ConfigError."""
        record = self.record(name)
        if record is None or record.removing is not None:
            raise NotFound(f"there is no app '{name[:100]}'")
        return self.release(name, record.offered)

    def release(self, name: str, version: str) -> Release:
        """Raises: NotFound for a version that is not kept; DataError where it was altered, or is trusted no more."""
        release = self.built_in.get(name)
        if release is not None:
            return release
        record = self._register.app(name)
        known = record.version(version) if record else None
        if known is None:
            raise NotFound(f"version {version} of {name} is not kept any more")
        held = self._held.get((name, known.sha256))
        if held is None:
            if len(self._held) >= HELD_MAX:
                self._held.clear()
            held = self._held[name, known.sha256] = self._read(name, known)
        return held

    def judge(self, package: bytes, now_ns: int) -> Release:
        """A package that somebody brings. Raises: DataError, ConfigError, ConfigErrors; Conflict for unmet needs."""
        return from_package(package, self._packages, now_ns, self.present())

    def _read(self, name: str, known: AppVersion) -> Release:
        data = self._register.release(name, known.version)
        if known.origin is _PACKAGE:
            release = from_package(data, self._packages, known.added_ns, None)  # its needs were met when it came
            digest = release.sha256
        else:
            release, digest = from_kept(data, known.origin), hashlib.sha256(data).hexdigest()
        if digest != known.sha256 or release.manifest.name != name:
            raise DataError(f"{name} {known.version} was altered after it was installed; install it again")
        return replace(release, kept=b"")
