"""What the register of devices and edges stands on, small and honest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.model.errors import ConfigError, ConfigErrors, Unavailable
from headrace.model.plant import PlantModel
from headrace.sdk.services import Plan, SourceFile


class Audit:
    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str, Mapping[str, Any]]] = []
        self.tenants: list[str] = []

    async def record(
        self, actor: str, action: str, subject: str, outcome: str, data: Mapping[str, Any] | None = None,
        *, tenant: str = "default",
    ) -> None:  # fmt: skip
        self.tenants.append(tenant)
        self.entries.append((actor, action, subject, outcome, dict(data or {})))

    @property
    def actions(self) -> list[str]:
        return [entry[1] for entry in self.entries]


class NoDeclarations:
    """A registry that nobody may apply to."""

    async def model(self) -> PlantModel:
        return PlantModel()

    async def model_of(self, tenant: str) -> PlantModel:
        return PlantModel()

    async def plan(self, files: Sequence[SourceFile], *, prune: bool = True, tenant: str = "default") -> Plan:
        return Plan(0, (), (ConfigError("nothing can be declared here"),))

    async def apply(
        self, files: Sequence[SourceFile], *, actor: str, prune: bool = True, revision: int | None = None,
        tenant: str = "default",
    ) -> tuple[Plan, PlantModel]:  # fmt: skip
        raise ConfigErrors([ConfigError("nothing can be declared here")])

    async def export(self, *, tenant: str = "default") -> Sequence[SourceFile]:
        raise Unavailable("nothing is declared here")
