"""Modules of an app out of memory: its process opens no file.

    app.py, stops/parse.py    ─► the_app.app, the_app.stops.parse       from .stops import parse
    one of this platform's    ─► headrace.apps.energy.app, …

Files that are no modules are read with `pkgutil.get_data(__package__ or __name__, "factors.toml")`.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Final

PACKAGE: Final = "the_app"
ROOT: Final = "/app/"
"""Where the files of an app seem to lie, in tracebacks and `__file__`."""


@dataclass(frozen=True, slots=True)
class _Module:
    file: str
    source: bytes
    is_package: bool


class AppImporter(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Put it on `sys.meta_path`."""

    def __init__(self, sources: Mapping[str, bytes], package: str = PACKAGE) -> None:
        """`sources` by their path in the app's folder, which is `package`."""
        self._sources = sources
        self._modules = _modules(sources, package)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        module = self._modules.get(fullname)
        if module is None:
            return None
        spec = importlib.util.spec_from_loader(fullname, self, origin=ROOT + module.file, is_package=module.is_package)
        if spec is not None:
            spec.has_location = True
        return spec

    def is_package(self, fullname: str) -> bool:
        return self._modules[fullname].is_package

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._modules[fullname].source)

    def get_code(self, fullname: str) -> CodeType:
        module = self._modules[fullname]
        code: CodeType = compile(module.source, ROOT + module.file, "exec", dont_inherit=True)
        return code

    def get_data(self, path: str) -> bytes:
        """A file of the app. Raises: OSError, as loaders do."""
        try:
            return self._sources[path.removeprefix(ROOT)]
        except KeyError:
            raise FileNotFoundError(path) from None


def _modules(sources: Mapping[str, bytes], package: str) -> dict[str, _Module]:
    found: dict[str, _Module] = {}
    for file, source in sources.items():
        if not file.endswith(".py"):
            continue
        *folders, last = file.removesuffix(".py").split("/")
        is_package = last == "__init__"
        name = ".".join([package, *folders, *([] if is_package else [last])])
        found[name] = _Module(file, source, is_package)
        for depth in range(len(folders) + 1):
            at = "/".join([*folders[:depth], "__init__.py"])
            if at not in sources:
                found.setdefault(".".join([package, *folders[:depth]]), _Module(at, b"", True))
    return found
