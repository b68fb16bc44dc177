"""The OPC UA server: the plant as an address space, the newest samples as values, subscriptions as asyncua has them.

    send ─► one DataValue a sample: value, StatusCode, source time, our time ─► asyncua ─► subscriptions ─► clients

What a client samples slower than values come is its own affair: it has asked for an interval. A client that stops
taking is closed by its session's timeout; nothing of the plant waits for it. Source times are kept to the microsecond,
which is what asyncua's encoder takes.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from headrace.connect.outlets.opcua.config import Settings
from headrace.model.batch import Batch
from headrace.model.errors import ConfigError, LimitReached, Unreachable
from headrace.sdk.outlet import OutletContext, OutletType, View

YIELD_EVERY: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class OpcUaServerOutlet:
    """`Mirrors`. asyncua is imported, in a thread, when the first server is opened: it takes half a second."""

    def __init__(self, settings: Settings, context: OutletContext) -> None:
        self._settings, self._context = settings, context
        self._server: Any = None
        self._space: Any = None

    async def open(self, view: View) -> None:
        settings = self._settings
        self._context.reach.check_listening(settings.host, settings.port)
        self._check(view)
        await asyncio.to_thread(__import__, "headrace.connect.outlets.opcua.gate")
        from asyncua import Server, ua

        from headrace.connect.drivers.opcua.channel import quiet_asyncua
        from headrace.connect.outlets.opcua.address_space import NAMESPACE, AddressSpace
        from headrace.connect.outlets.opcua.gate import Gate

        quiet_asyncua()
        gate = Gate(self._context, settings.anonymous, lambda node: self._space.point_of(node))
        gate.writes = settings.writes
        gate.max_connections = settings.sessions_max
        server = self._server = Server(gate)
        server.disable_clock()
        await server.init()
        server.set_endpoint(f"opc.tcp://{_bracketed(settings.host)}:{settings.port}/headrace")
        server.set_server_name("Headrace")
        await self._secure(server, ua)
        self._space = AddressSpace(server, await server.register_namespace(NAMESPACE), settings.writes)
        await self._space.become(view)
        try:
            await server.start()
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            if error.errno == errno.EADDRINUSE:
                raise Unreachable(f"port {settings.port} is taken by another program: choose another") from None
            raise ConfigError(f"this process may not listen on {where}: {error.strerror or error}") from None

    async def send(self, batches: Sequence[Batch]) -> int:
        from asyncua import ua

        from headrace.connect.outlets.opcua.address_space import TYPES, Reading

        write = self._server.iserver.aspace.write_attribute_value
        nodes = self._space.nodes
        value_id = ua.AttributeIds.Value
        count = 0
        for batch in batches:
            kind = TYPES[batch.kind]
            rows = zip(
                batch.handles.tolist(),
                batch.source_ns.tolist(),
                batch.received_ns.tolist(),
                batch.values.tolist(),
                batch.quality.tolist(),
                strict=True,
            )
            for handle, source_ns, received_ns, value, quality in rows:
                node = nodes.get(handle)
                if node is None:
                    continue
                variant = ua.Variant(value, kind)
                await write(
                    node,
                    value_id,
                    Reading(variant, ua.StatusCode(quality), _moment(source_ns), _moment(received_ns)),
                )
                count += 1
                if count % YIELD_EVERY == 0:
                    await asyncio.sleep(0)  # one core: the plant and the clients take turns with this
        return 0

    async def change(self, view: View) -> None:
        self._check(view)
        await self._space.become(view)
        await self.send(self._context.newest(list(view.points)))

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    def _check(self, view: View) -> None:
        if len(view.points) > self._settings.points_max:
            raise LimitReached(
                f"{len(view.points)} points are more than this server shows ({self._settings.points_max}): name fewer "
                "with 'points', or raise 'points_max'"
            )

    async def _secure(self, server: Any, ua: Any) -> None:
        from asyncua.common.utils import ServiceError
        from asyncua.crypto import uacrypto

        from headrace.connect.drivers.opcua.trust import fingerprint_of, moment, own_certificate

        settings = self._settings
        context = self._context
        now = moment(context.clock.now_ns())
        own = await asyncio.to_thread(own_certificate, context.state_dir, now, context.secrets)
        await server.set_application_uri(own.application_uri)
        server.iserver.certificate, server.iserver.private_key = own.certificate, own.key
        policies = [kind for kind in ua.SecurityPolicyType if "Sha256" in kind.name]
        if settings.unencrypted:
            policies.append(ua.SecurityPolicyType.NoSecurity)
        server.set_security_policy(policies)
        tokens: list[type] = [ua.UserNameIdentityToken]
        if settings.anonymous:
            tokens.append(ua.AnonymousIdentityToken)
        server.set_identity_tokens(tokens)
        if settings.clients:
            wanted = frozenset(settings.clients)

            async def is_known(certificate: Any, description: Any) -> None:
                del description
                if fingerprint_of(uacrypto.der_from_x509(certificate)) not in wanted:
                    raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

            server.set_certificate_validator(is_known)


def _moment(time_ns: int) -> datetime | None:
    """None where OPC UA has no such time (OPC 10000-6 §5.2.2.5: years 1601 to 9999)."""
    try:
        return _EPOCH + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


OUTLET: Final = OutletType(
    name="opcua",
    title="OPC UA server",
    settings=Settings,
    open=OpcUaServerOutlet,
    newest_only=True,
)
