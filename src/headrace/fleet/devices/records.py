"""A device as the register holds it: what was decided about it, and the life that goes on beside."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.fleet.devices.topics import ANYTHING, filled
from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.devices import Admission, DeviceState
from headrace.sdk.fleet import DeviceRecord


@dataclass(slots=True)
class Life:
    """Moves with every connection and message; shared by the versions of a device, and saved every few seconds."""

    gateway: str = ""
    peer: str = ""
    online: bool = False
    first_seen_ns: int | None = None
    last_seen_ns: int | None = None
    messages: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """Replaced as a whole when somebody decides anew; `admission` is ready for the door, `words` for a search."""

    name: str
    login: str
    state: DeviceState
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    secret: str | None = field(default=None, repr=False)  # as `credentials.keep` made it
    next_secret: str | None = field(default=None, repr=False)
    certificate: str | None = None
    next_certificate: str | None = None  # at an edge alone; here `papers.py` has those that were not shown yet
    messages_per_s: float | None = None
    asset: str = ""
    note: str = ""
    created_by: str = ""
    created_ns: int = 0
    tenant: str = DEFAULT_TENANT
    life: Life = field(default_factory=Life, compare=False)
    admission: Admission = field(init=False, compare=False, repr=False)
    words: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        waits = self.state is DeviceState.QUARANTINED
        publish = ANYTHING if waits else filled(self.publish, self.login)
        subscribe = () if waits else filled(self.subscribe, self.login)
        admission = Admission(self.login, self.state, publish, subscribe, self.messages_per_s)
        object.__setattr__(self, "admission", admission)
        words = "\n".join(dict.fromkeys((self.name, self.login, self.asset, self.note)))
        object.__setattr__(self, "words", words.casefold())

    @property
    def record(self) -> DeviceRecord:
        life = self.life
        return DeviceRecord(
            name=self.name,
            login=self.login,
            state=self.state,
            publish=self.publish,
            subscribe=self.subscribe,
            messages_per_s=self.messages_per_s,
            certificate=self.certificate,
            rotating=self.next_secret is not None,
            asset=self.asset,
            note=self.note,
            gateway=life.gateway,
            peer=life.peer,
            online=life.online,
            created_by=self.created_by,
            created_ns=self.created_ns,
            first_seen_ns=life.first_seen_ns,
            last_seen_ns=life.last_seen_ns,
            messages=life.messages,
            refused=life.refused,
            tenant=self.tenant,
        )
