"""Sessions with any node of the cluster, and the patience that a cluster needs.

    call ─► idle session ─┬─► answer
                          ├─ Lost ─► session dropped, next node ─┐
                          └─ Busy ─► a little later ─────────────┴─► again, until `retry_s` is over: Unavailable

Every call of ours may be repeated: a sample written twice is one sample, series and databases are made once, and what
a call deletes or writes twice it has not yet reported. A node that did not answer is asked last for ten seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from headrace.history.iotdb.connection import Busy, Connection, Lost
from headrace.history.iotdb.settings import IotdbSettings, Node
from headrace.model.errors import Unavailable
from headrace.sdk.clock import Clock

Answer = TypeVar("Answer")
AVOID_S: Final = 10.0
PAUSE_FIRST_S: Final = 0.1
PAUSE_LONGEST_S: Final = 1.0


class Pool:
    """Used by worker threads, at most `settings.sessions` at once."""

    def __init__(self, settings: IotdbSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._avoid_until: dict[Node, float] = {}
        self._turn = 0
        self.reconnects = 0
        self.retries = 0

    def call(self, question: Callable[[Connection], Answer]) -> Answer:
        """Ask some node. Raises: Unavailable after `retry_s`, and what the answer itself raises."""
        deadline = self._clock.monotonic_s() + self._settings.retry_s
        pause = PAUSE_FIRST_S
        while True:
            connection: Connection | None = None
            try:
                connection = self._take()
                answer = question(connection)
            except Lost as lost:
                reason: Exception = lost
                self._gone(connection)
            except Busy as busy:
                reason = busy
                # The next try may be another node's: this one may have lost its leader.
                self._give(connection, last=True)
            except BaseException:
                self._drop(connection)
                raise
            else:
                self._give(connection)
                return answer
            self.retries += 1
            if self._clock.monotonic_s() + pause > deadline or self._closing.wait(pause):
                raise Unavailable(
                    f"IoTDB at {', '.join(map(str, self._settings.nodes))} does not answer; is the cluster running?",
                    detail=str(reason),
                ) from None
            pause = min(2 * pause, PAUSE_LONGEST_S)

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> Connection:
        """An idle session, or a new one with the first node that answers. Raises: Lost, AccessError, ConfigError."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
            now, nodes = self._clock.monotonic_s(), self._settings.nodes
            turn, self._turn = self._turn, self._turn + 1
            order = [nodes[(turn + step) % len(nodes)] for step in range(len(nodes))]
            order.sort(key=lambda node: self._avoid_until.get(node, 0.0) > now)
        reasons = []
        for node in order:
            try:
                return Connection(node, self._settings)
            except (Lost, Busy) as error:
                reasons.append(str(error))
                self._avoid(node)
        raise Lost("; ".join(reasons))

    def _give(self, connection: Connection | None, *, last: bool = False) -> None:
        if connection is None:
            return
        with self._lock:
            if not self._closing.is_set():
                self._idle.insert(0 if last else len(self._idle), connection)
                return
        connection.close()

    def _gone(self, connection: Connection | None) -> None:
        """Its node is: other sessions with it are gone too."""
        if connection is None:
            return
        self.reconnects += 1
        self._avoid(connection.node)
        with self._lock:
            stale = [other for other in self._idle if other.node == connection.node]
            self._idle = [other for other in self._idle if other.node != connection.node]
        for other in (connection, *stale):
            other.close()

    def _drop(self, connection: Connection | None) -> None:
        """After an error in the middle of an answer the session's state is unknown."""
        if connection is not None:
            connection.close()

    def _avoid(self, node: Node) -> None:
        with self._lock:
            self._avoid_until[node] = self._clock.monotonic_s() + AVOID_S
