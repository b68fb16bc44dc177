"""The plant as declared, with every template expanded: what the platform reconciles the running system to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.model.alarms import AlarmRule
from headrace.model.assets import Asset, AssetType
from headrace.model.calculations import Calculation
from headrace.model.ingest import IngestMap
from headrace.model.notifications import Channel, Contact, Notification, Roster
from headrace.model.outlets import Outlet
from headrace.model.points import Point, Title
from headrace.model.retention import Retention


@dataclass(frozen=True, slots=True)
class Connection:
    """One session with one device or server. `settings` are the driver's own and validated by it.

    `edge` names the edge that runs it; '' is the platform itself.
    """

    name: str
    driver: str
    settings: Mapping[str, Any]
    title: Title = field(default_factory=dict)
    enabled: bool = True
    edge: str = ""


@dataclass(frozen=True, slots=True)
class PlantModel:
    """Everything by its key. `revision` grows by one with each applied change.

    `calculations` are those of calculated points, by path.
    """

    revision: int = 0
    types: Mapping[str, AssetType] = field(default_factory=dict)
    connections: Mapping[str, Connection] = field(default_factory=dict)
    assets: Mapping[str, Asset] = field(default_factory=dict)
    points: Mapping[str, Point] = field(default_factory=dict)
    alarms: Mapping[str, AlarmRule] = field(default_factory=dict)
    retention: Mapping[str, Retention] = field(default_factory=dict)
    ingest: Mapping[str, IngestMap] = field(default_factory=dict)
    outlets: Mapping[str, Outlet] = field(default_factory=dict)
    calculations: Mapping[str, Calculation] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    contacts: Mapping[str, Contact] = field(default_factory=dict)
    rosters: Mapping[str, Roster] = field(default_factory=dict)
    notifications: Mapping[str, Notification] = field(default_factory=dict)
