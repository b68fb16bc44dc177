"""CONNECT and its answer: who is this, may it come in, and which session does it get.

    CONNECT ──checks──► Claim ──DeviceDoor──► Admission ──► session: new, resumed, or taken over ──► CONNACK
       │                   │ AccessError, LimitReached, Unavailable                                     │
       └── wrong for us ───┴──────────────────────────────────────────────► CONNACK with a reason ◄─────┘

At most `admissions_max` devices are checked at a moment; the sockets of the others are not read meanwhile.
Source: v5 §3.1.4, §3.2; 3.1.1 §3.1.4, §3.2.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from typing import TYPE_CHECKING, Any

from headrace.connect.gateway.connection import Connection
from headrace.connect.gateway.session import Session
from headrace.connect.gateway.socket import Halt, State
from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.encoding import encode
from headrace.connect.mqtt.packets import Property, Version
from headrace.connect.mqtt.primitives import protocol_error
from headrace.connect.mqtt.reasons import Reason
from headrace.connect.mqtt.tls import fingerprint_of
from headrace.model.errors import AccessError, HeadraceError, LimitReached
from headrace.sdk.devices import Admission, Claim, DeviceState

if TYPE_CHECKING:
    from headrace.connect.gateway.hub import Hub


class Doorkeeper:
    def __init__(self, hub: Hub) -> None:
        self._hub, self._limits = hub, hub.limits
        self._at_once = asyncio.Semaphore(hub.limits.admissions_max)
        self._tasks: set[asyncio.Task[None]] = set()

    def asked(self, connection: Connection, connect: p.Connect) -> None:
        """CONNECT has come."""
        connection.packet_max = connect.properties.get(Property.MAXIMUM_PACKET_SIZE, 0)
        wrong = self._why_not(connect)
        if wrong is not None:
            connection.state = State.ADMITTING
            connection.refuse(*wrong)
            return
        connection.state = State.ADMITTING
        connection.halt(Halt.ADMITTING)
        task = asyncio.create_task(self._admit(connection, connect), name=f"admit {connect.client_id[:40]}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def expiry_s(self, asked_s: int) -> int:
        return min(asked_s, self._limits.session_expiry_s_max)

    def _why_not(self, connect: p.Connect) -> tuple[Reason, str] | None:
        if Property.AUTHENTICATION_METHOD in connect.properties:
            return Reason.BAD_AUTHENTICATION_METHOD, "this gateway knows user and password, and certificates"
        if Property.AUTHENTICATION_DATA in connect.properties:
            raise protocol_error("connect: authentication data without a method (v5 §3.1.2.11.10)")
        if not connect.client_id and not connect.clean_start and connect.version is Version.V311:
            return Reason.CLIENT_IDENTIFIER_NOT_VALID, "no client identifier [MQTT-3.1.3-8]"
        if len(connect.client_id.encode()) > self._limits.client_id_bytes_max:
            return Reason.CLIENT_IDENTIFIER_NOT_VALID, f"more than {self._limits.client_id_bytes_max} bytes"
        return None

    async def _admit(self, connection: Connection, connect: p.Connect) -> None:
        """Ask who it is; whatever is refused is told in the words of the protocol."""
        try:
            async with self._at_once:
                if connection.closed:
                    return
                admission = await self._hub.upstream.admit(self._claim(connection, connect))
        except AccessError as error:
            reason = Reason.NOT_AUTHORIZED if error.authenticated else Reason.BAD_USER_NAME_OR_PASSWORD
            self._refuse(connection, reason, error)
        except LimitReached as error:
            self._refuse(connection, Reason.CONNECTION_RATE_EXCEEDED, error)
        except HeadraceError as error:
            self._refuse(connection, Reason.SERVER_UNAVAILABLE, error)
        else:
            if not connection.closed:
                self._welcome(connection, connect, admission)

    def _refuse(self, connection: Connection, reason: Reason, error: HeadraceError) -> None:
        if not connection.closed:
            connection.refuse(reason, error.message)

    def _claim(self, connection: Connection, connect: p.Connect) -> Claim:
        transport = connection.transport
        peer: Any = transport.get_extra_info("peername") if transport is not None else None
        tls: Any = transport.get_extra_info("ssl_object") if transport is not None else None
        shown = tls.getpeercert(binary_form=True) if tls is not None else None
        return Claim(
            self._hub.name,
            connect.client_id,
            _address(peer),
            connect.user,
            connect.password,
            fingerprint_of(shown) if shown else None,
        )

    def _welcome(self, connection: Connection, connect: p.Connect, admission: Admission) -> None:
        hub, limits = self._hub, self._limits
        others = hub.devices.get(admission.device, [])
        if admission.state is DeviceState.BLOCKED:
            connection.refuse(Reason.BANNED, "this device is blocked")
            return
        client_id = connect.client_id or f"auto-{secrets.token_hex(8)}"
        session = hub.sessions.get((admission.device, client_id))
        if len(others) >= limits.connections_per_device_max and (session is None or session.connection is None):
            connection.refuse(Reason.QUOTA_EXCEEDED, f"{len(others)} connections of this device are open already")
            return
        connection.admission, connection.device = admission, admission.device
        approved = admission.state is DeviceState.APPROVED
        if connect.will is not None and approved and not hub.may_will(connection, connect.will):
            connection.refuse(Reason.NOT_AUTHORIZED, f"its will is for '{connect.will.topic[:200]}', where it may not")
            return
        if session is not None and session.connection is not None:
            self._take_over(session, starts_anew=connect.clean_start)
            session = hub.sessions.get(session.key)  # one that ends with its connection has ended now
        if session is not None and connect.clean_start:
            hub.end_session(session)
            session = None
        resumed = session is not None
        if session is None:
            session = hub.sessions[(admission.device, client_id)] = Session(
                admission.device, client_id, limits, hub.counters
            )
            hub.counters.sessions = len(hub.sessions)
        self._settle(connection, connect, session)
        connection.will = connect.will if approved else None
        connection.state = State.LIVE if approved else State.QUARANTINED
        known = hub.devices.setdefault(admission.device, [])
        known.append(connection)
        hub.counters.connects += 1
        connection.write(encode(self._connack(connect, session, resumed), connect.version))
        if len(known) == 1:
            hub.upstream.seen(admission.device, True)
        session.resume(hub.now_s)
        self._go_on(connection)

    def _take_over(self, session: Session, *, starts_anew: bool) -> None:
        """The same client connects again: the older connection ends [MQTT-3.1.4-3]; its will is not told where the
        client goes on with a session before the will's delay is over [MQTT-3.1.3-9]."""
        older = session.connection
        assert isinstance(older, Connection)
        self._hub.counters.taken_over += 1
        delayed = older.will is not None and older.will.properties.get(Property.WILL_DELAY_INTERVAL, 0)
        if delayed and not starts_anew and session.expiry_s:
            older.will = None
        older.polite = older.will is None  # the device is here, so it has not gone
        older.fail(Reason.SESSION_TAKEN_OVER, "the same client has connected again")

    def _settle(self, connection: Connection, connect: p.Connect, session: Session) -> None:
        """What was agreed for this connection."""
        limits, asked = self._limits, connect.properties
        session.connection, session.ends_s = connection, None
        session.will = session.will_from = session.will_due_s = None
        if connect.version is Version.V5:
            session.expiry_s = self.expiry_s(asked.get(Property.SESSION_EXPIRY_INTERVAL, 0))
        else:
            session.expiry_s = 0 if connect.clean_start else limits.session_expiry_s_max
        connection.session = session
        connection.receive_max = min(asked.get(Property.RECEIVE_MAXIMUM, p.PACKET_ID_MAX), limits.receive_max)
        connection.alias_max = min(asked.get(Property.TOPIC_ALIAS_MAXIMUM, 0), limits.topic_alias_max)
        connection.problem_information = bool(asked.get(Property.REQUEST_PROBLEM_INFORMATION, 1))
        connection.keep_alive_s = self._keep_alive_s(connect)
        assert connection.admission is not None
        own_rate = connection.admission.messages_per_s
        connection.rate = connection.tokens = limits.messages_per_s if own_rate is None else own_rate
        connection.filled_s = self._hub.clock.monotonic_s()
        connection.heard_s = self._hub.now_s

    def _keep_alive_s(self, connect: p.Connect) -> int:
        """A v5 client can be told a shorter one [MQTT-3.1.2-21]; a 3.1.1 client has its own."""
        longest = self._limits.keep_alive_s_max
        if connect.version is Version.V5 and not 0 < connect.keep_alive_s <= longest:
            return longest
        return connect.keep_alive_s

    def _connack(self, connect: p.Connect, session: Session, resumed: bool) -> p.Connack:
        if connect.version is Version.V311:
            return p.Connack(resumed)
        limits, properties = self._limits, dict[int, Any]()
        properties[Property.RECEIVE_MAXIMUM] = limits.receive_max
        properties[Property.MAXIMUM_PACKET_SIZE] = limits.packet_bytes_max
        if limits.topic_alias_max:
            properties[Property.TOPIC_ALIAS_MAXIMUM] = limits.topic_alias_max
        if not connect.client_id:
            properties[Property.ASSIGNED_CLIENT_IDENTIFIER] = session.client_id
        if session.expiry_s != connect.properties.get(Property.SESSION_EXPIRY_INTERVAL, 0):
            properties[Property.SESSION_EXPIRY_INTERVAL] = session.expiry_s
        keep_alive_s = self._keep_alive_s(connect)
        if keep_alive_s != connect.keep_alive_s:
            properties[Property.SERVER_KEEP_ALIVE] = keep_alive_s
        return p.Connack(resumed, 0, properties)

    def _go_on(self, connection: Connection) -> None:
        """What came right behind CONNECT, then the socket again."""
        backlog, connection.backlog = connection.backlog, None
        connection.take_backlog(backlog or ())
        connection.go(Halt.ADMITTING)
        if connection.keep_alive_s:
            connection.watch(connection.heard_s + 1.5 * connection.keep_alive_s)


def _address(peer: Any) -> str:
    """`192.0.2.7`, without the port; '' where the socket has no address."""
    if not isinstance(peer, tuple):
        return ""
    try:
        return str(ipaddress.ip_address(peer[0].split("%")[0]))
    except ValueError:
        return str(peer[0])
