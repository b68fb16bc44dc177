"""What devices in quarantine send, and who was turned away: bounded, in memory, for the person who decides."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.devices import Preview
from headrace.sdk.fleet import Refusal

TOPICS_MAX: Final = 8
PAYLOAD_BYTES_MAX: Final = 512
TOPIC_CHARACTERS_MAX: Final = 512
REFUSALS_MAX: Final = 100


class Previews:
    """The newest message of each of the newest few topics of a device."""

    def __init__(self) -> None:
        self._held: dict[str, OrderedDict[str, Preview]] = {}

    def __iter__(self) -> Iterator[str]:
        """Names of the devices."""
        return iter(self._held)

    def take(self, device: str, preview: Preview) -> None:
        topic = preview.topic[:TOPIC_CHARACTERS_MAX]
        topics = self._held.setdefault(device, OrderedDict())
        topics[topic] = replace(preview, topic=topic, payload=bytes(preview.payload[:PAYLOAD_BYTES_MAX]))
        topics.move_to_end(topic)
        if len(topics) > TOPICS_MAX:
            topics.popitem(last=False)

    def of(self, device: str) -> Sequence[Preview]:
        """Newest first."""
        return list(reversed(self._held.get(device, {}).values()))

    def forget(self, device: str) -> None:
        self._held.pop(device, None)


class Refusals:
    """One entry a login and peer, the longest silent forgotten first; a tenant's apart, by whose gateway it was."""

    def __init__(self) -> None:
        self._by_tenant: dict[str, OrderedDict[tuple[str, str], Refusal]] = {}

    def note(self, login: str, gateway: str, peer: str, reason: str, now_ns: int, tenant: str = DEFAULT_TENANT) -> None:
        shown = "".join(one if one.isprintable() else "�" for one in login[:96])
        key = (shown, peer)
        held = self._by_tenant.setdefault(tenant, OrderedDict[tuple[str, str], Refusal]())
        known = held.get(key)
        count, first_ns = (known.count + 1, known.first_ns) if known is not None else (1, now_ns)
        held[key] = Refusal(shown, gateway, peer, reason, count, first_ns, now_ns)
        held.move_to_end(key)
        if len(held) > REFUSALS_MAX:
            held.popitem(last=False)

    def forget(self, login: str, tenant: str = DEFAULT_TENANT) -> None:
        """Somebody has seen to it."""
        held = self._by_tenant.get(tenant) or OrderedDict[tuple[str, str], Refusal]()
        for key in [key for key in held if key[0] == login]:
            del held[key]

    def list(self, tenant: str | None = None) -> Sequence[Refusal]:
        """Newest first; of a tenant's gateways, or of all."""
        held = [one for name, own in self._by_tenant.items() if tenant in (None, name) for one in own.values()]
        held.reverse()  # of two at one moment the later one first
        return sorted(held, key=lambda one: -one.last_ns)
