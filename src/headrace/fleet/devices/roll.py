"""All devices in memory, by each way of finding one, so that admitting costs no query.

by name · by login · by certificate          one dictionary each; names and logins share one space
sorted names, folded texts                   made when a page is asked for after a change
`<tenant>.…`                                 names of a tenant's devices stand together in that order
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from headrace.fleet.devices.records import Device
from headrace.model.errors import Conflict, NotFound
from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.devices import DeviceState
from headrace.sdk.fleet import DevicePage

_NONE: Final[Counter[DeviceState]] = Counter()


class Roll:
    def __init__(self, devices: Iterable[Device] = ()) -> None:
        self._by_name: dict[str, Device] = {}
        self._by_login: dict[str, Device] = {}
        self._by_certificate: dict[str, Device] = {}
        self._states: dict[str, Counter[DeviceState]] = {}  # by tenant
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

    def get(self, name: str, tenant: str | None = None) -> Device:
        """Raises: NotFound, in the same words for one of another tenant as for one that never was."""
        device = self._by_name.get(name)
        if device is None or tenant not in (None, device.tenant):
            raise NotFound(f"there is no device '{name[:96]}'; `headrace device list` shows all")
        return device

    def shown(self, certificate: str | None, login: str) -> Device | None:
        """Who shows this: by certificate before login."""
        found = self._by_certificate.get(certificate) if certificate is not None else None
        return found if found is not None else self.of_login(login)

    def waiting(self, tenant: str) -> int:
        """How many of a tenant are in quarantine."""
        return self._states.get(tenant, _NONE)[DeviceState.QUARANTINED]

    def count(self, tenant: str) -> int:
        """How many a tenant has."""
        return self._states.get(tenant, _NONE).total()

    def check_free(
        self, name: str, login: str, certificate: str | None, but: Device | None = None,
        *, tenant: str = DEFAULT_TENANT,
    ) -> None:  # fmt: skip
        """Raises: Conflict where another device has this name, login or certificate; it names none but `tenant`'s."""
        for word in dict.fromkeys((name, login)):
            for other in (self._by_name.get(word), self._by_login.get(word)):
                if other is not None and other is not but:
                    if other.tenant != tenant:
                        raise Conflict(f"'{word}' is in use")
                    raise Conflict(f"'{word}' is in use: there is a device '{other.name}' that shows '{other.login}'")
        other = self._by_certificate.get(certificate) if certificate is not None else None
        if other is not None and other is not but:
            if other.tenant != tenant:
                raise Conflict("this certificate is that of another device already")
            raise Conflict(f"this certificate is that of device '{other.name}' already")

    def put(self, device: Device, old: Device | None = None) -> None:
        order = self._sorted
        self.version += 1
        if old is not None:
            self.drop(old)
        self._by_name[device.name] = device
        self._by_login[device.login] = device
        for certificate in (device.certificate, device.next_certificate):
            if certificate is not None:
                self._by_certificate[certificate] = device
        self._states.setdefault(device.tenant, Counter())[device.state] += 1
        self._sorted = order if old is not None and old.name == device.name else None

    def drop(self, device: Device) -> None:
        self.version += 1
        del self._by_name[device.name]
        del self._by_login[device.login]
        for certificate in (device.certificate, device.next_certificate):
            if certificate is not None:
                self._by_certificate.pop(certificate, None)
        self._states[device.tenant][device.state] -= 1
        self._sorted = None

    def page(
        self, state: DeviceState | None, words: Sequence[str], limit: int, after: str | None, tenant: str | None = None
    ) -> DevicePage:
        """Of a tenant, or of all. `after` is the last name of the page before. Words are folded; a device fits where
        all are in its texts."""
        names = self._sorted
        if names is None:
            names = self._sorted = sorted(self._by_name)
        names = self._of_tenant(names, tenant)
        if state is None and not words:
            fitting = names
        else:
            fitting = [name for name in names if self._fits(self._by_name[name], state, words)]
        start = 0 if after is None else bisect_right(fitting, after)
        shown = fitting[start : start + limit]
        more = start + limit < len(fitting)
        records = [self._by_name[name].record for name in shown]
        return DevicePage(records, len(fitting), self._counts(names, tenant), shown[-1] if more and shown else None)

    def _of_tenant(self, names: list[str], tenant: str | None) -> list[str]:
        if tenant is None or self.count(tenant) == len(names):
            return names
        if tenant == DEFAULT_TENANT:
            return [name for name in names if self._by_name[name].tenant == tenant]
        return names[bisect_left(names, f"{tenant}.") : bisect_left(names, f"{tenant}/")]  # '/' follows '.'

    def _counts(self, names: Sequence[str], tenant: str | None) -> Mapping[str, int]:
        held = [counter for name, counter in self._states.items() if tenant in (None, name)]
        online = sum(self._by_name[name].life.online for name in names)
        return {**{state.value: sum(counter[state] for counter in held) for state in DeviceState}, "online": online}

    @staticmethod
    def _fits(device: Device, state: DeviceState | None, words: Sequence[str]) -> bool:
        if state is not None and device.state is not state:
            return False
        life = device.life
        return all(word in device.words or word in life.gateway.casefold() or word in life.peer for word in words)
