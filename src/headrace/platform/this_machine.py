"""Under which names and addresses this machine is reached: what its own certificate has to say.

hostname, localhost ─┐
--allow-host, --host ├─► Names
private addresses ───┘   where it listens on all of them; public ones come and go, and are named with --allow-host
"""

from __future__ import annotations

import ipaddress
import socket

import psutil

from headrace.access.web_authority import Names, is_private
from headrace.platform.settings import Settings

_EVERYWHERE = ("0.0.0.0", "::", "")
ADDRESSES_MAX = 64


def names_of(settings: Settings) -> Names:
    """As they are now. Raises: ConfigError for a name that is none."""
    found = [socket.gethostname(), "localhost", "127.0.0.1", "::1", *settings.hosts]
    found += local_addresses() if settings.host in _EVERYWHERE else [settings.host]
    return Names.of(found)


def local_addresses() -> list[str]:
    """Private ones of all interfaces that are up."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = []
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            if name in up and one.family in (socket.AF_INET, socket.AF_INET6):
                address = ipaddress.ip_address(one.address.partition("%")[0])
                if is_private(address) and not address.is_loopback:
                    found.append(str(address))
    return sorted(set(found))[:ADDRESSES_MAX]
