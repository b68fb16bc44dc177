"""The STATE of a host application: its will, its birth, its death, one timestamp for each session. §5.4, §6.4.29.

will ──► CONNECT ──► opening: online ──► … ──► closing: offline ──► DISCONNECT
                          ▲
somebody says offline ────┘  said again
"""

from __future__ import annotations

import orjson

from headrace.connect.payload.contract import Publish
from headrace.connect.sparkplug.topics import Topic, Verb
from headrace.model.time import MILLISECOND_NS


class Presence:
    """Of one host with one MQTT server. `online`: what was said last."""

    def __init__(self, host: str) -> None:
        self.host, self.topic = host, str(Topic(Verb.STATE, "", host))
        self._session_ms: int | None = None
        self.online = False

    def will(self, now_ns: int) -> Publish:
        """A new session, with a time of its own."""
        self._session_ms, self.online = now_ns // MILLISECOND_NS, False
        return self._say(False, self._session_ms)

    def opening(self, now_ns: int) -> Publish:
        if self._session_ms is None:
            self._session_ms = now_ns // MILLISECOND_NS
        self.online = True
        return self._say(True, self._session_ms)

    def closing(self, now_ns: int) -> Publish:
        self.online = False
        return self._say(False, max(now_ns // MILLISECOND_NS, self._session_ms or 0))

    def hear(self, host: str, payload: bytes) -> Publish | None:
        """Somebody, often the will of our own earlier session, says that we are offline: we are not."""
        if host != self.host or not self.online:
            return None
        try:
            said = orjson.loads(payload)
        except orjson.JSONDecodeError:
            said = None
        if isinstance(said, dict) and said.get("online") is True:
            return None
        return self._say(True, self._session_ms or 0)

    def _say(self, online: bool, timestamp_ms: int) -> Publish:
        payload = orjson.dumps({"online": online, "timestamp": timestamp_ms})
        return Publish(self.topic, payload, qos=1, retain=True)
