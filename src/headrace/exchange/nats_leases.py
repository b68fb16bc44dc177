"""Leases on partitions, in a key-value bucket of NATS whose keys end when they are not renewed.

    every third of a lease:  say that I live ─► who else does? ─► give what is too much ─► renew ─► take what is free

A worker that was paused for longer than a lease finds its keys taken or gone, and lets the partitions go; until it
looks, two may read one partition, and what both read is read twice, never lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
import zlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from headrace.exchange.partitions import share, to_give, to_take

if TYPE_CHECKING:
    from nats.js import JetStreamContext
    from nats.js.kv import KeyValue

    from headrace.exchange.nats import NatsSettings

log = logging.getLogger(__name__)

LOOK_S = 15.0

Change = Callable[[int], Awaitable[None]]


class Leases:
    """The share of one worker. `hold` and `release` are told of each partition."""

    def __init__(
        self,
        stream: JetStreamContext,
        settings: NatsSettings,
        group: str,
        partitions: int,
        hold: Change,
        release: Change,
    ) -> None:
        self._stream, self._settings, self._group = stream, settings, group
        self._partitions, self._hold, self._release = partitions, hold, release
        self._me = uuid.uuid4().hex[:12]
        self._held: dict[int, int] = {}  # partition -> revision of its key
        self._leaving: dict[int, asyncio.Task[None]] = {}  # nobody waits for them: the other leases would end
        self._bucket: KeyValue | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make the bucket, take a first share and keep it."""
        from nats.errors import Error

        name = f"{self._settings.stream}-leases"
        try:
            self._bucket = await self._stream.create_key_value(
                bucket=name, ttl=self._settings.lease_s, history=1, replicas=self._settings.replicas
            )
        except Error:  # another worker made it
            self._bucket = await self._stream.key_value(name)
        await self._balance()
        self._task = asyncio.create_task(self._keep(), name=f"leases of {self._group}")

    async def stop(self) -> None:
        """Let everything go at once, so that others need not wait for it to end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for partition in self._held.keys() - self._leaving.keys():
            self._leave(partition)
        await asyncio.gather(*self._leaving.values(), return_exceptions=True)
        if self._bucket is not None:
            with contextlib.suppress(Exception):
                await self._bucket.delete(f"{self._group}.worker.{self._me}")

    async def _keep(self) -> None:
        """Whatever the client raises between two servers, the next look comes: leases end meanwhile, others take over,
        we find out. A worker that stopped looking would hold nothing and say that it lives."""
        said = ""
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            try:
                async with asyncio.timeout(LOOK_S):  # the client may wait without end
                    await self._balance()
                said = ""
            except Exception as error:
                if (why := f"{type(error).__name__}: {error}") != said:
                    log.warning("leases of %s could not be looked after: %s", self._group, why)
                said = why

    async def _balance(self) -> None:
        assert self._bucket is not None
        await self._bucket.put(f"{self._group}.worker.{self._me}", b"")
        keys = await self._keys()
        workers = {key for key in keys if key.startswith(f"{self._group}.worker.")}
        taken = {int(key.rpartition(".")[2]) for key in keys if key.startswith(f"{self._group}.partition.")}
        fair = share(self._partitions, len(workers))
        for partition in list(self._held):
            await self._renew(partition)
        mine = self._held.keys() - self._leaving.keys()
        for partition in to_give(mine, fair):
            self._leave(partition)
        free = set(range(self._partitions)) - taken - self._held.keys() - self._leaving.keys()
        for partition in to_take(mine, free, fair, zlib.crc32(self._me.encode())):
            await self._take(partition)

    async def _keys(self) -> list[str]:
        """Raises: nats.errors.TimeoutError where the list stops half-way, as it does when the server goes away."""
        from nats.errors import TimeoutError as NatsTimeoutError
        from nats.js.errors import NoKeysError

        assert self._bucket is not None
        try:
            async with asyncio.timeout(self._settings.publish_timeout_s):
                return await self._bucket.keys()
        except NoKeysError:
            return []
        except TimeoutError:  # the library waits for the rest without end
            raise NatsTimeoutError from None

    async def _take(self, partition: int) -> None:
        from nats.js.errors import KeyWrongLastSequenceError

        assert self._bucket is not None
        try:
            self._held[partition] = await self._bucket.create(self._key(partition), self._me.encode())
        except KeyWrongLastSequenceError:
            return  # somebody was first
        await self._hold(partition)

    async def _renew(self, partition: int) -> None:
        from nats.js.errors import KeyWrongLastSequenceError

        assert self._bucket is not None
        if partition not in self._held:
            return  # it was let go meanwhile
        try:
            revision = await self._bucket.update(self._key(partition), self._me.encode(), last=self._held[partition])
        except KeyWrongLastSequenceError:  # it ended while we were paused
            self._held.pop(partition, None)
            self._leave(partition)
            return
        if partition in self._held:
            self._held[partition] = revision
        else:
            await self._delete(partition, revision)

    def _leave(self, partition: int) -> None:
        """It stays ours until whoever works on it has ended."""
        if partition not in self._leaving:
            self._leaving[partition] = asyncio.create_task(self._left(partition), name=f"leave {partition}")

    async def _left(self, partition: int) -> None:
        try:
            await self._release(partition)
        finally:
            del self._leaving[partition]
            revision = self._held.pop(partition, None)
            if revision is not None:
                await self._delete(partition, revision)

    async def _delete(self, partition: int, revision: int) -> None:
        assert self._bucket is not None
        with contextlib.suppress(Exception):
            await self._bucket.delete(self._key(partition), last=revision)

    def _key(self, partition: int) -> str:
        return f"{self._group}.partition.{partition}"
