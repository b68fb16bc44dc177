"""Versions of stream functions: which runs, which runs beside it, which ran before. One folder, readable by people.

    add ─► shadow ─ promote ─► active ─ promote of another ─► retired ─ roll back ─► active
             └─ retire ─► retired                                 place: hub, workers

    <home>/streams/register.json                what is wanted: written anew and renamed, never in part
    <home>/streams/journal.jsonl                who did what, when, and why; appended and synced
    <home>/streams/<name>/<version>.py          the source as it was added; its SHA-256 is in the register
    <home>/streams/<name>/<version>.onnx        its model, where it has one; the source has its SHA-256
    <home>/streams/<name>/<version>.state       its state, kept while it is retired: a roll back goes on from there

A version is never changed. The platform looks at the register and makes what runs be what is wanted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from headrace.compute.streams.keeping import write
from headrace.compute.streams.placing import HUB
from headrace.model.errors import Conflict, DataError, NotFound
from headrace.model.time import format_time

_NAME: Final = re.compile(r"\w[\w.-]{0,99}")


class Stage(StrEnum):
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Version:
    """`on`: where it runs, `placing.py`. `declared`: its declaration (`sdk.stream.described`), told by a cell when it
    was added; None for one that an older program took up. `model`: SHA-256 of its model; '' where it has none."""

    name: str
    version: str
    stage: Stage
    sha256: str
    added: str
    by: str
    before: str = ""  # the version that was active before this one
    on: str = HUB
    declared: Mapping[str, Any] | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class _Act:
    time: str
    who: str
    act: str
    name: str
    version: str
    why: str


@dataclass(slots=True)
class Register:
    """Of one home. `now_ns` is passed in with every act."""

    folder: Path
    _known: dict[str, dict[str, Version]] = field(default_factory=dict)

    def versions(self) -> list[Version]:
        """By name, in the order in which they were added. Raises: DataError."""
        self._read()
        return [one for versions in self._known.values() for one in versions.values()]

    def active(self, name: str) -> Version | None:
        self._read()
        return next((one for one in self._known.get(name, {}).values() if one.stage is Stage.ACTIVE), None)

    def source(self, one: Version) -> str:
        """Raises: DataError where it is not what was added."""
        try:
            data = self._path(one, ".py").read_bytes()
        except OSError as error:
            raise DataError(
                f"the source of {one.name} {one.version} cannot be read; add it again", detail=str(error)
            ) from None
        if hashlib.sha256(data).hexdigest() != one.sha256:
            raise DataError(f"the source of {one.name} {one.version} was changed on disk; add it as a new version")
        return data.decode()

    def model(self, one: Version) -> bytes:
        """Empty where it has none. Raises: DataError where it is not what was added."""
        if not one.model:
            return b""
        try:
            data = self._path(one, ".onnx").read_bytes()
        except OSError as error:
            raise DataError(
                f"the model of {one.name} {one.version} cannot be read; add it again", detail=str(error)
            ) from None
        if hashlib.sha256(data).hexdigest() != one.model:
            raise DataError(f"the model of {one.name} {one.version} was changed on disk; add it as a new version")
        return data

    def state_file(self, one: Version) -> Path:
        return self._path(one, ".state")

    def add(
        self, name: str, version: str, source: str, *, who: str, now_ns: int, on: str = HUB,
        declared: Mapping[str, Any] | None = None, model: bytes = b"",
    ) -> Version:  # fmt: skip
        """It runs as a shadow from now on. Raises: Conflict for a version that is there with other source or model."""
        for text in (name, version):
            if not _NAME.fullmatch(text):
                raise DataError(f"'{text[:60]}' cannot be a name or version here")
        self._read()
        digest, of_model = (hashlib.sha256(one).hexdigest() for one in (source.encode(), model))
        of_model = of_model if model else ""
        known = self._known.setdefault(name, {}).get(version)
        if known is not None:
            if (known.sha256, known.model) != (digest, of_model):
                what = "source" if known.sha256 != digest else "model"
                raise Conflict(f"{name} has a version {version} with another {what}; give this one a new version")
            return known
        made = Version(name, version, Stage.SHADOW, digest, format_time(now_ns), who, on=on, declared=declared)
        made = replace(made, model=of_model)
        if model:
            write(self._path(made, ".onnx"), model)
        write(self._path(made, ".py"), source.encode())
        self._set(made)
        self._keep("add", made, who, now_ns, "")
        return made

    def promote(self, name: str, version: str, *, who: str, now_ns: int, why: str = "") -> Version:
        """The active version is retired; its state stays. Raises: NotFound; Conflict where it is active already."""
        one, former = self._find(name, version), self.active(name)
        if one.stage is Stage.ACTIVE:
            raise Conflict(f"{name} {version} is active already")
        if former is not None:
            self._set(replace(former, stage=Stage.RETIRED))
        promoted = replace(one, stage=Stage.ACTIVE, before="" if former is None else former.version)
        self._set(promoted)
        self._keep("promote", promoted, who, now_ns, why)
        return promoted

    def roll_back(self, name: str, *, who: str, now_ns: int, why: str = "") -> Version:
        """The version before goes on from its own state. Raises: NotFound where there is none."""
        current = self.active(name)
        if current is None or not current.before:
            raise NotFound(f"{name} has no version before the one that runs")
        restored = replace(self._find(name, current.before), stage=Stage.ACTIVE)
        self._set(replace(current, stage=Stage.RETIRED))
        self._set(restored)
        self._keep("roll back", restored, who, now_ns, why)
        return restored

    def retire(self, name: str, version: str, *, who: str, now_ns: int, why: str = "") -> Version:
        """It stops. Raises: NotFound."""
        retired = replace(self._find(name, version), stage=Stage.RETIRED)
        self._set(retired)
        self._keep("retire", retired, who, now_ns, why)
        return retired

    def place(self, name: str, version: str, on: str, *, who: str, now_ns: int, why: str = "") -> Version:
        """It runs there from now on. Raises: NotFound; Conflict where it does already."""
        one = self._find(name, version)
        if one.on == on:
            raise Conflict(f"{name} {version} runs on {on} already")
        placed = replace(one, on=on)
        self._set(placed)
        self._keep("place", placed, who, now_ns, f"on {on}{': ' if why else ''}{why}")
        return placed

    def describe(self, one: Version, declared: Mapping[str, Any]) -> None:
        """For a version that an older program took up: what its source declares."""
        self._set(replace(self._find(one.name, one.version), declared=declared))
        self._write()

    def find(self, name: str, version: str) -> Version:
        """Raises: NotFound."""
        return self._find(name, version)

    def journal(self) -> list[dict[str, str]]:
        """Oldest first."""
        try:
            lines = (self.folder / "journal.jsonl").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def _find(self, name: str, version: str) -> Version:
        self._read()
        try:
            return self._known[name][version]
        except KeyError:
            known = ", ".join(self._known.get(name, {})) or "none"
            raise NotFound(f"there is no version {version} of a stream function {name}; known: {known}") from None

    def _set(self, one: Version) -> None:
        self._known.setdefault(one.name, {})[one.version] = one

    def _read(self) -> None:
        try:
            found: list[dict[str, Any]] = json.loads((self.folder / "register.json").read_bytes())
            self._known = {}
            for one in found:
                self._set(Version(**{**one, "stage": Stage(one["stage"])}))
        except FileNotFoundError:
            self._known = {}
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{self.folder / 'register.json'} is damaged; its journal says what it held", detail=str(error)
            ) from None

    def _keep(self, act: str, one: Version, who: str, now_ns: int, why: str) -> None:
        """What was done is written down before it is done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(_Act(format_time(now_ns), who, act, one.name, one.version, why)), ensure_ascii=False)
        with (self.folder / "journal.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._write()

    def _write(self) -> None:
        every = [asdict(one) for versions in self._known.values() for one in versions.values()]
        write(self.folder / "register.json", json.dumps(every, indent=1, ensure_ascii=False).encode())

    def _path(self, one: Version, suffix: str) -> Path:
        return self.folder / one.name / f"{one.version}{suffix}"
