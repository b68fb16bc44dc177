"""The file of providers that `headrace serve --sign-in` is given.

providers:
  - name: works                       # in addresses; small letters
    title: Works account              # on the button
    issuer: https://id.example.com
    client_id: headrace
    client_secret: env:WORKS_SECRET   # or file:/run/credentials/works; none for a public client
    domains: [example.com]            # whose verified e-mail opens an account; none: any
    create: true                      # make an account at the first sign-in
    user_claim: preferred_username
    roles:                            # the first that fits; each sign-in sets it anew
      - {claim: groups, value: plant-operators, role: operator}
      - {role: viewer}                # everybody else

Unknown keys are errors with their line. A secret is a reference, never a value.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from headrace.model.errors import ConfigError
from headrace.sdk.access import DEFAULT_TENANT

FILE_BYTES_MAX: Final = 256 * 1024
SECRET_BYTES_MAX: Final = 4096
PROVIDERS_MAX: Final = 20

Short = Annotated[str, Field(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RoleRule(_Strict):
    """`claim` absent: fits everybody. A claim fits where it is `value`, or a list with it."""

    role: Short
    tenant: Short = DEFAULT_TENANT
    claim: Short | None = None
    value: Short | None = None

    def fits(self, claims: Mapping[str, Any]) -> bool:
        if self.claim is None:
            return True
        said = claims.get(self.claim)
        return said == self.value or (isinstance(said, list) and self.value in said)


class ProviderConfig(_Strict):
    """`second_factor`: the provider asks for one itself, so we do not ask again."""

    name: str = Field(pattern=r"^[a-z][a-z0-9\-]{0,31}$")
    title: str = Field("", max_length=80)
    issuer: str = Field(max_length=500)
    client_id: Short
    client_secret: str | None = Field(None, pattern=r"^(env|file):.+")
    scopes: tuple[Short, ...] = ("openid", "profile", "email")
    user_claim: Short = "preferred_username"
    domains: tuple[Short, ...] = ()
    create: bool = False
    second_factor: bool = False
    roles: tuple[RoleRule, ...] = ()

    @field_validator("issuer")
    @classmethod
    def _issuer_is_safe(cls, issuer: str) -> str:
        check_address(issuer)
        if urlsplit(issuer).query or urlsplit(issuer).fragment:
            raise ValueError("an issuer has no query and no fragment")
        return issuer

    def secret(self) -> str | None:
        """Read when it is needed, so that it can be changed while we run. Raises: ConfigError."""
        if self.client_secret is None:
            return None
        kind, _, where = self.client_secret.partition(":")
        if kind == "env":
            found = os.environ.get(where, "")
        else:
            try:
                with Path(where).open("rb") as file:
                    found = file.read(SECRET_BYTES_MAX).decode("utf-8", "replace")
            except OSError as error:
                raise ConfigError(
                    f"the secret of the provider '{self.name}' cannot be read ({error.strerror})"
                ) from None
        if not found.strip():
            raise ConfigError(f"the secret of the provider '{self.name}' ({self.client_secret}) is empty")
        return found.strip()


class _File(_Strict):
    providers: tuple[ProviderConfig, ...] = Field(min_length=1, max_length=PROVIDERS_MAX)


def read_providers(path: Path) -> tuple[ProviderConfig, ...]:
    """Raises: ConfigError with file and line."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"the providers cannot be read ({error.strerror}); name another file with --sign-in", file=str(path)
        ) from None
    if len(text) > FILE_BYTES_MAX:
        raise ConfigError("the file is larger than 256 KiB; it lists a few providers", file=str(path))
    return parse_providers(text.decode("utf-8", "replace"), str(path))


def parse_providers(text: str, name: str) -> tuple[ProviderConfig, ...]:
    try:
        tree = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise ConfigError(f"this is no YAML: {error.problem}", file=name, line=line) from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"this is no YAML: {str(error)[:200]}", file=name) from None
    if not isinstance(tree, dict):
        raise ConfigError("the file begins with 'providers:' and lists them", file=name)
    try:
        providers = _File.model_validate(_plain(tree)).providers
    except ValidationError as error:
        raise _readable(error, tree, name) from None
    names = [one.name for one in providers]
    for at, one in enumerate(names):
        if one in names[:at]:
            raise ConfigError(
                f"there are two providers '{one}'", file=name, line=_line(tree, ("providers", at, "name"))
            )
    return providers


def check_address(url: str, *, like: str | None = None) -> str:
    """An address that we may ask: https, or plain HTTP on this very machine. `like`: an issuer on another machine may
    not send us to ours. Raises: ValueError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"'{url[:200]}' is no address") from None
    if not host or parts.username is not None or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise ValueError(f"'{url[:200]}' is no address of a provider")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback(host)):
        raise ValueError(f"'{url[:200]}' must be https; plain http is for this machine alone")
    if like is not None and loopback(host) and not loopback(urlsplit(like).hostname or ""):
        raise ValueError(f"'{url[:200]}' is this machine, and the issuer is another one")
    return url


def loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plain(tree: Any) -> Any:
    """Without the marks of the reader; bounded by the file."""
    if isinstance(tree, dict):
        return {str(key): _plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_plain(value) for value in tree]
    return tree


def _readable(error: ValidationError, tree: Any, name: str) -> ConfigError:
    found = error.errors()
    # A word that is not known is mostly a known one that is missing elsewhere: say the former.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = first["loc"]
    key = str(place[-1]) if place else ""
    if first["type"] == "extra_forbidden":
        shape: type[BaseModel] = RoleRule if "roles" in place else ProviderConfig if len(place) > 1 else _File
        near = difflib.get_close_matches(key, shape.model_fields, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"it takes {', '.join(shape.model_fields)}"
        return ConfigError(f"'{key}' is not known here; {hint}", file=name, line=_line(tree, place))
    said = "is missing" if first["type"] == "missing" else first["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in place)
    return ConfigError(f"{where}: {said}", file=name, line=_line(tree, place))


def _line(tree: Any, place: tuple[int | str, ...]) -> int | None:
    """Of the innermost part of `place` that the file has; counts from 1."""
    found = None
    for part in place:
        if not isinstance(tree, dict | list):
            break
        marks = getattr(tree, "lc", None)
        try:
            found = (marks.item(part) if isinstance(tree, list) else marks.key(part))[0] + 1  # type: ignore[union-attr]
            tree = tree[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return found
