"""What a tenant may declare: its own paths and names, on its own edges, and no more than was agreed.

    declared ──► paths below its roots? ─► names that begin with its own? ─► edges its own? ─► run on the hub: allowed?
                        └───────────────────────┴────────── no: a problem with file and line ──────┘

A single plant has one tenant, which owns everything, and nothing here says anything.
Source: IEC 62443-3-3 SR 5.1 (partitioning), SR 7.1 and 7.2 (a bound for each, so that nobody starves the others).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.model.retention import CLASSES_MAX
from headrace.registry.declared import Declared, Key
from headrace.registry.problems import Problems, Where
from headrace.sdk.access import DEFAULT_TENANT, Tenants
from headrace.sdk.services import SourceFile
from headrace.sdk.tenancy import Ground, HubPolicy, OnHub, nothing_on_hub

#: Kinds whose names are one space on the hub, in words.
_NAMED: Final = {
    "retention": "retention class",
    "connection": "connection",
    "ingest": "ingest map",
    "outlet": "outlet",
    "channel": "channel",
    "contact": "contact",
    "roster": "roster",
    "notification": "notification",
}


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """As much as a tenant may declare. `points` are those after templates are filled in."""

    files: int = 2_000
    objects: int = 100_000
    points: int = 200_000
    connections: int = 2_000
    outlets: int = 50
    channels: int = 50
    contacts: int = 2_000
    notifications: int = 200
    retention_classes: int = 4


class Borders:
    """Of one tenant. `classes_of_others` counts the retention classes that others declared: history keeps few.

    The platform's own tenant has no `limits`: it is bounded by its machine.
    """

    def __init__(
        self, tenants: Tenants, tenant: str = DEFAULT_TENANT, *, limits: TenantLimits | None = None,
        on_hub: HubPolicy = nothing_on_hub, classes_of_others: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        self._tenants, self._tenant, self._limits = tenants, tenant, limits
        self._on_hub, self._classes_of_others = on_hub, classes_of_others

    def check(self, declared: Mapping[Key, Declared], problems: Problems) -> None:
        """What is not this tenant's to declare goes to `problems`."""
        for _ in self._wrong(declared, problems):
            pass

    def inside(self, declared: Mapping[Key, Declared], problems: Problems) -> Mapping[Key, Declared]:
        """The same, and what is left: for what was stored under other rules."""
        wrong = set(self._wrong(declared, problems))
        return {key: one for key, one in declared.items() if key not in wrong} if wrong else declared

    def outside(self, declared: Mapping[Key, Declared]) -> Sequence[Key]:
        """What is not this tenant's to declare."""
        return self._wrong(declared, Problems())

    def is_too_much(
        self, files: Sequence[SourceFile], declared: Mapping[Key, Declared], problems: Problems
    ) -> bool:  # fmt: skip
        """Counted before anything is expanded: a template and a long list of assets make millions of points."""
        before = len(problems)
        self._count_classes(declared, problems)
        limits = self._limits
        if limits is not None:
            kinds = [kind for kind, _ in declared]
            for what, count, most in (
                ("files", len(files), limits.files),
                ("declared objects", len(declared), limits.objects),
                ("points", _points(declared, limits.points), limits.points),
                ("connections", kinds.count("connection"), limits.connections),
                ("outlets", kinds.count("outlet"), limits.outlets),
                ("channels", kinds.count("channel"), limits.channels),
                ("contacts", kinds.count("contact"), limits.contacts),
                ("notifications", kinds.count("notification"), limits.notifications),
                ("retention classes", kinds.count("retention"), limits.retention_classes),
            ):
                if count > most:
                    problems.add(
                        Where(""),
                        f"tenant '{self._tenant}' may have {most:,} {what}, and this would be more ({count:,}); "
                        "declare less, or ask the platform's operator for more",
                    )
        return len(problems) > before

    # --- within -----------------------------------------------------------------------------------------------------

    def _wrong(self, declared: Mapping[Key, Declared], problems: Problems) -> list[Key]:
        if self._tenant == DEFAULT_TENANT and len(self._tenants.names()) == 1:
            return []
        ground, wrong = Ground(self._tenants, self._tenant), []
        for key, one in declared.items():
            complaints = [*self._complaints(ground, one)]
            for where, message in complaints:
                problems.add(where, message)
            if complaints:
                wrong.append(key)
        return wrong

    def _complaints(self, ground: Ground, one: Declared) -> list[tuple[Where, str]]:
        found: list[tuple[Where, str | None]] = []
        if one.kind in ("asset", "point"):
            found.append((one.where, ground.path_complaint(one.key)))
        elif one.kind == "alarm":
            found.append((one.where, ground.path_complaint(one.key.rpartition(":")[0])))
        elif one.kind in _NAMED:
            found.append((one.where, ground.name_complaint(_NAMED[one.kind], one.key)))
        elif one.kind == "type" and ground.is_default:  # types of tenants stand under such names where all are listed
            found.append((one.where, ground.name_complaint("type", one.key)))
        if one.kind in ("connection", "outlet", "channel"):
            found.append(self._place(ground, one))
        return [(where, message) for where, message in found if message is not None]

    def _place(self, ground: Ground, one: Declared) -> tuple[Where, str | None]:
        edge = one.spec.get("edge", "")
        if edge:
            return one.at("edge"), ground.name_complaint("edge", edge)
        if ground.is_default or self._on_hub(_asked(ground.tenant, one)):
            return one.where, None
        if one.kind == "connection":
            return one.where, "a connection of a tenant runs on one of its edges; set 'edge:'"
        article = "an outlet" if one.kind == "outlet" else "a channel"
        return one.where, f"{article} of a tenant would run on the hub; ask the platform's operator to allow it"

    def _count_classes(self, declared: Mapping[Key, Declared], problems: Problems) -> None:
        own = [one for (kind, _), one in declared.items() if kind == "retention"]
        others = self._classes_of_others() if own else 0
        if others and len(own) + others > CLASSES_MAX:
            problems.add(
                max(one.where for one in own),
                f"history keeps at most {CLASSES_MAX} retention classes, all tenants together, and "
                f"{max(CLASSES_MAX - others, 0)} are left for these {len(own)}; use fewer",
            )


def _asked(tenant: str, one: Declared) -> OnHub:
    protocol: Any = one.spec.get({"connection": "driver", "channel": "kind"}.get(one.kind, "protocol"), "")
    return OnHub(tenant, one.kind, one.key, protocol, one.spec.get("settings", {}))


def _points(declared: Mapping[Key, Declared], enough: int) -> int:
    """As expansion will make them, or a few more where overrides stand alone; no further than past `enough`."""
    sizes = {key: len(one.spec.get("points", {})) for (kind, key), one in declared.items() if kind == "type"}
    count = 0
    for (kind, _), one in declared.items():
        if kind == "point":
            count += 1
        elif kind == "asset":
            count += sizes.get(one.spec.get("type", ""), 0)
        if count > enough:
            break
    return count
