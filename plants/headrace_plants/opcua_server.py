"""An OPC UA server for a plant, cheap at hundreds of changing nodes.

    plant ─► update(indices, values, time) ─► DataValue put straight into the address space ─► monitored items
    client write ─► guarded attribute service ─► `on_write` (limits of the machine) ─► node

Only changed values are touched, and they bypass the session and service layers that a client's write goes through.
Everyone may read; only setpoints may be written, and nothing else of the address space. The endpoint is unsecured
and meant for loopback.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AttributeService
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol

from headrace.connect.drivers.opcua.lean import LeanInternalServer
from headrace.model.batch import Value, ValueKind
from headrace.model.errors import HeadraceError, Refused

log = logging.getLogger(__name__)

NAMESPACE = "urn:headrace:plants"
INDEX = 2
_TYPES = {
    ValueKind.FLOAT64: ua.VariantType.Double,
    ValueKind.INT64: ua.VariantType.Int64,
    ValueKind.BOOL: ua.VariantType.Boolean,
    ValueKind.TEXT: ua.VariantType.String,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GOOD = ua.StatusCode(ua.StatusCodes.Good)

OnWrite = Callable[[str, Value], None]
"""Takes a setpoint by path, or raises a HeadraceError: the writer gets BadOutOfRange or BadTypeMismatch."""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One variable: `node` is the string identifier, `folder` the object that holds it."""

    path: str
    folder: str
    name: str
    node: str
    kind: ValueKind
    title: str
    start: Value
    writable: bool = False


def moment(time_ns: int) -> datetime:
    """OPC UA's clock ticks in 100 ns; Python's in microseconds, so the last three digits of ns are lost."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


class OpcUaServer:
    """`start`, `stop`, `update`; the faults are `cut`, `restore` and `delay_s`."""

    def __init__(
        self, name: str, rows: Sequence[NodeRow], on_write: OnWrite, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.name, self.rows, self.on_write, self.host, self.port = name, rows, on_write, host, port
        self.delay_s = 0.0
        self._server: Any = _Listening(LeanInternalServer(user_manager=_Everyone()))
        self._server.owner = self
        self._values: list[Any] = []
        self._types = [_TYPES[row.kind] for row in rows]
        self._by_node = {row.node: row for row in rows}

    @property
    def url(self) -> str:
        return f"opc.tcp://{self.host}:{self.port}/"

    async def start(self) -> None:
        """Raises: OSError where the port is in use."""
        server = self._server
        await server.init()
        server.name = f"Headrace plant: {self.name}"
        server.set_endpoint(f"opc.tcp://{self.host}:{self.port}/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        await server.register_namespace(NAMESPACE)
        await self._build()
        server.iserver.attribute_service = _Guarded(server.iserver.aspace, self)
        await server.start()
        self.port = server.bserver.port
        server.set_endpoint(self.url)

    async def stop(self) -> None:
        await self.cut()
        await self._server.stop()

    async def cut(self) -> None:
        """Close the listener and abort every connection."""
        listener = self._server.bserver
        if listener is None or listener._server is None:
            return
        server, listener._server = listener._server, None
        server.close()
        for transport in list(self._server.iserver.asyncio_transports):
            transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)  # connection_lost runs, sessions begin to close

    async def restore(self) -> None:
        """Listen again on the same port."""
        listener = self._server.bserver
        if listener is not None and listener._server is None:
            if listener.cleanup_task is not None:
                listener.cleanup_task.cancel()
            await listener.start()

    def watched(self) -> int:
        """How many of the nodes somebody subscribes to."""
        return sum(bool(value.datachange_callbacks) for value in self._values)

    @property
    def sessions(self) -> int:
        listener = self._server.bserver
        return 0 if listener is None else len(listener.clients)

    def await_data(self, rows: Sequence[int]) -> None:
        """These nodes have no value yet: BadWaitingForInitialData."""
        waiting = ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData)
        for position in rows:
            self._values[position].value = ua.DataValue(StatusCode=waiting)

    def backlog(self) -> int:
        """How many changes wait in the busiest monitored item for their next Publish."""
        waiting = [
            len(queue)
            for subscription in self._server.iserver.subscription_service.subscriptions.values()
            for queue in subscription._triggered_datachanges.values()
        ]
        return max(waiting, default=0)

    async def update(
        self, rows: Sequence[int], values: Sequence[Value], source_ns: int, *, report_all: bool = False
    ) -> None:
        """Give nodes (by position in `rows`) new values with one source time.

        A server reports a value only where it differs from the one before (OPC 10000-4 §7.22.2), and drops the oldest
        of a full queue. With `report_all` each value is reported, a repeated one too, and queues grow as needed (the
        caller watches `backlog`): a recording then loses nothing whatever filter and queue size the client asked for.
        """
        source, server_time = moment(source_ns), datetime.now(UTC)
        for position, value in zip(rows, values, strict=True):
            held = self._values[position]
            data = ua.DataValue(
                Value=ua.Variant(value, self._types[position]),
                StatusCode=_GOOD,
                SourceTimestamp=source,
                ServerTimestamp=server_time,
            )
            held.value = data
            if held.datachange_callbacks:
                for handle, callback in list(held.datachange_callbacks.items()):
                    if report_all:
                        _forget(callback.__self__, handle)
                    await callback(handle, data)

    async def _build(self) -> None:
        objects = self._server.nodes.objects
        folders: dict[str, Any] = {}
        space = self._server.iserver.aspace
        for row in self.rows:
            parent = folders.get(row.folder)
            if parent is None:
                parent = folders[row.folder] = await objects.add_object(
                    ua.NodeId(row.folder, INDEX), ua.QualifiedName(row.folder, INDEX)
                )
            identifier = ua.NodeId(row.node, INDEX)
            node = await parent.add_variable(
                identifier, ua.QualifiedName(row.name, INDEX), row.start, varianttype=_TYPES[row.kind]
            )
            data = space[identifier]
            data.attributes[ua.AttributeIds.DisplayName].value = ua.DataValue(ua.Variant(ua.LocalizedText(row.title)))
            if row.writable:
                await node.set_writable()
            self._values.append(data.attributes[ua.AttributeIds.Value])

    def take(self, identifier: str, data: ua.DataValue) -> ua.StatusCode | None:
        """Judge a client's write; None is to be carried out."""
        row = self._by_node.get(identifier)
        if row is None or not row.writable:
            return ua.StatusCode(ua.StatusCodes.BadNotWritable)
        if data.Value is None or data.Value.VariantType != _TYPES[row.kind] or data.Value.is_array:
            return ua.StatusCode(ua.StatusCodes.BadTypeMismatch)
        try:
            self.on_write(row.path, data.Value.Value)
        except Refused as error:
            log.info("refused a write: %s", error)
            return ua.StatusCode(ua.StatusCodes.BadOutOfRange)
        except HeadraceError as error:
            log.info("refused a write: %s", error)
            return ua.StatusCode(ua.StatusCodes.BadTypeMismatch)
        return None


def _forget(service: Any, handle: int) -> None:
    """Make a monitored item take the next value as new, and keep all of them."""
    item = service._monitored_items[service._monitored_datachange[handle]]
    item.mvalue.current_dvalue = None
    item.queue_size = 0


class _Everyone:
    """Anonymous users without administration rights."""

    def get_user(self, *_: Any, **__: Any) -> User:
        return User(role=UserRole.User)


class _Guarded(AttributeService):  # type: ignore[misc]
    """Asks the plant before a client's write of our nodes."""

    def __init__(self, space: Any, owner: OpcUaServer) -> None:
        super().__init__(space)
        self._owner = owner

    async def write(self, params: Any, user: User = User(role=UserRole.Admin)) -> list[Any]:
        if user.role == UserRole.Admin:  # the server itself, for example its clock
            results: list[Any] = await super().write(params, user)
            return results
        answers = []
        for item in params.NodesToWrite:
            refusal = None
            if item.NodeId.NamespaceIndex == INDEX and item.AttributeId == ua.AttributeIds.Value:
                refusal = self._owner.take(str(item.NodeId.Identifier), item.Value)
            if refusal is None:
                one = ua.WriteParameters()
                one.NodesToWrite = [item]
                refusal = (await super().write(one, user))[0]
            answers.append(refusal)
        return answers


class _SlowProtocol(OPCUAProtocol):  # type: ignore[misc]
    owner: OpcUaServer

    async def _process_one_msg(self, header: Any, buf: Any) -> bool:
        if self.owner.delay_s:
            await asyncio.sleep(self.owner.delay_s)
        going: bool = await super()._process_one_msg(header, buf)
        return going


class _Listener(BinaryServer):  # type: ignore[misc]
    owner: OpcUaServer

    def _make_protocol(self) -> OPCUAProtocol:
        protocol = _SlowProtocol(self.iserver, self._policies, self.clients, self.closing_tasks, self.limits)
        protocol.owner = self.owner
        return protocol


class _Listening(Server):  # type: ignore[misc]
    """A server whose listener can be cut and slowed."""

    owner: OpcUaServer

    async def start(self) -> None:
        await self._setup_server_nodes()
        await self.iserver.start()
        host, port = self._get_bind_socket_info()
        self.bserver = _Listener(self.iserver, host, port, self.limits)
        self.bserver.owner = self.owner
        self.bserver.set_policies(self._policies)
        try:
            await self.bserver.start()
        except OSError:
            await self.iserver.stop()
            raise
