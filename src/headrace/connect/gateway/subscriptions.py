"""Who asked for what: a tree of topic levels, and a memory of what matched.

plant ─┬─ press-3 ── cmd     {session: Granted}
       ├─ +      ─── cmd     {session: Granted}          match("plant/press-3/cmd") ──► Routes, remembered
       └─ #                  {group: {session: …}}           until somebody subscribes or goes
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headrace.connect.mqtt.topics import share_of

if TYPE_CHECKING:
    from headrace.connect.gateway.session import Session

_REMEMBERED_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Granted:
    """One subscription as it was granted; `identifier` is 0 where the client gave none."""

    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    identifier: int = 0


@dataclass(slots=True)
class Share:
    """The members of a shared subscription take turns."""

    members: dict[Session, Granted]
    turn: int = 0

    def next(self) -> tuple[Session, Granted] | None:
        """The member whose turn it is: one that is connected, where any is."""
        if not self.members:
            return None
        members = list(self.members.items())
        first = self.turn % len(members)
        self.turn += 1
        ordered = members[first:] + members[:first]
        return next((one for one in ordered if one[0].connection is not None), ordered[0])


@dataclass(frozen=True, slots=True)
class Routes:
    """Where a topic goes: each session once with all its subscriptions that match, and one member of each share."""

    sessions: dict[Session, tuple[Granted, ...]]
    shares: tuple[Share, ...]

    def __bool__(self) -> bool:
        return bool(self.sessions or self.shares)


class _Node:
    __slots__ = ("below", "sessions", "shares")

    def __init__(self) -> None:
        self.below: dict[str, _Node] | None = None
        self.sessions: dict[Session, Granted] | None = None
        self.shares: dict[str, Share] | None = None

    @property
    def bare(self) -> bool:
        return not (self.below or self.sessions or self.shares)


class Subscriptions:
    """`len` is how many there are; filters are valid ones."""

    def __init__(self) -> None:
        self._root = _Node()
        self._count = 0
        self._remembered: dict[str, Routes] = {}
        self.nobody: set[str] = set()
        """Topics that nobody asked for, as far as they are remembered."""

    def __len__(self) -> int:
        return self._count

    def add(self, session: Session, pattern: str, granted: Granted) -> bool:
        """True where it is new, False where it takes the place of an older one [MQTT-3.8.4-3]."""
        group, plain = share_of(pattern)
        node = self._root
        for level in plain.split("/"):
            below = node.below
            if below is None:
                below = node.below = {}
            following = below.get(level)
            if following is None:
                following = below[level] = _Node()
            node = following
        if group is None:
            held = node.sessions = {} if node.sessions is None else node.sessions
        else:
            shares = node.shares = {} if node.shares is None else node.shares
            held = shares.setdefault(group, Share({})).members
        is_new = session not in held
        held[session] = granted
        self._count += is_new
        self._forget()
        return is_new

    def remove(self, session: Session, pattern: str) -> bool:
        """Whether there was one."""
        group, plain = share_of(pattern)
        way: list[tuple[_Node, str]] = []
        node = self._root
        for level in plain.split("/"):
            following = node.below.get(level) if node.below else None
            if following is None:
                return False
            way.append((node, level))
            node = following
        if group is None:
            found = node.sessions is not None and node.sessions.pop(session, None) is not None
        else:
            share = node.shares.get(group) if node.shares else None
            found = share is not None and share.members.pop(session, None) is not None
            if share is not None and not share.members and node.shares is not None:
                del node.shares[group]
        if not found:
            return False
        self._count -= 1
        self._forget()
        for above, level in reversed(way):  # leave no empty branches behind
            if above.below is None or not above.below[level].bare:
                break
            del above.below[level]
        return True

    def match(self, topic: str) -> Routes:
        """Where a message goes; the answer is shared, so read it only."""
        routes = self._remembered.get(topic)
        if routes is None:
            routes = self._find(topic)
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._forget()
            self._remembered[topic] = routes
            if not routes:
                self.nobody.add(topic)
        return routes

    def _forget(self) -> None:
        self._remembered.clear()
        self.nobody.clear()

    def _find(self, topic: str) -> Routes:
        sessions: dict[Session, tuple[Granted, ...]] = {}
        shares: list[Share] = []
        for node in self._nodes(topic):
            for session, granted in (node.sessions or {}).items():
                sessions[session] = (*sessions.get(session, ()), granted)
            shares += (node.shares or {}).values()
        return Routes(sessions, tuple(shares))

    def _nodes(self, topic: str) -> Iterator[_Node]:
        """Every node whose filter takes the topic in; no wildcard first for '$' [MQTT-4.7.2-1]."""
        levels = topic.split("/")
        reached = [self._root]
        for place, level in enumerate(levels):
            wild = place > 0 or not topic.startswith("$")
            following = []
            for node in reached:
                below = node.below
                if not below:
                    continue
                if level in below:
                    following.append(below[level])
                if wild:
                    if "+" in below:
                        following.append(below["+"])
                    if "#" in below:
                        yield below["#"]
            reached = following
        for node in reached:
            yield node
            if node.below and "#" in node.below:  # "a/#" takes in "a" too (§4.7.1.2)
                yield node.below["#"]
