"""What is installed and who has taken it in: wishes as small files, each written anew and renamed, never in part.

    <home>/apps/<app>/app.json                     versions, the one offered, how to go back, whether it is to go
                     /shelf/<version>              the release as it was brought: .hrpkg, or a zip of ours
                     /tenants/<tenant>.json        enabled, its version, what was accepted, settings
                     /tenants/<tenant>.secrets     those settings that are secret, sealed
                     /data/<tenant>/               tables and documents (hosting/runner.py)
                     /before/<tenant>/<version>.db tables as that version left them when a newer one took over

What runs is made to be what is wanted (`keeper.py`), after any crash, in any order. Everything here blocks.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from headrace.model.errors import DataError
from headrace.sdk.app_desk import AppOrigin, AppVersion, BackTables, KeptData
from headrace.sdk.apps.manifest import Permissions
from headrace.sdk.apps.settings import Setting, SettingKind
from headrace.sdk.secret_files import FOLDER_MODE, PLAIN, SecretFiles, put_private, sync_folder

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*", re.ASCII)
_TENANT: Final = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)


NO_PERMISSIONS: Final = Permissions()


@dataclass(frozen=True, slots=True)
class AppRecord:
    """`offered` is the version that tenants get; '' of one that is built in, whose versions come with the platform.
    `back` says how those go who run a newer one. `removing`: it is on its way out."""

    name: str
    offered: str = ""
    versions: tuple[AppVersion, ...] = ()
    back: BackTables | None = None
    removing: KeptData | None = None

    def version(self, version: str) -> AppVersion | None:
        return next((one for one in self.versions if one.version == version), None)


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """`version` is the one that its tables are of. `settings` are as they were filled in; `secrets` names
    those that are elsewhere, sealed. `wipe`: its data is on its way out."""

    app: str
    tenant: str
    enabled: bool = False
    version: str = ""
    sha256: str = ""
    accepted: Permissions = NO_PERMISSIONS
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    by: str = ""
    since_ns: int = 0
    wipe: bool = False


class Register:
    """Of one home."""

    def __init__(self, root: Path, files: SecretFiles = PLAIN) -> None:
        self.root, self._files = root, files

    # --- apps --------------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Of all that were installed, or taken in."""
        if not self.root.is_dir():
            return []
        return sorted(one.name for one in self.root.iterdir() if _NAME.fullmatch(one.name) and one.is_dir())

    def app(self, name: str) -> AppRecord | None:
        """Raises: DataError."""
        table = self._read(self._folder(name) / "app.json")
        if table is None:
            return None
        try:
            versions = tuple(
                AppVersion(**{**one, "origin": AppOrigin(one["origin"]), "signers": tuple(one["signers"])})
                for one in table["versions"]
            )
            return AppRecord(
                name, table["offered"], versions, BackTables(table["back"]) if table["back"] else None,
                KeptData(table["removing"]) if table["removing"] else None,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(self._folder(name) / "app.json", error) from None

    def put_app(self, one: AppRecord) -> None:
        self._write(self._folder(one.name) / "app.json", asdict(one))

    def drop_app(self, name: str) -> None:
        (self._folder(name) / "app.json").unlink(missing_ok=True)
        shutil.rmtree(self._folder(name) / "shelf", ignore_errors=True)

    # --- releases ----------------------------------------------------------------------------------------------------

    def shelve(self, name: str, version: str, data: bytes) -> None:
        self._put(self._folder(name) / "shelf" / version, data)

    def release(self, name: str, version: str) -> bytes:
        """Raises: DataError."""
        try:
            return (self._folder(name) / "shelf" / version).read_bytes()
        except OSError as error:
            raise DataError(f"{name} {version} cannot be read; install it again", detail=str(error)) from None

    def unshelve(self, name: str, version: str) -> None:
        (self._folder(name) / "shelf" / version).unlink(missing_ok=True)

    # --- tenants -----------------------------------------------------------------------------------------------------

    def tenants(self, name: str) -> list[str]:
        """Who ever took it in."""
        return sorted(
            one.stem for one in (self._folder(name) / "tenants").glob("*.json") if _TENANT.fullmatch(one.stem)
        )

    def tenant(self, name: str, tenant: str) -> TenantRecord | None:
        """Raises: DataError."""
        path = self._folder(name) / "tenants" / f"{_tenant(tenant)}.json"
        table = self._read(path)
        if table is None:
            return None
        try:
            accepted = table.pop("accepted").items()
            asked: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in accepted}
            secrets = tuple(table.pop("secrets"))
            return TenantRecord(app=name, tenant=tenant, accepted=Permissions(**asked), secrets=secrets, **table)
        except (KeyError, TypeError, AttributeError) as error:
            raise _damaged(path, error) from None

    def put_tenant(self, one: TenantRecord) -> None:
        table = asdict(one)
        del table["app"], table["tenant"]
        self._write(self._folder(one.app) / "tenants" / f"{_tenant(one.tenant)}.json", table)

    def secrets(self, name: str, tenant: str) -> dict[str, Any]:
        """Opened, by setting. Raises: DataError."""
        path = self._secret_file(name, tenant)
        try:
            found = json.loads(self._files.read(path))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from None
        if not isinstance(found, dict):
            raise _damaged(path, TypeError("no object"))
        return found

    def put_secrets(self, name: str, tenant: str, secrets: Mapping[str, Any]) -> None:
        """Before the record that names them."""
        self._make(self._secret_file(name, tenant).parent)
        self._files.write(self._secret_file(name, tenant), json.dumps(dict(secrets), ensure_ascii=False).encode())

    def drop_tenant(self, name: str, tenant: str) -> None:
        self._secret_file(name, tenant).unlink(missing_ok=True)
        (self._folder(name) / "tenants" / f"{_tenant(tenant)}.json").unlink(missing_ok=True)

    def data(self, name: str, tenant: str) -> Path:
        return self._folder(name) / "data" / _tenant(tenant)

    def before(self, name: str, tenant: str, version: str = "") -> Path:
        folder = self._folder(name) / "before" / _tenant(tenant)
        return folder / f"{version}.db" if version else folder

    # --- files -------------------------------------------------------------------------------------------------------

    def _folder(self, name: str) -> Path:
        if len(name) > 100 or not _NAME.fullmatch(name):  # a bug or a probe: callers look names up first
            raise DataError(f"'{name[:60]}' is no name of an app")
        return self.root / name

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from None
        if not isinstance(found, dict):
            raise _damaged(path, TypeError("no object"))
        return found

    def _write(self, path: Path, table: Mapping[str, Any]) -> None:
        self._put(path, json.dumps(table, indent=1, ensure_ascii=False).encode())

    def _put(self, path: Path, data: bytes) -> None:
        """Durable on return, folders too."""
        self._make(path.parent)
        put_private(path, data)

    def _make(self, wanted: Path) -> None:
        for folder in (*reversed(wanted.parents), wanted):
            if not folder.exists():
                folder.mkdir(mode=FOLDER_MODE)
                sync_folder(folder.parent)

    def _secret_file(self, name: str, tenant: str) -> Path:
        return self._folder(name) / "tenants" / f"{_tenant(tenant)}.secrets"


def is_secret(setting: Setting) -> bool:
    """A table is kept sealed as a whole where one of its columns is a secret."""
    return setting.kind is SettingKind.SECRET or any(one.kind is SettingKind.SECRET for one in setting.columns)


def _tenant(name: str) -> str:
    if not _TENANT.fullmatch(name):
        raise DataError(f"'{name[:60]}' is no name of a tenant")
    return name


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is damaged; put the one of your backup back", detail=str(error))
