"""`make sbom`: what we ship, as CycloneDX 1.6, made from the locks: src/headrace/headrace.cdx.json.

    requirements.lock        version and hashes of every wheel  ─┐
    installed metadata       who needs whom, licences           ─┼─► components ─► JSON, the same bytes every time
    console/package-lock.json    what the console bundles       ─┘
    licences.toml            what is allowed, and what was unclear

Only what runs: not what develops or tests. A package that is needed on some system or Python only is in it, too. There
is no time in it unless SOURCE_DATE_EPOCH (s) gives one, and its serial number is made from its content.
Source: CycloneDX 1.6 (ECMA-424); package URLs; SPDX licence expressions. `--check` says whether it is stale.
"""

from __future__ import annotations

import base64
import datetime
import itertools
import json
import os
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from license_expression import ExpressionError, get_spdx_licensing
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
NPM_LOCK = ROOT / "console/package-lock.json"
TARGET = ROOT / "src/headrace/headrace.cdx.json"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LICENCES = tomllib.loads((ROOT / "tools/licences.toml").read_text("utf-8"))
EXTRAS = ("postgres", "iotdb", "nats", "kafka")
SPDX = get_spdx_licensing()
#: Where a package may run: a need counts if its marker holds in any of them.
ENVIRONMENTS = [
    {
        "python_version": python, "python_full_version": f"{python}.1", "sys_platform": system, "extra": "",
        "os_name": "nt" if system == "win32" else "posix", "platform_machine": "x86_64",
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system],
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }
    for python, system in itertools.product(("3.11", "3.12", "3.13", "3.14"), ("linux", "darwin", "win32"))
]  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One component as a lock and its metadata tell of it; `needs` are keys of others."""

    key: str
    name: str
    version: str
    licence: str
    purl: PackageURL
    hashes: tuple[tuple[HashAlgorithm, str], ...]
    needs: frozenset[str] = field(default_factory=frozenset)


def python_parts() -> dict[str, list[Part]]:
    """Name → its versions in the lock, for everything that headrace needs at run time. Raises: ValueError."""
    locked = _locked()
    wanted: dict[str, set[str]] = {}
    waiting = [Requirement(text) for text in PROJECT["dependencies"]]
    waiting += [Requirement(text) for extra in EXTRAS for text in PROJECT["optional-dependencies"][extra]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        need = waiting.pop()
        name, extras = canonicalize_name(need.name), frozenset(need.extras)
        if (name, extras) in seen or not _possible(need, frozenset()):
            continue
        seen.add((name, extras))
        if name not in locked:
            raise ValueError(f"{name} is needed but not in requirements.lock: run `make lock`")
        further = [text for text in _requires(name) if _possible(text, extras)]
        wanted.setdefault(name, set()).update(canonicalize_name(each.name) for each in further)
        waiting += [Requirement(str(each).partition(";")[0]) for each in further]
    return {
        name: [
            Part(
                f"pypi:{name}@{version}", name, version, python_licence(name), PackageURL("pypi", None, name, version),
                tuple((HashAlgorithm.SHA_256, digest) for digest in digests),
                frozenset(f"pypi:{other}@{each}" for other in needs for each, _ in locked[other]),
            )
            for version, digests in locked[name]
        ]
        for name, needs in sorted(wanted.items())
    }  # fmt: skip


def console_parts() -> list[Part]:
    """What the console's bundle is made from. Raises: ValueError for a package without a licence."""
    packages = json.loads(NPM_LOCK.read_text("utf-8"))["packages"]
    runtime = {
        path: entry for path, entry in packages.items() if path and not (entry.get("dev") or entry.get("devOptional"))
    }
    parts = []
    for path, entry in sorted(runtime.items()):
        name = entry.get("name") or path.rpartition("node_modules/")[2]
        scope, _, bare = name.rpartition("/")
        digest = base64.b64decode(entry["integrity"].removeprefix("sha512-")).hex()
        needs = {_resolved(path, need, runtime) for need in {**entry.get("dependencies", {})}}
        parts.append(
            Part(
                f"npm:{path}", name, entry["version"], str(SPDX.parse(entry["license"], validate=True)),
                PackageURL("npm", scope or None, bare, entry["version"]), ((HashAlgorithm.SHA_512, digest),),
                frozenset(f"npm:{need}" for need in needs if need),
            )
        )  # fmt: skip
    return parts


def python_licence(name: str) -> str:
    """An SPDX expression from the metadata, or from licences.toml. Raises: ValueError where neither says."""
    if name in LICENCES["read"]:
        return str(LICENCES["read"][name])
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        raise ValueError(f"{name} is not installed here; write its licence into tools/licences.toml") from None
    said = [told.get("License-Expression"), told.get("License")]
    said += [line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or [] if line.startswith("License ::")]
    for text in said:
        spelled = LICENCES["spelled"].get(text, text)
        try:
            if spelled and len(spelled) < 300:
                return str(SPDX.parse(spelled, validate=True))
        except ExpressionError:
            continue
    raise ValueError(f"the licence of {name} is unclear ({said}); read it, and write it into tools/licences.toml")


def forbidden(expression: str, *, beside: bool) -> list[str]:
    """The licences that stand in the way of an expression; none where it is allowed. `beside`: not bundled."""
    allowed = {*LICENCES["allowed"], *(LICENCES["beside"] if beside else ())}

    def refused(node: Any) -> list[str]:
        if isinstance(node, SPDX.OR):
            parts = [refused(part) for part in node.args]
            return [] if [] in parts else sorted(itertools.chain.from_iterable(parts))
        if isinstance(node, SPDX.AND):
            return sorted(itertools.chain.from_iterable(refused(part) for part in node.args))
        return [] if str(node) in allowed else [str(node)]

    return refused(SPDX.parse(expression, validate=True))


def document() -> str:
    """The whole bill, as JSON with sorted keys."""
    python, console = python_parts(), console_parts()
    bom = Bom()
    bom.metadata.timestamp = _moment()
    direct = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    direct |= {canonicalize_name(Requirement(t).name) for e in EXTRAS for t in PROJECT["optional-dependencies"][e]}
    root = _component(
        Part("headrace", "headrace", PROJECT["version"], PROJECT["license"], _ours("pypi", "headrace"), ()),
        ComponentType.APPLICATION,
    )
    page = _component(
        Part(
            "console", "headrace-console", PROJECT["version"], PROJECT["license"], _ours("npm", "headrace-console"), ()
        ),
        ComponentType.APPLICATION,
    )
    parts = [*itertools.chain.from_iterable(python.values()), *console]
    made = {part.key: _component(part, ComponentType.LIBRARY) for part in parts}
    bom.metadata.component = root
    for component in (page, *made.values()):
        bom.components.add(component)
    for part in parts:
        bom.register_dependency(made[part.key], [made[need] for need in sorted(part.needs) if need in made])
    ours = [made[part.key] for name in sorted(direct) for part in python[name]]
    bom.register_dependency(root, [page, *ours])
    top = json.loads(NPM_LOCK.read_text("utf-8"))["packages"][""]["dependencies"]
    bom.register_dependency(page, [made[f"npm:node_modules/{name}"] for name in top])
    bom.serial_number = uuid.UUID(int=0)
    first = _rendered(bom)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"headrace:{first}")
    return _rendered(bom)


def _rendered(bom: Bom) -> str:
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
    return json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _component(part: Part, kind: ComponentType) -> Component:
    symbols = list(SPDX.license_symbols(SPDX.parse(part.licence), unique=True))
    simple = len(symbols) == 1 and " " not in part.licence
    return Component(
        name=part.name, version=part.version, type=kind, purl=part.purl, bom_ref=str(part.purl),
        licenses=[DisjunctiveLicense(id=part.licence) if simple else LicenseExpression(part.licence)],
        # of every file that the lock allows: wheels for other systems, and the source
        hashes=[HashType(alg=algorithm, content=digest) for algorithm, digest in part.hashes],
    )  # fmt: skip


def _ours(kind: str, name: str) -> PackageURL:
    return PackageURL(kind, None, name, PROJECT["version"])


def _locked() -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for block in re.split(r"\n(?=\S)", LOCK.read_text("utf-8")):
        head, *hashes = [line.strip().rstrip("\\").strip() for line in block.splitlines() if line.strip()]
        need = Requirement(head)
        digests = tuple(sorted(line.removeprefix("--hash=sha256:") for line in hashes))
        found.setdefault(canonicalize_name(need.name), []).append((str(next(iter(need.specifier)).version), digests))
    return found


def _requires(name: str) -> Iterator[Requirement]:
    try:
        yield from map(Requirement, metadata.requires(name) or ())
    except metadata.PackageNotFoundError:  # of another system; those have no needs of their own
        return


def _possible(need: Requirement, extras: frozenset[str]) -> bool:
    return need.marker is None or any(
        need.marker.evaluate({**environment, "extra": extra})
        for environment in ENVIRONMENTS
        for extra in (extras or {""})
    )


def _resolved(path: str, need: str, packages: dict[str, Any]) -> str | None:
    while True:
        candidate = f"{path}/node_modules/{need}" if path else f"node_modules/{need}"
        if candidate in packages:
            return candidate
        if not path:
            return None
        path = path.rpartition("/node_modules/")[0] if "/node_modules/" in path else ""


def _moment() -> datetime.datetime | None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC) if epoch else None


def main() -> int:
    text = document()
    if "--check" in sys.argv:
        if not TARGET.exists() or TARGET.read_text("utf-8") != text:
            print(f"{TARGET.relative_to(ROOT)} is not what the locks say: run `make sbom`", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text, "utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}: {len(json.loads(text)['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
