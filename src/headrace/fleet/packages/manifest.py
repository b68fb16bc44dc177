"""The manifest of a package: name, version, kind, what it needs, and every file with its size and digests.

    format = 1                                      the part of TOML that needs no recursion:
    kind = "app"                                    one `key = value` a line, flat lists,
    name = "oee"                                    and one [[files]] table a file
    version = "1.4.0"
    title = "Overall equipment effectiveness"
    created = "2026-11-26"
    expires = "2028-11-26"                          optional: not to be installed anew from that day on
    needs = ["headrace>=0.1,<0.3", "energy>=2"]

    [[files]]
    path = "app.py"
    size = 1234                                     bytes
    sha256 = "…"                                    of the content
    packed = "…"                                    SHA-256 of the bytes in the zip: checked before they are inflated

A general TOML reader nests as deep as its input asks for; lines are held to this form before it sees them.
Source: TOML 1.0.0; PEP 440 for versions, PEP 508 for needs.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from headrace.fleet.packages.container import Limits, check_name
from headrace.model.errors import ConfigError, DataError

FORMAT: Final = 1
NEEDS_MAX: Final = 64
_STRING: Final = r'"(?:[^"\\\x00-\x1f\x7f-\x9f]|\\["\\])*"'
_LINE: Final = re.compile(
    rf"|\[\[files\]\]|[a-z][a-z0-9_]{{0,30}} = (?:{_STRING}|\d{{1,18}}|\[(?:{_STRING}(?:, {_STRING})*)?\])"
)
_LINE_CHARACTERS_MAX: Final = 16_000
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*", re.ASCII)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEYS: Final = {"format", "kind", "name", "version", "title", "created", "expires", "needs", "files"}
_FILE_KEYS: Final = {"path", "size", "sha256", "packed"}


class Kind(StrEnum):
    APP = "app"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class PackedFile:
    """`size` in bytes; digests are SHA-256 in hex, of the content and of the bytes that lie in the zip."""

    path: str
    size: int
    sha256: str
    packed: str


@dataclass(frozen=True, slots=True)
class Manifest:
    kind: Kind
    name: str
    version: Version
    title: str
    created: datetime.date
    expires: datetime.date | None
    needs: tuple[Requirement, ...]
    files: tuple[PackedFile, ...]

    def unmet(self, present: Mapping[str, str]) -> list[str]:
        """What it needs and `present` (name → version) does not have, in words."""
        missing = []
        for need in self.needs:
            have = present.get(need.name)
            if have is None:
                missing.append(f"{need} (not here)")
            elif not need.specifier.contains(Version(have), prereleases=True):
                missing.append(f"{need} (here: {have})")
        return missing


def decode(data: bytes, limits: Limits | None = None) -> Manifest:
    """Raises: DataError that says what is wrong."""
    limits = limits or Limits()
    if len(data) > limits.manifest_bytes:
        raise DataError(f"the manifest has more than {limits.manifest_bytes:,} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise DataError("the manifest is not UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > _LINE_CHARACTERS_MAX or not _LINE.fullmatch(line):
            raise DataError(f"line {number} of the manifest is not of the form that manifests have")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"the manifest cannot be read: {error}") from None
    return _manifest(table, limits)


def encode(manifest: Manifest) -> bytes:
    """`decode(encode(m)) == m`; the same manifest is the same bytes. Raises: ConfigError for a text it cannot hold."""
    lines = [
        f"format = {FORMAT}",
        f"kind = {_quoted(manifest.kind.value)}",
        f"name = {_quoted(manifest.name)}",
        f"version = {_quoted(str(manifest.version))}",
        f"title = {_quoted(manifest.title)}",
        f"created = {_quoted(manifest.created.isoformat())}",
    ]
    if manifest.expires is not None:
        lines.append(f"expires = {_quoted(manifest.expires.isoformat())}")
    lines.append(f"needs = [{', '.join(_quoted(str(need)) for need in manifest.needs)}]")
    for file in manifest.files:
        lines += ["", "[[files]]", f"path = {_quoted(file.path)}", f"size = {file.size}"]
        lines += [f"sha256 = {_quoted(file.sha256)}", f"packed = {_quoted(file.packed)}"]
    return ("\n".join(lines) + "\n").encode()


def check_package_name(name: str) -> str:
    """`oee`, `acme.press-view`. Raises: DataError."""
    if len(name) > 64 or not _NAME.fullmatch(name):
        raise DataError(f"'{_shown(name)}' is no name of a package: lower case, digits, single dots and dashes")
    check_name(name.encode(), Limits())  # a folder is named after it
    return name


def check_version(text: str) -> Version:
    """A public version in its one spelling, because folders are named after it. Raises: DataError."""
    try:
        version = Version(text) if len(text) <= 40 and text.isascii() else None
    except (InvalidVersion, ValueError):
        version = None
    if version is None or str(version) != text or version.local or version.epoch:
        raise DataError(f"'{_shown(text)}' is no version of a package; write it as '1.4.0' or '1.4.0rc1'")
    return version


def _manifest(table: dict[str, Any], limits: Limits) -> Manifest:
    unknown = sorted(table.keys() - _KEYS)
    if unknown:
        raise DataError(f"the manifest has a key '{unknown[0]}' that this version does not know; update Headrace first")
    if table.get("format") != FORMAT:
        raise DataError(f"the manifest has another format than {FORMAT}; update Headrace first")
    kind = _text(table, "kind")
    if kind not in {each.value for each in Kind}:
        raise DataError(f"a package of kind '{_shown(kind)}' is not known here; update Headrace first")
    files = table.get("files", [])
    if not isinstance(files, list) or not files:
        raise DataError("the manifest lists no files")
    if len(files) > limits.files:
        raise DataError(f"the manifest lists {len(files):,} files; {limits.files:,} are allowed")
    return Manifest(
        Kind(kind),
        check_package_name(_text(table, "name")),
        check_version(_text(table, "version")),
        _text(table, "title", required=False),
        _date(_text(table, "created"), "created"),
        _date(_text(table, "expires"), "expires") if "expires" in table else None,
        _needs(table.get("needs", [])),
        tuple(_file(each, limits) for each in files),
    )


def _file(table: Any, limits: Limits) -> PackedFile:
    if not isinstance(table, dict) or table.keys() != _FILE_KEYS:
        raise DataError("a file of the manifest has other keys than path, size, sha256 and packed")
    path, size = _text(table, "path"), table["size"]
    digests = _text(table, "sha256"), _text(table, "packed")
    check_name(path.encode(), limits)
    if type(size) is not int or not 0 <= size <= limits.file_bytes:
        raise DataError(f"the size of '{path}' is not between 0 and {limits.file_bytes:,} bytes")
    if not all(_SHA256.fullmatch(digest) for digest in digests):
        raise DataError(f"a digest of '{path}' is not 64 hex digits")
    return PackedFile(path, size, *digests)


def spelled(text: object) -> str:
    """A need in its one spelling, however an author wrote it; what is none stays as it is."""
    try:
        return str(Requirement(str(text)))
    except InvalidRequirement:
        return str(text)


def parse_needs(texts: list[str]) -> tuple[Requirement, ...]:
    """`headrace>=0.1`; no extras, markers or addresses. Raises: DataError."""
    return _needs(texts)


def _needs(texts: Any) -> tuple[Requirement, ...]:
    if not isinstance(texts, list) or len(texts) > NEEDS_MAX or not all(isinstance(text, str) for text in texts):
        raise DataError(f'needs is a list of at most {NEEDS_MAX} texts such as "headrace>=0.1"')
    needs = []
    for text in texts:
        try:
            need = Requirement(text) if len(text) <= 200 else None
        except (InvalidRequirement, ValueError):
            need = None
        if need is None or need.extras or need.marker or need.url or str(need) != text:
            raise DataError(f"'{_shown(text)}' is no need; write \"headrace<0.3,>=0.1\": a name, then bounds")
        check_package_name(need.name)
        needs.append(need)
    return tuple(needs)


def _text(table: dict[str, Any], key: str, *, required: bool = True) -> str:
    value = table.get(key, None if required else "")
    if not isinstance(value, str) or len(value) > 500:
        raise DataError(f"the manifest's '{key}' is missing, or no short text")
    return value


def _date(text: str, key: str) -> datetime.date:
    try:
        date = datetime.date.fromisoformat(text)
    except ValueError:
        date = None
    if date is None or date.isoformat() != text:
        raise DataError(f"the manifest's '{key}' is no date such as 2026-11-26")
    return date


def _quoted(text: str) -> str:
    if _CONTROL.search(text):
        raise ConfigError("a text of the manifest has a line break or another control character; take it out")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _shown(text: str) -> str:
    return text[:60].encode("unicode_escape").decode()
