"""Assets: nodes of the equipment hierarchy. Source: IEC 62264-1 (ISA-95) §5.3; people and products are assets too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from headrace.model.points import Title


class Level(StrEnum):
    ENTERPRISE = "enterprise"
    SITE = "site"
    AREA = "area"
    LINE = "line"
    CELL = "cell"
    EQUIPMENT = "equipment"
    COMPONENT = "component"
    PERSON = "person"
    PRODUCT = "product"


@dataclass(frozen=True, slots=True)
class Asset:
    """A node. Its parent is the path before the last `/`; `type` names the AssetType it was made from, if any.

    `feeds` are assets that it supplies (air, power, material): where it fails, they follow.
    """

    path: str
    level: Level = Level.EQUIPMENT
    title: Title = field(default_factory=dict)
    type: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    feeds: tuple[str, ...] = ()

    @property
    def parent(self) -> str | None:
        head, slash, _ = self.path.rpartition("/")
        return head if slash else None


@dataclass(frozen=True, slots=True)
class AssetType:
    """A versioned template as it stands after expansion: which points and alarms its assets carry.

    `parameters` are what an asset may say, with their defaults.
    """

    name: str
    version: int
    title: Title = field(default_factory=dict)
    points: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
