"""A release: one version of an app as it was brought, all its files in memory, nothing unpacked and nothing run.

    package   .hrpkg, judged by whoever knows publishers (`SignedPackages`, injected)  ─┐
    wheel     the one package in it that has a manifest.toml                            ├─► Release
    folder    as it stands                                                              │
    built in  a folder of this installation                                            ─┘

Names of files are looked up in a dictionary, so a name that climbs out of a folder is one that is not there.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from headrace.hosting import tables
from headrace.model.errors import ConfigError, ConfigErrors, Conflict, DataError
from headrace.sdk.app_desk import PACKAGE_BYTES_MAX, AppOrigin
from headrace.sdk.apps import SDK_VERSION
from headrace.sdk.apps.manifest import FILE, AppManifest, read_manifest

FILES_MAX: Final = 2_000
BYTES_MAX: Final = 4 * PACKAGE_BYTES_MAX
_NAME: Final = re.compile(r"[A-Za-z0-9_+@][A-Za-z0-9_+@.-]*(/[A-Za-z0-9_+@][A-Za-z0-9_+@.-]*){0,11}", re.ASCII)
_LEFT_OUT: Final = ("__pycache__", "tests")


@dataclass(frozen=True, slots=True)
class Signed:
    """A package that publishers of this home vouch for. `signers` are their titles; `unmet` what it needs and lacks."""

    name: str
    version: str
    sha256: str
    signers: tuple[str, ...]
    unmet: tuple[str, ...]
    files: Mapping[str, bytes]


class SignedPackages(Protocol):
    def read(self, data: bytes, at_ns: int, present: Mapping[str, str]) -> Signed:
        """Judged by the publishers of today, as of a moment: a key that ended later counts, one that was revoked does
        not. `present` is what needs may name. Blocks. Raises: DataError, ConfigError."""
        ...


@dataclass(frozen=True, slots=True)
class Release:
    """`sha256` in hex: of what was installed. `bytes` are those to keep, to read it again."""

    manifest: AppManifest
    origin: AppOrigin
    sha256: str
    signers: tuple[str, ...]
    files: Mapping[str, bytes]
    kept: bytes = b""
    module_package: str = ""
    """Under which its modules import each other, of one that is built in."""

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def migrations(self) -> tuple[str, ...]:
        return tuple(sorted(tables.migrations_of(self.files)))


def from_package(data: bytes, packages: SignedPackages, at_ns: int, present: Mapping[str, str] | None) -> Release:
    """Without `present` nobody asks what it needs. Blocks. Raises: DataError, Conflict,
    ConfigError, ConfigErrors."""
    if len(data) > PACKAGE_BYTES_MAX:
        raise DataError(f"a package of an app has at most {PACKAGE_BYTES_MAX >> 20} MiB")
    signed = packages.read(data, at_ns, present or {})
    manifest = _manifest(signed.files, f"{signed.name} {signed.version}")
    if (manifest.name, manifest.version) != (signed.name, signed.version):
        raise DataError(
            f"the package is {signed.name} {signed.version}, and the app in it {manifest.name} {manifest.version}; "
            "its author packs it again"
        )
    if signed.unmet and present is not None:
        raise Conflict(f"{signed.name} {signed.version} needs {', '.join(signed.unmet)}; install that first")
    return Release(manifest, AppOrigin.PACKAGE, signed.sha256, signed.signers, signed.files, data)


def from_path(path: Path) -> Release:
    """A folder or a wheel. Blocks. Raises: ConfigError, ConfigErrors for what is no app."""
    if path.suffix == ".whl":
        return from_wheel(path)
    files = read_folder(path)
    kept = packed(files)
    return Release(_manifest(files, str(path)), AppOrigin.FOLDER, _sha256(kept), (), files, kept)


def from_wheel(path: Path) -> Release:
    """Nothing of it is installed or run: the folder in it that has a manifest is the app."""
    try:
        data = path.read_bytes()
        every = unpacked(data)
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror})") from None
    except DataError as error:
        raise ConfigError(f"{path}: {error.message}") from None
    heads = sorted(name.removesuffix(FILE) for name in every if name == FILE or name.endswith(f"/{FILE}"))
    heads = [head for head in heads if ".dist-info/" not in head]
    if len(heads) != 1:
        found = "no app" if not heads else f"{len(heads)} apps"
        raise ConfigError(f"{path} has {found} in it; a wheel of an app has one package with a {FILE}")
    files = {name.removeprefix(heads[0]): one for name, one in every.items() if name.startswith(heads[0])}
    kept = packed(files)
    return Release(_manifest(files, str(path)), AppOrigin.WHEEL, _sha256(kept), (), files, kept)


def from_kept(data: bytes, origin: AppOrigin) -> Release:
    """What `packed` gave. Raises: DataError, ConfigErrors."""
    files = unpacked(data)
    return Release(_manifest(files, "the kept app"), origin, _sha256(data), (), files, data)


def built_in(folder: Path, package: str) -> Release | None:
    """An app of this installation; None for a folder without a manifest."""
    if not (folder / FILE).is_file():
        return None
    files = read_folder(folder)
    return Release(
        _manifest(files, str(folder)), AppOrigin.BUILT_IN, _sha256(packed(files)), (), files, module_package=package
    )


# --- files -----------------------------------------------------------------------------------------------------------


def read_folder(folder: Path) -> dict[str, bytes]:
    """All files but hidden ones, tests and what Python leaves about. Raises: ConfigError."""
    found: dict[str, bytes] = {}
    total = 0
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder of an app, nor a wheel")
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(one for one in folders if not one.startswith(".") and one not in _LEFT_OUT)
        for name in [*folders, *names]:
            if (here / name).is_symlink():
                raise ConfigError(f"{here / name} is a link; an app has files only")
        for name in sorted(names):
            path = (here / name).relative_to(folder).as_posix()
            if name.startswith(".") or name.endswith(".pyc"):
                continue
            if not _NAME.fullmatch(path):
                raise ConfigError(f"'{path[:80]}' is no name of a file of an app; use letters, digits, '.', '-', '_'")
            try:
                found[path] = (here / name).read_bytes()
            except OSError as error:
                raise ConfigError(f"cannot read {here / name} ({error.strerror})") from None
            total += len(found[path])
            if len(found) > FILES_MAX or total > BYTES_MAX:
                raise ConfigError(f"{folder} has more than {FILES_MAX:,} files or {BYTES_MAX >> 20} MiB")
    return found


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip; the same files are the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """Raises: DataError for what is no such zip, or too large."""
    found: dict[str, bytes] = {}
    left = BYTES_MAX
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            if len(members) > FILES_MAX:
                raise DataError(f"it has more than {FILES_MAX:,} files")
            for one in members:
                if not _NAME.fullmatch(one.filename):
                    raise DataError(f"'{one.filename[:80]}' is no name of a file of an app")
                with archive.open(one) as file:
                    found[one.filename] = file.read(left + 1)
                left -= len(found[one.filename])
                if left < 0:
                    raise DataError(f"it unpacks to more than {BYTES_MAX >> 20} MiB")
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError) as error:
        raise DataError("this is no zip file, or it is damaged", detail=str(error)) from None
    return found


def ahead(newer: Sequence[str], older: Sequence[str]) -> list[str]:
    """Migrations that tables went through and the older version does not know."""
    return [one for one in newer if one not in older]


def _manifest(files: Mapping[str, bytes], where: str) -> AppManifest:
    """Raises: ConfigError, ConfigErrors."""
    if FILE not in files:
        raise ConfigError(f"{where} has no {FILE}; it is no app")
    try:
        manifest = read_manifest(files[FILE].decode())
    except UnicodeDecodeError:
        raise ConfigError("it is not UTF-8", file=FILE) from None
    errors = []
    if not manifest.runs_on(SDK_VERSION):
        errors.append(ConfigError(
            f"{manifest.name} {manifest.version} is for SDK {manifest.sdk}, and this is {SDK_VERSION}; "
            "install a version for this one, or update Headrace", file=FILE,
        ))  # fmt: skip
    if f"{manifest.module}.py" not in files:
        errors.append(ConfigError(f"module is '{manifest.module}', and there is no {manifest.module}.py", file=FILE))
    errors += [
        ConfigError(f"page '{page.name}' is '{page.file}', and there is no such file", file=FILE)
        for page in manifest.pages
        if page.file not in files
    ]
    if errors:
        raise ConfigErrors(errors)
    return manifest


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
