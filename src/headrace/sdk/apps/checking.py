"""Whether a folder is an app, as far as its files say; nothing of it is run. Authors ask it, and installers too."""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from headrace.model.errors import ConfigError, ConfigErrors
from headrace.sdk.apps.manifest import FILE, AppManifest, PageKind, read_manifest
from headrace.sdk.apps.reading import LANGUAGES
from headrace.sdk.apps.sqlite_tables import SqliteTables, check_migrations
from headrace.sdk.apps.translations import Translations
from headrace.sdk.apps.widgets import read_page

_MIGRATION: Final = re.compile(r"migrations/([^/]+)", re.ASCII)


def problems_of(files: Mapping[str, bytes]) -> list[ConfigError]:
    """All that is wrong with these files (by path within the folder), each with its file; empty for an app."""
    try:
        manifest = read_manifest(_text(files, FILE))
    except ConfigErrors as error:
        return list(error.errors)
    except ConfigError as error:
        return [error]
    found: list[ConfigError] = []
    for check in (_modules, _pages, _texts, _migrations):
        try:
            check(manifest, files)
        except ConfigErrors as error:
            found += error.errors
        except ConfigError as error:
            found.append(error)
    return found


def migrations_in(files: Mapping[str, bytes]) -> dict[str, str]:
    """Text by name. Raises: ConfigError for one that is not UTF-8."""
    return {matched[1]: _text(files, name) for name in sorted(files) if (matched := _MIGRATION.fullmatch(name))}


def texts_in(files: Mapping[str, bytes]) -> Translations:
    """Raises: ConfigError."""
    names = {one: f"locale/{one}.toml" for one in LANGUAGES}
    return Translations.read({one: _text(files, name) for one, name in names.items() if name in files})


def _modules(manifest: AppManifest, files: Mapping[str, bytes]) -> None:
    if f"{manifest.module}.py" not in files:
        raise ConfigError(f"module is '{manifest.module}', and there is no {manifest.module}.py", file=FILE)
    for name in sorted(files):
        if name.endswith(".py"):
            try:
                ast.parse(files[name])
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                line = error.lineno if isinstance(error, SyntaxError) else None
                raise ConfigError(f"this is no Python: {error}", file=name, line=line) from None


def _pages(manifest: AppManifest, files: Mapping[str, bytes]) -> None:
    errors: list[ConfigError] = []
    for page in manifest.pages:
        if page.file not in files:
            errors.append(ConfigError(f"page '{page.name}' is '{page.file}', and there is no such file", file=FILE))
        elif page.kind is PageKind.WIDGETS:
            try:
                read_page(_text(files, page.file), page.file)
            except ConfigErrors as error:
                errors += error.errors
    if errors:
        raise ConfigErrors(errors)


def _texts(manifest: AppManifest, files: Mapping[str, bytes]) -> None:
    missing = texts_in(files).missing()
    titles = [manifest.title, *(page.title for page in manifest.pages), *(one.title for one in manifest.settings)]
    missing += [f"{one}: a title in {FILE}" for title in titles if title for one in LANGUAGES if one not in title]
    if missing:
        raise ConfigErrors([ConfigError(f"a text is missing: {one}", file="locale") for one in missing])


def _migrations(manifest: AppManifest, files: Mapping[str, bytes]) -> None:
    migrations = migrations_in(files)
    check_migrations(migrations)
    if migrations and not manifest.permissions.tables_mb:
        raise ConfigError("there are migrations, and no `tables_mb` in [permissions]", file=FILE)
    if migrations:
        with tempfile.TemporaryDirectory() as place:
            SqliteTables(Path(place) / "check.db", migrations).close()


def _text(files: Mapping[str, bytes], name: str) -> str:
    if name not in files:
        raise ConfigError(f"there is no {name}; this is no app", file=name)
    try:
        return files[name].decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError("it is not UTF-8", file=name) from None
