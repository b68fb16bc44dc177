"""Where declarations may take secrets from: they name a secret, and whoever runs the platform says which can be named.

    env:BROKER_PASSWORD     a variable of this process, but for the platform's own (HEADRACE_…)
    file:erp                a file in one of the folders of secrets, in the first that has one of that name
    file:/run/secrets/erp   the same by its whole path, wherever links lead

Whoever may declare an outlet chooses who receives a secret. So a reference opens nothing else of this machine: not the
keys and the local token in the home, nor any other file that this process can read. A tenant other than the platform's
own has a folder of its own and no variables.
Source: IEC 62443-3-3 SR 4.1 (confidentiality), SR 2.1 (least privilege); CWE-73.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.model.errors import Refused
from headrace.sdk.access import DEFAULT_TENANT

OURS: Final = "HEADRACE_"
SECRET_BYTES_MAX: Final = 64 * 1024
#: Where systemd and containers put what a service is given.
_USUAL: Final = (Path("/run/secrets"),)


@dataclass(frozen=True, slots=True)
class References:
    """`folders` are those that `file:` may name files of; `variables` says whether `env:` is open."""

    folders: tuple[Path, ...] = ()
    variables: bool = True

    @classmethod
    def of(cls, home: Path, more: Sequence[Path] = (), tenant: str = DEFAULT_TENANT) -> References:
        """Those of a tenant: `<home>/secrets`, what systemd hands over, `/run/secrets`, and the folders named by
        `--secrets`; of another tenant `<home>/secrets/<tenant>` alone."""
        own = home / "secrets"
        if tenant != DEFAULT_TENANT:
            return cls((own / tenant,), variables=False)
        handed = os.environ.get("CREDENTIALS_DIRECTORY")
        return cls((own, *([Path(handed)] if handed else []), *_USUAL, *more))

    def read(self, reference: str) -> str:
        """The secret that is referred to. Raises: Refused, naming the reference, never the value."""
        scheme, _, rest = reference.partition(":")
        return self._variable(reference, rest) if scheme == "env" else self._file(reference, Path(rest))

    def _variable(self, reference: str, name: str) -> str:
        if not self.variables:
            raise Refused(f"{reference} is of the platform's operator; put the secret into a file and refer to that")
        if name.upper().startswith(OURS):
            raise Refused(f"{reference} is the platform's own; give what declarations use another name")
        value = os.environ.get(name)
        if value is None:
            raise Refused(f"the password refers to {reference}, and that variable is not set; set it and restart")
        return value

    def _file(self, reference: str, path: Path) -> str:
        try:
            if not path.is_absolute() and self.folders:
                whole = [folder / path for folder in self.folders]
                path = next((one for one in whole if one.exists()), whole[0])
            real = path.resolve(strict=True)
            if not any(real.is_relative_to(folder.resolve()) for folder in self.folders):
                raise Refused(
                    f"{reference} is in no folder of secrets; put it into {self.folders[0] if self.folders else 'one'}"
                    ", or start with --secrets and its folder"
                )
            with real.open("rb") as file:
                data = file.read(SECRET_BYTES_MAX + 1)
            if len(data) > SECRET_BYTES_MAX:
                raise Refused(f"{reference} is larger than {SECRET_BYTES_MAX} bytes; that is no secret")
            return data.decode().rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise Refused(f"the password refers to {reference}, which cannot be read: {reason}") from None
