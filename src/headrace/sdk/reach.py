"""Where this process may connect to, and listen, on behalf of a declaration.

declared host, port ──resolve──► addresses ──judge each──► targets ──► the socket goes to one of them, never to the name
                                     └ nowhere allowed: Refused, which says what to declare

A name is resolved once and the connection goes to the address that was judged: an answer that changes in between
(DNS rebinding) changes nothing. Whatever the spelling (`0x7f.1`, `2130706433`, `::ffff:127.0.0.1`): the address counts.

| who                            | may call                                                                      |
|--------------------------------|-------------------------------------------------------------------------------|
| nobody                         | `NEVER`: link-local, metadata of clouds, multicast, unspecified, reserved     |
| nobody                         | the ports of this platform's own servers, on any address of this machine      |
| the platform's own tenant      | everything else; with `--reach`, only what is listed                          |
| any other tenant               | only what is listed for it; it listens nowhere here                           |

Sources: RFC 6890 (special addresses), RFC 4291 §2.5.5 and RFC 6052 (IPv4 within IPv6); IEC 62443-3-3 SR 5.2 (deny by
default, allow by exception).
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from headrace.model.errors import ConfigError, Refused, Unreachable
from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.tenancy import OnHub

PRIVILEGED_BELOW: Final = 1024

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: What no declaration may call, and why.
NEVER: Final[Sequence[tuple[_Network, str]]] = tuple(
    (ipaddress.ip_network(network), why)
    for network, why in (
        ("169.254.0.0/16", "link-local, where clouds keep the credentials of this machine"),
        ("fe80::/10", "link-local, where clouds keep the credentials of this machine"),
        ("fd00:ec2::254/128", "where a cloud keeps the credentials of this machine"),
        ("fd20:ce::254/128", "where a cloud keeps the credentials of this machine"),
        ("fd00:c1::a9fe:a9fe/128", "where a cloud keeps the credentials of this machine"),
        ("100.100.100.200/32", "where a cloud keeps the credentials of this machine"),
        ("168.63.129.16/32", "where a cloud keeps the settings of this machine"),
        ("192.0.0.192/32", "where a cloud keeps the credentials of this machine"),
        ("224.0.0.0/4", "multicast"),
        ("ff00::/8", "multicast"),
        ("0.0.0.0/8", "unspecified"),
        ("::/128", "unspecified"),
        ("240.0.0.0/4", "reserved"),
    )
)
_CARRIES_IPV4: Final = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (
        ("::ffff:0:0/96", 0),
        ("::/96", 0),
        ("64:ff9b::/96", 0),
        ("64:ff9b:1::/48", 0),
        ("2002::/16", 80),
    )
)
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NAME_MAX: Final = 253
_ADDRESSES_MAX: Final = 16

SocketAddress = tuple[Any, ...]
Resolve = Callable[[str, int], Awaitable[Sequence[tuple[int, SocketAddress]]]]
"""Family and socket address of each address of a name. Raises: OSError, UnicodeError, ValueError."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address that may be called: `family` and `address` are what a socket takes; `host` is it as text."""

    family: int
    address: SocketAddress

    @property
    def host(self) -> str:
        return str(self.address[0])


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of `--reach`: a network, or a name, with one port or all."""

    network: _Network | None
    name: str
    port: int | None

    def covers(self, name: str, address: _Address, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is None:
            return self.name == name
        return self.network.version == address.version and address in self.network


class Reaches:
    """The policies of all tenants; `platform/` has one. `occupy` names the ports of its own servers."""

    def __init__(
        self, entries: Iterable[str] = (), resolve: Resolve | None = None, own_tenant: str = DEFAULT_TENANT
    ) -> None:
        """`entries` as `--reach` gives them: `[tenant=]network|host[:port]`. Raises: ConfigError."""
        self._own_tenant, self._resolve = own_tenant, resolve or system_resolve
        self._allowed: dict[str, list[Allowed]] = {}
        for entry in entries:
            tenant, equals, rest = entry.rpartition("=")
            self._allowed.setdefault(tenant if equals else own_tenant, []).append(parse_allowed(rest))
        self._own_ports: set[int] = set()

    def occupy(self, port: int) -> None:
        """From now on a port of this platform's own: nobody calls it, and no declaration listens there."""
        self._own_ports.add(port)

    def of(self, tenant: str) -> Reach:
        allowed = self._allowed.get(tenant)
        if allowed is None and tenant != self._own_tenant:
            allowed = []
        prefix = "" if tenant == self._own_tenant else f"{tenant}="
        return Reach(allowed, self._own_ports, self._resolve, prefix)

    def on_hub(self, asked: OnHub) -> bool:
        """Implements `sdk.tenancy.HubPolicy`: what is a tenant's runs here where something is listed for it."""
        return asked.tenant == self._own_tenant or asked.tenant in self._allowed


class Reach:
    """The policy of one tenant. Without arguments: all but what nobody may call."""

    def __init__(
        self,
        allowed: Sequence[Allowed] | None = None,
        own_ports: set[int] | None = None,
        resolve: Resolve | None = None,
        prefix: str = "",
    ) -> None:
        self._allowed, self._own_ports = allowed, own_ports if own_ports is not None else set()
        self._resolve, self._prefix = resolve or system_resolve, prefix

    async def targets(self, host: str, port: int) -> Sequence[Target]:
        """The addresses of a declared host that may be called, in the resolver's order, at least one.

        Raises: Unreachable where the name is not known; Refused where none of its addresses may be called.
        """
        name = normal_name(host)
        if not name or not 0 < port < 65_536:
            raise Refused(f"'{host[:80]}:{port}' is no host and port that can be called")
        try:
            found = await self._resolve(name, port)
        except OSError as error:
            reason = error.strerror or "no such name"
            raise Unreachable(f"'{host[:80]}' is not known here: {reason}", detail=repr(error)) from None
        except (UnicodeError, ValueError):
            raise Refused(f"'{host[:80]}' is no name of a host: correct it in the declaration") from None
        targets, why = [], f"'{host[:80]}' has no address"
        for family, address in list(found)[:_ADDRESSES_MAX]:
            forbidden = self._forbidden(name, address, port)
            if not forbidden:
                targets.append(Target(family, address))
            else:
                why = forbidden
        if not targets:
            raise Refused(f"'{host[:80]}:{port}' is not called: {why}")
        return targets

    def check_listening(self, host: str, port: int) -> None:
        """Whether a declaration may listen there; 0 takes any free port. Raises: Refused."""
        if self._prefix:
            raise Refused(
                f"a tenant's gateway or server runs at an edge of its own, and does not listen on {host}:{port}"
            )
        if 0 < port < PRIVILEGED_BELOW:
            raise Refused(
                f"no declaration listens on {host}:{port}: ports below {PRIVILEGED_BELOW} belong to the system; "
                f"take one from {PRIVILEGED_BELOW} on"
            )
        if port in self._own_ports:
            raise Refused(f"no declaration listens on {host}:{port}: it is a port of the platform itself; take another")

    def _forbidden(self, name: str, address: SocketAddress, port: int) -> str:
        """Why an address may not be called; empty where it may."""
        try:
            given = ipaddress.ip_address(str(address[0]).partition("%")[0])
        except ValueError:
            return f"{address[0]} is no internet address"
        inside = carried(given)
        for judged in inside:
            for network, why in NEVER:
                if judged.version == network.version and judged in network:
                    return f"{given} is {why}; no declaration may call it"
        if self._allowed is not None and not any(
            one.covers(name, judged, port) for one in self._allowed for judged in inside
        ):
            shown = f"[{given}]" if given.version == 6 else str(given)
            return (
                f"{given} is not on the list of what may be called; "
                f"start the platform with --reach {self._prefix}{shown}:{port} if it should be"
            )
        if port in self._own_ports and any(_is_ours(judged) for judged in inside):
            return "that is a port of the platform itself"
        return ""


async def system_resolve(host: str, port: int) -> Sequence[tuple[int, SocketAddress]]:
    """As the machine resolves names."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(int(family), address) for family, _, _, _, address in found]


def is_loopback(host: str) -> bool:
    """Whether a host as it is written is this machine; a name is not looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def normal_name(host: str) -> str:
    """Lower case, without brackets and the dot of the root."""
    name = host.strip().lower()
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return name.removesuffix(".")


def carried(address: _Address) -> Sequence[_Address]:
    """The address, and the IPv4 address within it (mapped, compatible, NAT64, 6to4, Teredo)."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    number = int(address)
    inner = [
        ipaddress.IPv4Address(number >> shift & 0xFFFF_FFFF)
        for network, shift in _CARRIES_IPV4
        if address in network and number > 1  # ::1 is loopback, not 0.0.0.1
    ]
    if address.teredo is not None:
        inner += address.teredo
    return (address, *inner)


def parse_allowed(text: str) -> Allowed:
    """`10.0.0.0/8`, `10.0.0.7`, `10.0.0.7:502`, `[fd00::7]:502`, `plc.acme.example[:502]`. Raises: ConfigError."""
    host, port_text = text.strip(), ""
    if host.startswith("["):
        host, bracket, port_text = host[1:].partition("]")
        if not bracket or (port_text and not port_text.startswith(":")):
            raise _no_entry(text)
        port_text = port_text[1:]
    elif host.count(":") == 1:
        host, _, port_text = host.partition(":")
        if not port_text:
            raise _no_entry(text)
    port = None
    if port_text:
        if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text[:6]) < 65_536):
            raise _no_entry(text)
        port = int(port_text)
    try:
        return Allowed(ipaddress.ip_network(host), "", port)
    except ValueError:
        name = normal_name(host)
    labels = name.split(".")
    if len(name) > _NAME_MAX or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise _no_entry(text)
    return Allowed(None, name, port)


def _no_entry(text: str) -> ConfigError:
    return ConfigError(
        f"--reach '{text[:80]}' is neither a network nor a host: write 10.0.0.0/8, 10.0.0.7:502 or plc.acme.example:502"
    )


def _is_ours(address: _Address) -> bool:
    """Whether it is an address of this machine: only such a one can be bound."""
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
