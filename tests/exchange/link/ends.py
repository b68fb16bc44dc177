"""Both ends of a link in one process: a real store and real TLS, a door with an authority of its own, and a relay."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from headrace.exchange.link import EdgeHub, EdgeLink, HubSettings, LinkSettings
from headrace.exchange.link.dial import Address, Proxy
from headrace.exchange.link.enrol import Identity, enrol
from headrace.exchange.spool import Spool, SpoolSettings, open_spool
from headrace.history import HistorySettings, open_store
from headrace.history.store import EmbeddedStore
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.errors import AccessError, NotFound, Refused
from headrace.model.events import Event
from headrace.sdk.clock import Clock, SystemClock
from headrace.sdk.edges import HUB_NAME, Actual, Desired, Edge, EdgeToken, HubIdentity, LinkQuality
from headrace.sdk.intake import NO_MARKS, Mark
from headrace.sdk.testing.relay import Relay

PREFIX = "works/line"
QUICK = LinkSettings(
    connect_timeout_s=0.5, patient_timeout_s=2.0, pause_s_max=0.05, beat_s=0.05, silence_s=1.0, plan_s=0.2, late_s=0.2
)  # fmt: skip
QUICK_HUB = HubSettings(
    beat_s=0.05, silence_s=2.0, retry_s=0.02, fenced_retry_s=0.05, ack_s=0.005, handshake_timeout_s=3.0
)


class Door:
    """An authority in memory, for edges by name."""

    def __init__(self, folder: Path, names: Mapping[str, str]) -> None:
        self.folder, self.names = folder, dict(names)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("authority", self.key.public_key(), authority=True)
        self.tokens: dict[str, tuple[str, bytes | None]] = {}
        self.admitted: dict[str, str] = {}
        self.revoked: set[str] = set()
        folder.mkdir(exist_ok=True)
        own = ec.generate_private_key(ec.SECP256R1())
        (folder / "hub.key").write_bytes(_pem(own))
        chain = self._sign(HUB_NAME, own.public_key(), name=HUB_NAME)
        (folder / "hub.pem").write_bytes(_pem(chain) + _pem(self.certificate))

    def invite(self, name: str) -> EdgeToken:
        authority = hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).digest()
        token = EdgeToken(name, authority, random.randbytes(32))
        self.tokens[token.text] = (name, None)
        return token

    async def identity(self) -> HubIdentity:
        return HubIdentity(
            _pem(self.certificate), (self.folder / "hub.pem").read_bytes(), (self.folder / "hub.key").read_bytes()
        )

    async def enrol(self, token: str, request: bytes, peer: str) -> tuple[Edge, bytes]:
        name, key = self.tokens.get(token, ("", None))
        public = x509.load_pem_x509_csr(request).public_key()
        shown = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if not name or key not in (None, shown):
            raise AccessError("this token is not known here")
        self.tokens[token] = (name, shown)
        certificate = self._sign(name, public)
        self.admitted[certificate.fingerprint(hashes.SHA256()).hex()] = name
        return Edge(name, self.names[name], ""), _pem(certificate) + _pem(self.certificate)

    async def renew(self, edge: Edge, request: bytes) -> bytes:
        certificate = self._sign(edge.name, x509.load_pem_x509_csr(request).public_key(), days=365)
        self.admitted[certificate.fingerprint(hashes.SHA256()).hex()] = edge.name
        return _pem(certificate) + _pem(self.certificate)

    async def admit(self, certificate: str) -> Edge:
        name = self.admitted.get(certificate, "")
        if not name or name in self.revoked:
            raise AccessError("this edge was revoked")
        return Edge(name, self.names[name], certificate)

    def save(self) -> None:
        """For a hub in another process."""
        (self.folder / "authority.pem").write_bytes(_pem(self.certificate))
        (self.folder / "door.json").write_text(json.dumps({"names": self.names, "admitted": self.admitted}))

    days = 365

    def _sign(self, subject: str, key: Any, *, name: str = "", authority: bool = False, days: int = 0) -> Any:
        now = datetime.datetime.now(datetime.UTC)
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        builder = x509.CertificateBuilder(
            issuer,
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]),
            key,
            x509.random_serial_number(),
            now - datetime.timedelta(days=100),
            now + datetime.timedelta(days=days or self.days),
        ).add_extension(x509.BasicConstraints(authority, None), critical=True)
        if name:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


class SavedDoor:
    """What a `Door` has saved, in another process. Nobody enrols there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        saved = json.loads((folder / "door.json").read_text())
        self._names, self._admitted = saved["names"], saved["admitted"]

    async def identity(self) -> HubIdentity:
        authority = (self._folder / "authority.pem").read_bytes()
        return HubIdentity(authority, (self._folder / "hub.pem").read_bytes(), (self._folder / "hub.key").read_bytes())

    async def admit(self, certificate: str) -> Edge:
        name = self._admitted[certificate]
        return Edge(name, self._names[name], certificate)

    async def enrol(self, token: str, request: bytes, peer: str) -> tuple[Edge, bytes]:
        raise AccessError("nobody enrols here")

    async def renew(self, edge: Edge, request: bytes) -> bytes:
        raise AccessError("nobody renews here")


def _pem(what: Any) -> bytes:
    if isinstance(what, x509.Certificate):
        return what.public_bytes(serialization.Encoding.PEM)
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return what.private_bytes(serialization.Encoding.PEM, form, none)


class Desk:
    def __init__(self) -> None:
        self.wanted: dict[str, Desired] = {}
        self.actual: dict[str, Actual] = {}
        self.links: dict[str, LinkQuality] = {}
        self.changed: asyncio.Queue[str] = asyncio.Queue()

    def desired(self, edge: str) -> Desired | None:
        return self.wanted.get(edge)

    def reported(self, edge: str, actual: Actual) -> None:
        self.actual[edge] = actual

    def measured(self, edge: str, quality: LinkQuality) -> None:
        self.links[edge] = quality

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self.changed.get()


class Role:
    """A device of two points, and what was declared."""

    def __init__(self) -> None:
        self.running = Actual(0)
        self.values: dict[str, Value] = {f"{PREFIX}/p0": 1.5}

    def actual(self) -> Actual:
        return self.running

    async def become(self, desired: Desired) -> Actual:
        error = "it is broken" if "broken" in desired.files else ""
        self.running = Actual(desired.revision, error, facts={"files": sorted(desired.files)})
        return self.running

    async def write(self, path: str, value: Value) -> None:
        if path not in self.values:
            raise NotFound(f"no device has a point '{path}'")
        if value == -1.0:
            raise Refused("the device said no")
        if value == -2.0:
            await asyncio.Event().wait()
        self.values[path] = value

    async def read_back(self, path: str) -> Batch:
        return Batch.of(ValueKind.FLOAT64, 0, 5, [self.values[path]], 0, 7)


class Taking:
    """An intake that stores, and counts how often each value of each point came."""

    def __init__(self, store: EmbeddedStore) -> None:
        self.store = store
        self.came: Counter[tuple[int, int]] = Counter()
        self.live_late_s: list[float] = []
        self.failures: list[Exception] = []
        self.before: Callable[[], Any] | None = None

    async def take(self, batches: Sequence[Batch], marks: Mapping[str, Mark] = NO_MARKS) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if self.before is not None:
            await self.before()
        await self.store.append(batches, marks)
        for batch in batches:
            self.came.update(zip(batch.handles.tolist(), batch.source_ns.tolist(), strict=True))
        if any(source.endswith("/live") for source in marks) and batches:
            now_ns = time.time_ns()
            self.live_late_s += [(now_ns - int(batch.received_ns.min())) / 1e9 for batch in batches]


class Ends:
    """`hub` and `link` run; `relay` stands between them; `spool` is the edge's."""

    def __init__(self) -> None:
        self.door: Door
        self.desk = Desk()
        self.role = Role()
        self.events: list[Event] = []
        self.hub: EdgeHub
        self.link: EdgeLink
        self.relay: Relay
        self.spool: Spool
        self.store: EmbeddedStore
        self.taking: Taking
        self.at = 0

    async def publish(self, events: Sequence[Event]) -> None:
        self.events += events

    async def send(self, count: int = 10) -> None:
        """Samples `at` …, of three points, each with a time of its own."""
        index = np.arange(self.at, self.at + count, dtype=np.int64)
        self.at += count
        now_ns = time.time_ns()
        await self.spool.append([Batch.of(ValueKind.FLOAT64, index % 3, 1_000_000 + index, index / 10, 0, now_ns)])

    async def all_taken(self) -> None:
        await until(lambda: sum(self.taking.came.values()) >= self.at)

    def check_exactly_once(self) -> None:
        assert set(self.taking.came.values()) <= {1}, "a sample was taken twice"
        assert sorted(time for _, time in self.taking.came) == [1_000_000 + n for n in range(self.at)]


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def hub_of(ends: Ends, folder: Path, settings: HubSettings = QUICK_HUB, **more: Any) -> AsyncIterator[int]:
    """A hub over the store in `folder`; gives its port."""
    async with AsyncExitStack() as stack:
        ends.store = await open_store(folder / "history", HistorySettings(), SystemClock())
        stack.push_async_callback(ends.store.close)
        came = ends.taking.came if hasattr(ends, "taking") else Counter()
        ends.taking = Taking(ends.store)
        ends.taking.came = came
        ends.hub = EdgeHub(ends.store, ends.taking, ends.door, ends.desk, ends.publish, SystemClock(), settings)
        where = await stack.enter_async_context(ends.hub.listening("127.0.0.1", more.pop("port", 0), **more))
        ends.web_port = where.web_port  # type: ignore[attr-defined]
        yield where.port


@asynccontextmanager
async def edge_of(
    ends: Ends,
    folder: Path,
    port: int,
    settings: LinkSettings = QUICK,
    *,
    address: Address | None = None,
    proxy: Proxy | None = None,
    clock: Clock | None = None,
    spool: SpoolSettings | None = None,
) -> AsyncIterator[EdgeLink]:
    """An edge with a spool in `folder`, enrolled at the first start."""
    address = address or Address("127.0.0.1", port)
    identity = Identity(folder / "identity")
    ends.spool = await open_spool(folder / "spool", spool or SpoolSettings(reserve_bytes=0), clock or SystemClock())
    try:
        await ends.spool.register([f"{PREFIX}/p{n}" for n in range(3)])
        if not identity.enrolled:
            await enrol(identity, ends.door.invite("line"), address, settings, proxy)
        link = EdgeLink(
            address, identity, ends.spool, ends.role, clock or SystemClock(), settings, proxy=proxy,
            rng=random.Random(1),
        )  # fmt: skip
        running = asyncio.create_task(link.run())
        try:
            yield link
        finally:
            link.stop()
            await running
    finally:
        await ends.spool.close()


@asynccontextmanager
async def both(
    tmp_path: Path, settings: LinkSettings = QUICK, hub_settings: HubSettings = QUICK_HUB
) -> AsyncIterator[Ends]:
    """Hub, relay and edge, connected."""
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX, "other": "works/other"})
    async with hub_of(ends, tmp_path, hub_settings) as port, Relay("127.0.0.1", port) as relay:
        ends.relay = relay
        async with edge_of(ends, tmp_path / "edge", relay.port, settings) as link:
            ends.link = link
            await until(lambda: link.status().connected)
            yield ends
