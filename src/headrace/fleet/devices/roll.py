"""All devices in memory, by each way of finding one, so that admitting costs no query.

by name · by login · by certificate          one dictionary each; names and logins share one space
sorted names, folded texts                   made when a page is asked for after a change
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from headrace.fleet.devices.records import Device
from headrace.model.errors import Conflict, NotFound
from headrace.sdk.devices import DeviceState
from headrace.sdk.fleet import DevicePage


class Roll:
    def __init__(self, devices: Iterable[Device] = ()) -> None:
        self._by_name: dict[str, Device] = {}
        self._by_login: dict[str, Device] = {}
        self._by_certificate: dict[str, Device] = {}
        self._states: Counter[DeviceState] = Counter()
        self._sorted: list[str] | None = None
        self.version = 0  # grows with every change
        for device in devices:
            self.put(device)

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Device]:
        return iter(self._by_name.values())

    def find(self, name: str) -> Device | None:
        return self._by_name.get(name)

    def of_login(self, login: str) -> Device | None:
        return self._by_login.get(login)

    def get(self, name: str) -> Device:
        """Raises: NotFound."""
        device = self._by_name.get(name)
        if device is None:
            raise NotFound(f"there is no device '{name[:96]}'; `headrace device list` shows all")
        return device

    def shown(self, certificate: str | None, login: str) -> Device | None:
        """Who shows this: by certificate before login."""
        found = self._by_certificate.get(certificate) if certificate is not None else None
        return found if found is not None else self.of_login(login)

    def waiting(self) -> int:
        """How many are in quarantine."""
        return self._states[DeviceState.QUARANTINED]

    def check_free(self, name: str, login: str, certificate: str | None, but: Device | None = None) -> None:
        """Raises: Conflict where another device has this name, login or certificate."""
        for word in dict.fromkeys((name, login)):
            for other in (self._by_name.get(word), self._by_login.get(word)):
                if other is not None and other is not but:
                    raise Conflict(f"'{word}' is in use: there is a device '{other.name}' that shows '{other.login}'")
        other = self._by_certificate.get(certificate) if certificate is not None else None
        if other is not None and other is not but:
            raise Conflict(f"this certificate is that of device '{other.name}' already")

    def put(self, device: Device, old: Device | None = None) -> None:
        order = self._sorted
        self.version += 1
        if old is not None:
            self.drop(old)
        self._by_name[device.name] = device
        self._by_login[device.login] = device
        if device.certificate is not None:
            self._by_certificate[device.certificate] = device
        self._states[device.state] += 1
        self._sorted = order if old is not None and old.name == device.name else None

    def drop(self, device: Device) -> None:
        self.version += 1
        del self._by_name[device.name]
        del self._by_login[device.login]
        if device.certificate is not None:
            del self._by_certificate[device.certificate]
        self._states[device.state] -= 1
        self._sorted = None

    def page(self, state: DeviceState | None, words: Sequence[str], limit: int, after: str | None) -> DevicePage:
        """`after` is the last name of the page before. Words are folded; a device fits where all are in its texts."""
        names = self._sorted
        if names is None:
            names = self._sorted = sorted(self._by_name)
        if state is None and not words:
            fitting = names
        else:
            fitting = [name for name in names if self._fits(self._by_name[name], state, words)]
        start = 0 if after is None else bisect_right(fitting, after)
        shown = fitting[start : start + limit]
        more = start + limit < len(fitting)
        records = [self._by_name[name].record for name in shown]
        return DevicePage(records, len(fitting), self.counts(), shown[-1] if more and shown else None)

    def counts(self) -> Mapping[str, int]:
        online = sum(device.life.online for device in self._by_name.values())
        return {**{state.value: self._states[state] for state in DeviceState}, "online": online}

    @staticmethod
    def _fits(device: Device, state: DeviceState | None, words: Sequence[str]) -> bool:
        if state is not None and device.state is not state:
            return False
        life = device.life
        return all(word in device.words or word in life.gateway.casefold() or word in life.peer for word in words)
