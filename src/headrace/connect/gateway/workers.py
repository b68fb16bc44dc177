"""Several processes behind one port, seen from the platform: they speak MQTT, it decides, decodes and stores.

    worker ── admit ──► DeviceDoor; a session that is with another worker is handed over first
           ── take ───► LocalUpstream: decoded, durable ──► answered, so acknowledged
                           └──► to the other workers whose devices asked for the topic
    platform ── say, order, keep ──► the workers whose devices asked

All workers are processes of this program over socket pairs. One that dies ends the gateway: the supervisor opens it
anew, devices connect again, and what was not acknowledged is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final

from headrace.connect.gateway.limits import Counters, Limits
from headrace.connect.gateway.link import Link
from headrace.connect.gateway.local import LocalUpstream
from headrace.connect.gateway.retained import Kept
from headrace.connect.gateway.session import Key
from headrace.connect.gateway.subscriptions import Granted, Subscriptions
from headrace.connect.gateway.upstream import Gone
from headrace.connect.gateway.worker import Part
from headrace.connect.mqtt.packets import Property
from headrace.connect.payload.contract import Message, Publish
from headrace.model.errors import Unavailable, Unreachable
from headrace.sdk.children import bare_environment
from headrace.sdk.devices import Claim, Preview

_CLOSE_S: Final = 4.0
_COUNT_S: Final = 1.0
_ANY: Final = Granted(2, retain_as_published=True)
"""What a worker asks for in the name of its devices: the worker knows what each of them is granted."""


class _Process:
    """One worker. It stands in the index of subscriptions for all its devices, as a session does in a hub."""

    connection = None

    def __init__(self, pool: WorkerPool, number: int) -> None:
        self.number, self._pool = number, pool
        self.link = Link(self._on_call, self._on_tell, lambda: pool.gone(self), pool.failed)
        self.counts: Mapping[str, float] = {}
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "headrace.connect.gateway.worker", str(theirs.fileno())]
            self._process = await asyncio.to_thread(
                subprocess.Popen, command, pass_fds=[theirs.fileno()], env=bare_environment()
            )
        ours.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self.link, sock=ours)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def stop(self) -> None:
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                self.counts = await self.link.call("close")
        self.link.close()
        if self._process is not None:
            try:
                await asyncio.to_thread(self._process.wait, 2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)

    async def _on_call(self, kind: str, asked: tuple[Any, ...]) -> Any:
        return await (self._pool.admit(self, *asked) if kind == "admit" else self._pool.take(self, *asked))

    def _on_tell(self, kind: str, told: tuple[Any, ...]) -> None:
        self._pool.told(self, kind, told)


class WorkerPool:
    """`Front` for several processes. `start` before the first device, `close` after the last."""

    def __init__(
        self, name: str, limits: Limits, upstream: LocalUpstream, processes: int, lost: Callable[[Exception], None]
    ) -> None:
        self._name, self._limits, self._upstream, self._lost = name, limits, upstream, lost
        self._workers = [_Process(self, number) for number in range(processes)]
        self._wants: Subscriptions[_Process] = Subscriptions()
        self._owners: dict[Key, _Process] = {}
        self._online: dict[str, set[int]] = {}
        self._first: list[Kept] = []
        self._started = False
        self._closing = False
        self._orders = 0
        self._counting: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Task[None]] = set()
        self._counted = Counters()

    @property
    def counters(self) -> Counters:
        """As they were a second ago, of all workers together."""
        return self._counted

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    async def start(self, endpoints: Sequence[tuple[str, int, bool]], tls: Any) -> None:
        """Raises: DeviceError, ConfigError."""
        share = len(self._workers)
        limits = asdict(self._limits) | {"overload": self._limits.overload.value}
        limits["pending_bytes_max"] = max(self._limits.pending_bytes_max // share, 1 << 16)
        limits["connections_max"] = -(-self._limits.connections_max // share) + self._limits.connections_max // 10
        await asyncio.gather(*(worker.start() for worker in self._workers))
        for worker in self._workers:
            kept = [(one.topic, one.payload, one.qos) for one in self._first]
            await worker.link.call("open", self._name, limits, list(endpoints), tls, kept)
        self._started = True
        self._first.clear()

    def show(self, tls: Any) -> None:
        """Other certificates, for handshakes from now on."""
        for worker in self._workers:
            worker.link.tell("tls", *tls)

    def open(self) -> None:
        self._counting = asyncio.create_task(self._count(), name=f"gateway {self._name}: count")

    async def close(self) -> None:
        self._closing = True
        if self._counting is not None:
            self._counting.cancel()
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        self._sum()

    def gone(self, worker: _Process) -> None:
        if not self._closing:
            self._closing = True
            self._lost(Unreachable(f"process {worker.number} of gateway '{self._name}' has died"))

    def failed(self, fault: Exception) -> None:
        """A fault of ours, while a worker was answered."""
        if not self._closing:
            self._closing = True
            self._lost(fault)

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(_COUNT_S)
            with contextlib.suppress(Unavailable):
                for worker in self._workers:
                    worker.counts = await worker.link.call("counters")
            self._sum()

    def _sum(self) -> None:
        for field in fields(Counters):
            total = sum(worker.counts.get(field.name, 0) for worker in self._workers)
            setattr(self._counted, field.name, int(total))

    # --- what workers ask -----------------------------------------------------------------------------------------

    async def admit(
        self, worker: _Process, client_id: str, peer: str, user: str | None, password: bytes | None,
        certificate: str | None, clean_start: bool,
    ) -> tuple[Any, ...]:  # fmt: skip
        claim = Claim(self._name, client_id, peer, user, password, certificate)
        admission = await self._upstream.admit(claim)
        session = None
        if client_id:
            key = (admission.device, client_id)
            owner = self._owners.get(key)
            self._owners[key] = worker
            if owner is not None and owner is not worker:
                session = await owner.link.call("hand over", admission.device, client_id, clean_start)
        return (
            admission.device, admission.state.value, admission.publish, admission.subscribe,
            admission.messages_per_s, session,
        )  # fmt: skip

    async def take(self, worker: _Process, parts: list[Part]) -> list[tuple[dict[int, str], int]]:
        digests = [
            self._upstream.digest([Message(*one) for one in plain], [Gone(*one) for one in gone])
            for plain, gone, _ in parts
        ]
        outcomes = await self._upstream.take(digests)
        for (plain, _, more), outcome in zip(parts, outcomes, strict=True):
            self._forward(worker, plain, more, outcome.refused)
            for reply in outcome.replies:
                self.say(reply)
        return [(dict(outcome.refused), outcome.ignored) for outcome in outcomes]

    def told(self, worker: _Process, kind: str, told: tuple[Any, ...]) -> None:
        if kind == "preview":
            self._upstream.preview(told[0], Preview(*told[1:]))
        elif kind == "seen":
            self._seen(worker, *told)
        elif kind == "ended":
            if self._owners.get(told) is worker:
                del self._owners[told]
        elif kind == "wants":
            pattern, wanted = told
            if wanted:
                self._wants.add(worker, pattern, _ANY)
            else:
                self._wants.remove(worker, pattern)

    def _seen(self, worker: _Process, device: str, online: bool, messages: int, refused: int) -> None:
        at = self._online.setdefault(device, set())
        was = bool(at)
        if online:
            at.add(worker.number)
        else:
            at.discard(worker.number)
        if not at:
            del self._online[device]
        if bool(at) != was or messages or refused:
            self._upstream.seen(device, bool(at), messages, refused)

    def _forward(
        self, source: _Process, plain: Sequence[tuple[str, str, bytes, int]],
        more: Mapping[int, tuple[int, bool, dict[int, Any]]], refused: Mapping[int, str],
    ) -> None:  # fmt: skip
        """To workers whose devices have subscribed; the worker where a message came serves its own devices itself."""
        frames: dict[_Process, list[tuple[Any, ...]]] = {}
        for place, (_, topic, payload, _) in enumerate(plain):
            if place in refused:
                continue
            qos, retain, properties = more.get(place, (0, False, {}))
            left_s = properties.get(Property.MESSAGE_EXPIRY_INTERVAL)
            if retain:
                self._tell_kept(Kept(topic, payload, qos, properties), left_s, but=source)
            if not self._wants:
                continue
            routes = self._wants.match(topic)
            for worker in routes.sessions:
                if worker is not source:
                    frames.setdefault(worker, []).append((topic, payload, qos, retain, properties, left_s))
            for share in routes.shares:
                chosen = share.next()
                if chosen is not None:
                    chosen[0].link.tell("share", share.pattern, topic, payload, qos, properties, left_s)
        for worker, frame in frames.items():
            worker.link.tell("spread", frame)

    # --- what the platform asks (`Front`) -------------------------------------------------------------------------

    def is_online(self, device: str) -> bool:
        return device in self._online

    def say(self, said: Publish) -> None:
        if said.retain:
            self.keep(Kept(said.topic, said.payload, said.qos))
        for worker in self._wanting(said.topic):
            worker.link.tell("say", said.topic, said.payload, said.qos, said.origin)

    def order(self, said: Publish, timeout_s: float) -> list[asyncio.Future[int | None]]:
        if said.retain:
            self.keep(Kept(said.topic, said.payload, said.qos))
        answers = []
        for worker in self._wanting(said.topic):
            if said.origin is not None and worker.number not in self._online.get(said.origin, ()):
                continue
            self._orders += 1
            answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._ordered(worker, self._orders, said, timeout_s, answer))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)
            answers.append(answer)
        return answers

    async def _ordered(
        self, worker: _Process, number: int, said: Publish, timeout_s: float, answer: asyncio.Future[int | None]
    ) -> None:
        calling = asyncio.ensure_future(
            worker.link.call("order", number, said.topic, said.payload, said.qos, said.origin, timeout_s)
        )
        await asyncio.wait([calling, answer], return_when=asyncio.FIRST_COMPLETED)
        if answer.cancelled():
            worker.link.tell("give up", number)
        with contextlib.suppress(Unavailable):
            reasons = [reason for reason in await calling if reason is not None]
            if not answer.done():
                answer.set_result(min(reasons, default=None))
        if not answer.done():
            answer.set_result(None)

    def keep(self, kept: Kept) -> None:
        if self._started:
            self._tell_kept(kept)
        else:
            self._first.append(kept)

    def recheck(self, device: str) -> None:
        for worker in self._workers:
            worker.link.tell("recheck", device)

    def _tell_kept(self, kept: Kept, left_s: float | None = None, but: _Process | None = None) -> None:
        properties = {int(key): value for key, value in kept.properties.items()}
        for worker in self._workers:
            if worker is not but:
                worker.link.tell("keep", kept.topic, kept.payload, kept.qos, properties, left_s)

    def _wanting(self, topic: str) -> list[_Process]:
        return list(self._wants.match(topic).sessions)
