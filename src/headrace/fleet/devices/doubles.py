"""One credential in two places: a device and its copy are told from a device that moved.

    admitted from A ─► B while A is online ─► A while B is ─► B …    each is a switch; three in two minutes: a copy
    admitted from A ─► gone ─► B ─► gone ─► A                        a device on the move: no switch

Behind one address two copies look like one device that reconnects; a gateway counts those as taken over. Source: IEC
62443-4-2 CR 1.5 RE 1 (a copied key shows itself), NDR 3.12.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

SWITCHES: Final = 3
WITHIN_S: Final = 120.0
DEVICES_MAX: Final = 10_000


@dataclass(slots=True)
class _Seen:
    peer: str
    switches_s: deque[float] = field(default_factory=lambda: deque(maxlen=SWITCHES))


class Doubles:
    def __init__(self) -> None:
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self.count = 0

    def came(self, login: str, peer: str, online: bool, now_s: float) -> bool:
        """Whether this makes it a copy. `online`: a connection of the device stood already; `now_s` is monotonic."""
        seen = self._seen.setdefault(login, _Seen(peer))
        self._seen.move_to_end(login)
        if len(self._seen) > DEVICES_MAX:
            self._seen.popitem(last=False)
        moved, seen.peer = seen.peer != peer, peer
        if not moved or not online:
            return False
        seen.switches_s.append(now_s)
        if len(seen.switches_s) < SWITCHES or now_s - seen.switches_s[0] > WITHIN_S:
            return False
        seen.switches_s.clear()
        self.count += 1
        return True
