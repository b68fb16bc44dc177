"""What a run came to, checked against the store itself and not only against counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from headrace.sdk.services import AlarmDesk

if TYPE_CHECKING:
    from headrace.platform.platform import Platform

PROBED_POINTS = 50


async def run_report(platform: Platform, began_s: float) -> dict[str, Any]:
    """Keys: first_sample_s, points, samples, samples_per_s, alarms, rss_mb, lost, history_ok."""
    now_s = platform.clock.monotonic_s()
    first_s = platform.pipeline.first_sample_s
    samples = platform.pipeline.stored + platform.pipeline.taken
    running_s = now_s - first_s if first_s is not None else 0.0
    return {
        "first_sample_s": round(first_s - began_s, 2) if first_s is not None else None,
        "points": len(platform.reconciler.directory.handles),
        "samples": samples,
        "samples_per_s": round(samples / running_s, 1) if running_s > 0 else 0.0,
        "alarms": await _alarms_raised(platform.alarms, platform.started_ns),
        "rss_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
        "lost": platform.pipeline.quarantined,
        "history_ok": await history_agrees(platform),
    }


async def history_agrees(platform: Platform) -> bool:
    """The newest stored sample of a spread of points is the live one or at most a commit behind it, and raw agrees."""
    handles = np.array(sorted(platform.reconciler.directory.handles.values()), np.uint32)
    if len(handles) == 0 or platform.pipeline.stored + platform.pipeline.taken == 0:
        return False
    probed = handles[:: max(1, len(handles) // PROBED_POINTS)]
    newest = await platform.store.latest(probed)
    for batch in newest:
        for row in range(len(batch)):
            handle, time_ns = batch.handles[row : row + 1], int(batch.source_ns[row])
            page = await platform.store.raw(handle, time_ns, time_ns + 1)
            if sum(len(one) for one in page.batches) != 1:
                return False
            if not page.batches[0].same_as(batch.take(slice(row, row + 1))):
                return False
    stats = await platform.store.stats()
    return (
        sum(len(batch) for batch in newest) > 0 and stats.appended == platform.pipeline.stored + platform.pipeline.taken
    )


async def _alarms_raised(alarms: AlarmDesk, since_ns: int) -> int:
    """Annunciated since the start, counted over every page."""
    count, cursor = 0, None
    while True:
        page = await alarms.history(start_ns=since_ns, limit=1000, cursor=cursor)
        count += sum(transition.annunciates for transition in page.transitions)
        cursor = page.next_cursor
        if cursor is None:
            return count
