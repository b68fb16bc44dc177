"""Rebirth requests: each node not more often than declared, ever more rarely while it does not answer, never a storm.

ask ──► sent? ──► asked ──► birth ──► answered
                    └─ tick: no birth came ─► sent again after 1, 2, 4 … intervals, a few times; then the node's own
                                              next message asks again
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from headrace.connect.payload.contract import Decoded, Publish
from headrace.connect.sparkplug.commands import rebirth_payload
from headrace.connect.sparkplug.nodes import Node
from headrace.connect.sparkplug.topics import Topic, Verb

_ASKS_MAX: Final = 6
_PER_TICK_MAX: Final = 500


class Asking:
    """Counts in the host's counters."""

    def __init__(self, interval_ns: int, counts: Counter[str]) -> None:
        self._interval_ns, self._counts = interval_ns, counts
        self._asked: dict[Node, None] = {}
        self._left = _PER_TICK_MAX

    def ask(self, node: Node, now_ns: int, into: Decoded) -> None:
        """A request among the replies, or later where one has been sent of late."""
        self._asked[node] = None
        if now_ns < node.asked_ns or self._left <= 0:
            return
        self._left -= 1
        node.asked_ns = now_ns + (self._interval_ns << min(node.asks, _ASKS_MAX))
        node.asks += 1
        self._counts["rebirths asked for"] += 1
        topic = str(Topic(Verb.NCMD, node.group, node.name))
        into.replies.append(Publish(topic, rebirth_payload(now_ns), qos=0, origin=node.origin or None))

    def answered(self, node: Node) -> None:
        self._asked.pop(node, None)

    def tick(self, now_ns: int, into: Decoded) -> None:
        self._left = _PER_TICK_MAX
        for node in list(self._asked):
            if node.asks > _ASKS_MAX or node.is_forgotten:
                del self._asked[node]
            else:
                self.ask(node, now_ns, into)
