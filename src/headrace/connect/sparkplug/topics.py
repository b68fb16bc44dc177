"""Topics of Sparkplug B. Source: Sparkplug 3.0.0 §4.

spBv1.0/<group>/<NBIRTH|NDATA|NDEATH|NCMD>/<node>
spBv1.0/<group>/<DBIRTH|DDATA|DDEATH|DCMD>/<node>/<device>
spBv1.0/STATE/<host>
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace.model.errors import DataError

NAMESPACE: Final = "spBv1.0"


class Verb(StrEnum):
    NBIRTH = "NBIRTH"
    NDATA = "NDATA"
    NDEATH = "NDEATH"
    NCMD = "NCMD"
    DBIRTH = "DBIRTH"
    DDATA = "DDATA"
    DDEATH = "DDEATH"
    DCMD = "DCMD"
    STATE = "STATE"

    @property
    def of_device(self) -> bool:
        return self in (Verb.DBIRTH, Verb.DDATA, Verb.DDEATH, Verb.DCMD)


_VERBS: Final = {verb.value: verb for verb in Verb}


@dataclass(frozen=True, slots=True)
class Topic:
    """For STATE `node` is the host and `group` empty."""

    verb: Verb
    group: str
    node: str
    device: str | None = None

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Raises: DataError."""
        parts = text.split("/")
        if len(parts) == 3 and parts[1] == Verb.STATE and parts[0] == NAMESPACE and parts[2]:
            return cls(Verb.STATE, "", parts[2])
        verb = _VERBS.get(parts[2]) if len(parts) in (4, 5) and parts[0] == NAMESPACE and all(parts) else None
        if verb is None or verb is Verb.STATE or verb.of_device != (len(parts) == 5):
            raise DataError(f"'{text[:200]}' is no topic of Sparkplug B")
        return cls(verb, parts[1], parts[3], parts[4] if len(parts) == 5 else None)

    def __str__(self) -> str:
        if self.verb is Verb.STATE:
            return f"{NAMESPACE}/STATE/{self.node}"
        device = "" if self.device is None else f"/{self.device}"
        return f"{NAMESPACE}/{self.group}/{self.verb}/{self.node}{device}"
