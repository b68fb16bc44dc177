"""A small OPC UA server for tests and trials: a variable of every type, values set at will, faults on request.

    async with SimulatedServer() as server:
        await server.set("Double", 21.5)                    # or with a status and a source time of its own
        await server.change(1000)                           # count up 1,000 variables; see `counters`

    python -m headrace.connect.drivers.opcua.simulator --port 4840 --counters 100

Loopback only. Nodes are `ns=2;s=<name>` in namespace `urn:headrace:simulator`.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager

from headrace.connect.drivers.opcua.channel import quiet_asyncua
from headrace.connect.drivers.opcua.lean import LeanInternalServer
from headrace.connect.drivers.opcua.trust import fingerprint_of, own_certificate

NAMESPACE: Final = "urn:headrace:simulator"
_EPOCH: Final = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_V: Final = ua.VariantType

VARIABLES: Final[Mapping[str, tuple[Any, Any]]] = {
    "Boolean": (_V.Boolean, True),
    "SByte": (_V.SByte, -128),
    "Byte": (_V.Byte, 255),
    "Int16": (_V.Int16, -32768),
    "UInt16": (_V.UInt16, 65535),
    "Int32": (_V.Int32, -(2**31)),
    "UInt32": (_V.UInt32, 2**32 - 1),
    "Int64": (_V.Int64, -(2**63)),
    "UInt64": (_V.UInt64, 2**63 - 1),
    "Float": (_V.Float, 0.10000000149011612),
    "Double": (_V.Double, -0.1),
    "String": (_V.String, "油温 °C"),
    "LocalizedText": (_V.LocalizedText, ua.LocalizedText("Pump running", "en")),
    "DateTime": (_V.DateTime, _EPOCH),
    "Guid": (_V.Guid, None),
    "ByteString": (_V.ByteString, b"\x00\xff"),
    "Doubles": (_V.Double, [1.5, 2.5, -3.5]),
    "Strings": (_V.String, ["a", "乙", ""]),
    "Setpoint": (_V.Double, 100.0),
    "SetpointFloat": (_V.Float, 1.5),
    "SetpointInt16": (_V.Int16, 7),
    "SetpointText": (_V.String, "idle"),
    "SetpointTime": (_V.DateTime, _EPOCH),
}
"""Name to type and first value. Those that begin with Setpoint can be written."""


class _Users(UserManager):  # type: ignore[misc]
    def __init__(self, passwords: Mapping[str, str] | None) -> None:
        self._passwords = passwords

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        del iserver, certificate
        if self._passwords is None:
            return User(role=UserRole.User)
        known = username is not None and self._passwords.get(username) == password
        return User(role=UserRole.User, name=username) if known else None


class SimulatedServer:
    """`state_dir` gives it a certificate and secure endpoints; `passwords` closes it to anonymous users.

    `subscriptions` is how many it grants in all, `items_per_call` how many monitored items it takes in one call.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        counters: int = 0,
        state_dir: Path | None = None,
        passwords: Mapping[str, str] | None = None,
        subscriptions: int | None = None,
        items_per_call: int | None = None,
    ) -> None:
        self.port = port
        self.fingerprint = ""
        self.counters = counters
        self._state_dir, self._passwords = state_dir, passwords
        self._subscriptions, self._items_per_call = subscriptions, items_per_call
        self._server: Any = None
        self._namespace = 0
        self._count = 0
        self._nodes: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/headrace/simulator"

    @property
    def subscription_sizes(self) -> list[int]:
        """Monitored items of each subscription that clients hold now."""
        service = self._server.iserver.subscription_service
        return [len(one.monitored_item_srv._monitored_items) for one in service.subscriptions.values()]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        quiet_asyncua()
        server = self._server = Server(LeanInternalServer(user_manager=_Users(self._passwords)))
        server.disable_clock()  # stopping would wait for it
        await server.init()
        server.set_endpoint(self.url)
        server.set_server_name("Headrace simulator")
        await self._secure(server)
        self._namespace = await server.register_namespace(NAMESPACE)
        await self._fill(server)
        self._limit(server)
        await server.start()
        self.port = server.bserver.port

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None

    def node(self, name: str) -> str:
        return f"ns={self._namespace};s={name}"

    async def set(
        self,
        name: str,
        value: Any,
        *,
        status: int = 0,
        source_time: datetime | None = None,
        server_time: datetime | None = None,
        variant_type: Any = None,
    ) -> None:
        """A new value; `variant_type` other than the variable's own makes a server that lies about its types."""
        kind = variant_type or VARIABLES[name][0]
        attributes = self._server.iserver.aspace._nodes[self._nodes[name]].attributes
        attributes[ua.AttributeIds.Value].value = None  # asyncua compares a new value's type with the old one's
        variant = ua.Variant(value, kind) if value is not None else ua.Variant(None, _V.Null)
        await self._server.write_attribute_value(
            self._nodes[name], ua.DataValue(variant, ua.StatusCode(status), source_time, server_time)
        )

    def get(self, name: str) -> Any:
        return self._server.read_attribute_value(self._nodes[name]).Value.Value

    async def change(self, count: int) -> int:
        """Give `count` counters their next value, which is returned; all of them have the same source time."""
        self._count += 1
        now = datetime.now(UTC)
        write = self._server.iserver.aspace.write_attribute_value
        for number in range(count):
            value = ua.DataValue(ua.Variant(float(self._count), _V.Double), ua.StatusCode(0), now, now)
            await write(self._counter(number), ua.AttributeIds.Value, value)
        return self._count

    def _counter(self, number: int) -> Any:
        return self._nodes[f"Counter{number}"]

    async def _fill(self, server: Any) -> None:
        objects, namespace = server.nodes.objects, self._namespace
        folder = await objects.add_folder(ua.NodeId("Types", namespace), ua.QualifiedName("Types", namespace))
        for name, (kind, value) in VARIABLES.items():
            await self._add(folder, name, kind, value)
            if name.startswith("Setpoint"):
                await server.get_node(self._nodes[name]).set_writable()
        unit = ua.EUInformation("http://www.opcfoundation.org/UA/units/un/cefact", 0x43454C, ua.LocalizedText("°C"))
        await server.get_node(self._nodes["Double"]).add_property(0, "EngineeringUnits", unit)
        if self.counters:
            many = await objects.add_folder(ua.NodeId("Counters", namespace), ua.QualifiedName("Counters", namespace))
            for number in range(self.counters):
                await self._add(many, f"Counter{number}", _V.Double, 0.0)

    async def _add(self, folder: Any, name: str, kind: Any, value: Any) -> None:
        node = ua.NodeId(name, self._namespace)
        initial = ua.Variant(value, kind) if value is not None else ua.Variant(None, _V.Null)
        await folder.add_variable(
            node, ua.QualifiedName(name, self._namespace), initial, datatype=ua.NodeId(kind.value)
        )
        self._nodes[name] = node

    async def _secure(self, server: Any) -> None:
        policies = [ua.SecurityPolicyType.NoSecurity]
        if self._state_dir is not None:
            own = await asyncio.to_thread(own_certificate, self._state_dir, datetime.now(UTC))
            await server.set_application_uri(own.application_uri)
            server.iserver.certificate, server.iserver.private_key = own.certificate, own.key
            self.fingerprint = fingerprint_of(uacrypto.der_from_x509(own.certificate))
            policies = [kind for kind in ua.SecurityPolicyType if "Sha256" in kind.name] + policies
        server.set_security_policy(policies)
        tokens: Sequence[type] = (ua.UserNameIdentityToken,) if self._passwords else (ua.AnonymousIdentityToken,)
        server.set_identity_tokens(list(tokens))

    def _limit(self, server: Any) -> None:
        service = server.iserver.subscription_service
        create_subscription, create_items = service.create_subscription, service.create_monitored_items
        granted = 0

        async def limited_subscription(*args: Any, **keywords: Any) -> Any:
            nonlocal granted
            if self._subscriptions is not None and granted >= self._subscriptions:
                raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
            granted += 1
            return await create_subscription(*args, **keywords)

        async def limited_items(params: Any, *args: Any, **keywords: Any) -> Any:
            if self._items_per_call is not None and len(params.ItemsToCreate) > self._items_per_call:
                raise ServiceError(ua.StatusCodes.BadTooManyOperations)
            return await create_items(params, *args, **keywords)

        service.create_subscription, service.create_monitored_items = limited_subscription, limited_items


async def _serve(port: int, counters: int, interval_s: float) -> None:
    async with SimulatedServer(port, counters=counters) as server:
        print(f"{server.url} (Ctrl-C ends it)", flush=True)  # noqa: T201
        while True:
            await asyncio.sleep(interval_s)
            await server.change(counters)


def main() -> None:
    parser = argparse.ArgumentParser(description="A small OPC UA server on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=4840)
    parser.add_argument("--counters", type=int, default=0, help="variables that count up together")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between their changes")
    given = parser.parse_args()
    try:
        asyncio.run(_serve(given.port, given.counters, given.interval))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
