"""Versions that run on workers, seen from the platform that takes what they make.

    result, and which source made it ─► is that version wanted, of that source? ─► may it make that point?
        ├─ active: into history, with the others     ├─ shadow: aside, compared       └─ else: counted, not taken

Whoever can write to the NATS server can tell results: so each is held against what was declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.compute.streams.comparing import Aside
from headrace.compute.streams.engine import Made
from headrace.compute.streams.register import Stage, Version
from headrace.compute.streams.rows import NEVER
from headrace.model.batch import Batch
from headrace.model.errors import DataError
from headrace.model.points import check_path
from headrace.sdk.access import Tenants
from headrace.sdk.computing import StreamRun
from headrace.sdk.store import SampleStore
from headrace.sdk.stream import StreamFunction, from_description
from headrace.sdk.stream_points import Places
from headrace.sdk.tenancy import Ground, tenant_of_name

Key = tuple[str, str, Stage]
NOT_FED: Final = "nobody feeds the workers: start the platform with --stream-nats"


@dataclass(slots=True)
class Shared:
    """A version on workers. `may` remembers which paths are its own, and their handles here."""

    version: Version
    places: Places
    ground: Ground
    aside: Aside = field(default_factory=Aside)
    may: dict[str, int | None] = field(default_factory=dict)
    outputs: int = 0
    newest_ns: int = NEVER


class Elsewhere:
    """`state` says why nothing comes; empty while workers are fed and what they make is taken."""

    def __init__(self, store: SampleStore) -> None:
        self._store = store
        self._shared: dict[Key, Shared] = {}
        self.state = NOT_FED
        self.refused = 0  # samples that no version on workers may tell

    def become(self, versions: Sequence[Version], tenants: Tenants) -> None:
        """These, and no others."""
        wanted = {(one.name, one.version, one.stage): one for one in versions if one.declared is not None}
        self._shared = {
            key: known
            if (known := self._shared.get(key)) is not None and known.version == one
            else Shared(one, Places(_declared(one)), Ground(tenants, tenant_of_name(tenants, one.name)))
            for key, one in wanted.items()
        }

    def forget(self) -> None:
        """Tenants have changed: what belongs to whom is asked anew."""
        self._shared = {}

    def runs(self) -> Mapping[Key, StreamRun]:
        return {
            key: StreamRun(
                running=not self.state, waiting=0, counters={"outputs": one.outputs}, stopped=0, halted=False,
                lateness_ns=one.places.function.lateness_ns,
                newest_ns=one.newest_ns if one.newest_ns > NEVER else None, error=self.state,
            )
            for key, one in self._shared.items()
        }  # fmt: skip

    def asides(self) -> Mapping[Key, Aside]:
        return {key: one.aside for key, one in self._shared.items()}

    async def admit(
        self, name: str, version: str, sha256: str, paths: Mapping[int, str], batches: Sequence[Batch]
    ) -> list[Batch]:
        """What is to be stored of these results, with handles of ours. `paths`: what handles mean in them."""
        one = next(
            (self._shared[key] for stage in Stage if (key := (name, version, stage)) in self._shared), None
        )  # fmt: skip
        if one is None or one.version.sha256 != sha256 or one.version.stage is Stage.RETIRED:
            self.refused += sum(map(len, batches))
            return []
        await self._learn(one, {paths[handle] for batch in batches for handle in np.unique(batch.handles).tolist()})
        taken: list[Batch] = []
        for batch in batches:
            ours, which = np.unique(batch.handles, return_inverse=True)
            numbers = np.array([-1 if (at := one.may[paths[h]]) is None else at for h in ours.tolist()], np.int64)
            good = numbers[which] >= 0
            good &= self._right_kind(one, [paths[h] for h in ours.tolist()], batch)[which]
            self.refused += int((~good).sum())
            if good.any():
                kept = batch.take(good)
                handles = numbers[which][good].astype(np.uint32)
                taken.append(Batch(kept.kind, handles, kept.source_ns, kept.received_ns, kept.values, kept.quality))
                one.outputs += len(kept)
                one.newest_ns = max(one.newest_ns, int(kept.source_ns.max()))
        await one.aside.put([_made(batch, self._store.paths()) for batch in taken])
        return taken if one.version.stage is Stage.ACTIVE else []

    async def _learn(self, one: Shared, paths: set[str]) -> None:
        new = sorted(path for path in paths if path not in one.may)
        own = [path for path in new if one.places.output_of(path) and one.ground.owns(path) and _is_path(path)]
        one.may.update(dict.fromkeys(new))
        if own:
            one.may.update(zip(own, (await self._store.register(own)).tolist(), strict=True))

    def _right_kind(self, one: Shared, paths: Sequence[str], batch: Batch) -> NDArray[np.bool_]:
        outputs = one.places.function.outputs
        right = [
            (name := one.places.output_of(path)) is not None and outputs[name].kind is batch.kind for path in paths
        ]
        return np.array(right, np.bool_)


def _made(batch: Batch, paths: Mapping[int, str]) -> Made:
    handles, which = np.unique(batch.handles, return_inverse=True)
    return Made(
        batch.kind, [paths[at] for at in handles.tolist()], which, batch.source_ns, batch.values, batch.quality
    )  # fmt: skip


def _is_path(path: str) -> bool:
    try:
        return check_path(path) == path
    except DataError:
        return False


def _declared(one: Version) -> StreamFunction:
    return from_description(one.declared or {}, _on_workers)


def _on_workers(*_: object) -> None:
    raise DataError("this function runs on workers")
