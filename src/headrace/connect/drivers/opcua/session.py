"""One session with one OPC UA server, over asyncua's channel and services.

    connect socket ─► hello ─► secure channel ─► create session ─► activate ─► namespaces and limits
                        │            │                 └ a password leaves only encrypted for a trusted certificate
                        │            └ renewed at 75 % of its lifetime
                        └ frames are checked before asyncua sees them

Time-outs, keep-alive and renewal run on the loop's own time: the server measures them in real time too.

A session fails once: `failure` is set, `on_lost` is told, every later call raises. asyncua's own reconnecting, its
health check and its publish loop are not used: the supervisor reconnects (docs/decisions/0008).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua
from asyncua.crypto import security_policies

from headrace.connect.drivers.opcua import trust
from headrace.connect.drivers.opcua.channel import CLOSE_TIMEOUT_S, ChannelClient, CheckedProtocol, quiet_asyncua
from headrace.connect.drivers.opcua.config import NodeRef, Security, Settings
from headrace.connect.drivers.opcua.failures import device_error
from headrace.model.errors import DeviceError, HeadraceError, Refused, Unreachable
from headrace.model.time import MILLISECOND_NS, SECOND_NS
from headrace.sdk.driver import DriverContext

CALL_ITEMS_DEFAULT: Final = 1000
"""Items in one call to a server that states no limit of its own."""

_MODES: Final = {
    Security.NONE: ua.MessageSecurityMode.None_,
    Security.SIGN: ua.MessageSecurityMode.Sign,
    Security.SIGN_AND_ENCRYPT: ua.MessageSecurityMode.SignAndEncrypt,
}
_NONE_URI: Final = security_policies.SecurityPolicyNone.URI
_NODE_TYPES: Final = {
    "i": ua.NodeIdType.Numeric,
    "s": ua.NodeIdType.String,
    "g": ua.NodeIdType.Guid,
    "b": ua.NodeIdType.ByteString,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server takes in one call, and a session of it. Source: OPC 10000-5 §6.3.11, §6.3.2."""

    read: int = CALL_ITEMS_DEFAULT
    monitored_items: int = CALL_ITEMS_DEFAULT
    browse: int = CALL_ITEMS_DEFAULT
    subscriptions: int | None = None
    items_per_subscription: int | None = None


class Session:
    """Call `open` once and `close` once. `on_lost` is called once, with why, unless `close` came first."""

    def __init__(self, settings: Settings, context: DriverContext) -> None:
        quiet_asyncua()
        self.settings, self.context = settings, context
        self.limits = Limits()
        self.failure: DeviceError | None = None
        self.on_lost: Callable[[DeviceError], None] | None = None
        self._client = self._new_client()
        self._namespaces: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    def _new_client(self) -> ChannelClient:
        return ChannelClient(self.settings.url, self.settings.timeout_ns / SECOND_NS, self.context.reach)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Failures inside become ours, beginning with what was being done at which server."""
        if self.failure is not None:
            raise self.failure
        try:
            yield
        except HeadraceError:
            raise
        except Exception as error:
            raise device_error(error, f"{what} at {self.settings.url}") from None

    # --- opening --------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Raises: Unreachable, Refused, Garbled."""
        with self.doing("opening a session"):
            if self.settings.security is not Security.NONE:
                await self._secure()
            client = self._client
            client.secure_channel_timeout = self.settings.channel_lifetime_ns // MILLISECOND_NS
            client.session_timeout = self.settings.session_timeout_ns // MILLISECOND_NS
            await client.open_channel()
            await client.create_session()
            await client.activate_session(*self._credentials())
            await self._read_limits()
        protocol = client.uaclient.protocol
        assert isinstance(protocol, CheckedProtocol)
        protocol.on_connection_lost = self._on_connection_lost
        if protocol.closed.done():
            self._on_connection_lost(None)
        self._tasks = [asyncio.create_task(self._renew()), asyncio.create_task(self._watch(protocol))]

    async def server_certificate(self) -> bytes:
        """The certificate that the server would use with our settings, DER, before any trust. Raises: DeviceError."""
        with self.doing("asking for the certificate"):
            endpoints = await self._endpoints()
            for endpoint in sorted(endpoints, key=lambda endpoint: not self._suits(endpoint)):
                if endpoint.ServerCertificate:
                    return trust.first_certificate(endpoint.ServerCertificate)
        raise Refused(
            f"the server at {self.settings.url} shows no certificate; it can only be used with security: none"
        )

    async def _endpoints(self) -> list[Any]:
        client = self._new_client()
        try:
            await client.open_channel()
            return list(await client.get_endpoints())
        finally:
            await client.drop()

    def _suits(self, endpoint: Any) -> bool:
        wanted = _NONE_URI if self.settings.security is Security.NONE else self._policy.URI
        return (endpoint.SecurityMode, endpoint.SecurityPolicyUri) == (_MODES[self.settings.security], wanted)

    @property
    def _policy(self) -> Any:
        return getattr(security_policies, f"SecurityPolicy{self.settings.policy}")

    async def _secure(self) -> None:
        """Find the endpoint, check whom we would talk to, and only then show our own certificate."""
        endpoints = await self._endpoints()
        endpoint = next((endpoint for endpoint in endpoints if self._suits(endpoint)), None)
        if endpoint is None or not endpoint.ServerCertificate:
            offered = sorted({_offer(one) for one in endpoints})
            raise Refused(
                f"the server at {self.settings.url} does not offer {self.settings.security} with "
                f"{self.settings.policy}; it offers: {', '.join(offered)}"
            )
        certificate = trust.first_certificate(endpoint.ServerCertificate)
        self._check_trust(certificate)
        now = trust.moment(self.context.clock.now_ns())
        own = await asyncio.to_thread(trust.own_certificate, self.context.state_dir, now, self.context.secrets)
        self._client.application_uri = own.application_uri
        self._client.security_policy = self._policy(
            certificate, own.certificate, own.key, _MODES[self.settings.security]
        )
        self._client.uaclient.set_security(self._client.security_policy)

    def _check_trust(self, certificate: bytes) -> None:
        shown = trust.fingerprint_of(certificate)
        if trust.is_one_of(shown, self.settings.trusted, self.context.trusted):
            return
        name = self.context.connection
        known = self.settings.trusted is not None or self.context.trusted is not None
        problem = "shows another certificate than the trusted one" if known else "is not trusted yet"
        raise Refused(
            f"the server at {self.settings.url} {problem}. The SHA-256 fingerprint of its certificate is {shown}. "
            f"Compare it at the server; if it is the same, trust it with POST /connections/{name}/trust "
            f'or declare trusted: "{shown}"'
        )

    def _credentials(self) -> tuple[str | None, str | None]:
        """User and password, once it is certain that only a trusted server can read the password."""
        settings = self.settings
        if settings.user is None or settings.password is None:
            return None, None
        policy_uri = self._client.server_policy(ua.UserTokenType.UserName).SecurityPolicyUri
        encrypted = policy_uri not in (None, "", _NONE_URI)
        if settings.security is not Security.SIGN_AND_ENCRYPT and not encrypted:
            raise Refused(
                f"the server at {settings.url} would take the password in clear text; use security: sign-and-encrypt"
            )
        if settings.security is Security.NONE:
            self._check_trust(self._client.security_policy.peer_certificate or b"")
        return settings.user, self.context.references.read(settings.password)

    async def _read_limits(self) -> None:
        ids = ua.ObjectIds
        nodes = (
            ids.Server_NamespaceArray,
            ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
            ids.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
            ids.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
            ids.Server_ServerCapabilities_MaxSubscriptionsPerSession,
            ids.Server_ServerCapabilities_MaxMonitoredItemsPerSubscription,
        )
        answers = await self._client.uaclient.session.read_attributes(
            [ua.NodeId(int(node)) for node in nodes], ua.AttributeIds.Value
        )
        values = [answer.Value.Value if answer.Value is not None else None for answer in answers]
        uris = values[0] if isinstance(values[0], list | tuple) else []
        self._namespaces = {uri: index for index, uri in reversed(list(enumerate(uris))) if isinstance(uri, str)}
        numbers = [value if isinstance(value, int) and value > 0 else None for value in values[1:]]
        self.limits = Limits(
            min(numbers[0] or CALL_ITEMS_DEFAULT, self.settings.nodes_per_read),
            min(numbers[1] or CALL_ITEMS_DEFAULT, CALL_ITEMS_DEFAULT),
            min(numbers[2] or CALL_ITEMS_DEFAULT, CALL_ITEMS_DEFAULT),
            numbers[3],
            numbers[4],
        )

    # --- calls ----------------------------------------------------------------------------------------------------

    @property
    def services(self) -> Any:
        """asyncua's session services; call inside `doing`."""
        return self._client.uaclient.session

    async def call(self, request: Any, *, timeout_s: float | None = None) -> bytes:
        """The body of the answer, undecoded; a ServiceFault raises. Call inside `doing`; `timeout_s` 0: no limit."""
        return bytes(await self.services._send_request(request, timeout_s))

    def resolve(self, ref: NodeRef) -> Any | None:
        """The ua.NodeId of a declared node, None where the server knows no such namespace."""
        index = ref.namespace if isinstance(ref.namespace, int) else self._namespaces.get(ref.namespace)
        return None if index is None else ua.NodeId(ref.identifier, index, _NODE_TYPES[ref.type])

    def uri_of(self, namespace: int) -> str | None:
        return next((uri for uri, index in self._namespaces.items() if index == namespace), None)

    # --- its life -------------------------------------------------------------------------------------------------

    def fail(self, failure: DeviceError) -> None:
        """The session is over; the first reason counts."""
        if self.failure is None and not self._closing:
            self.failure = failure
            if self.on_lost is not None:
                self.on_lost(failure)

    def _on_connection_lost(self, error: Exception | None) -> None:
        reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        self.fail(Unreachable(f"the server at {self.settings.url} closed the connection{reason}"))

    async def _renew(self) -> None:
        """Source: OPC 10000-4 §5.6.2: a client renews when 75 % of the token's lifetime has passed."""
        try:
            while True:
                await asyncio.sleep(self._client.secure_channel_timeout * 0.75 / 1000)
                with self.doing("renewing the secure channel"):
                    await self._client.open_secure_channel(renew=True)
                    self._client.uaclient.revolve_security_token()
        except DeviceError as failure:
            self.fail(failure)

    async def _watch(self, protocol: CheckedProtocol) -> None:
        """A line that is silent for one keep-alive is asked for a sign of life: a half-open socket never speaks.

        On a slow line a long answer may stand before the sign; as long as bytes come, somebody lives.
        """
        state = ua.NodeId(int(ua.ObjectIds.Server_ServerStatus_State))
        try:
            while True:
                octets = protocol.octets
                await asyncio.sleep(self.settings.keep_alive_ns / SECOND_NS)
                if protocol.octets != octets:
                    continue
                with self.doing("waiting for a sign of life"):
                    try:
                        await self.services.read_attributes([state], ua.AttributeIds.Value)
                    except TimeoutError:
                        if protocol.octets == octets:
                            raise
        except DeviceError as failure:
            self.fail(failure)

    async def close(self) -> None:
        """Never raises; a server that does not answer is left after a second."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        client = self._client
        with suppress(Exception):
            if self.failure is None and client.uaclient.has_transport:
                async with asyncio.timeout(min(CLOSE_TIMEOUT_S, self.settings.timeout_ns / SECOND_NS)):
                    await client.uaclient.close_session(True)
                    await client.uaclient.close_secure_channel()
        with suppress(Exception):
            await client.drop()


def _offer(endpoint: Any) -> str:
    """In the words of our settings: `sign with Basic256Sha256`."""
    mode = next((ours for ours, theirs in _MODES.items() if theirs == endpoint.SecurityMode), Security.NONE)
    policy = str(endpoint.SecurityPolicyUri).rpartition("#")[2].replace("_", "")
    return mode if mode is Security.NONE else f"{mode} with {policy}"
