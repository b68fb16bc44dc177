"""What a channel to people is: it carries one message to some recipients, now. It never retries, sleeps or keeps one.

    compute/ ──Message, who──► Messenger.send ──► taken
                                            ├──► raises Unreachable or LimitReached: the same message again, later
                                            └──► raises Refused or Garbled: not by this channel, or not as it is set up

Who is told, when and by which channels is decided elsewhere; a channel knows only its protocol. Its module under
`connect/messengers/` exposes `MESSENGER: MessengerType`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel

from headrace.sdk.clock import Clock
from headrace.sdk.reach import Reach
from headrace.sdk.references import References


@dataclass(frozen=True, slots=True)
class Message:
    """What is said, in the words of one language.

    `key` is the same whenever the same message is sent again. `title` is one line; `lines` are plain text, never
    markup; `facts` are pairs of a label and a value, in order. `priority` is an alarm's, or empty. `link` opens the
    console, or is empty. `document` is the same for machines: what JSON can say.
    """

    key: str
    title: str
    lines: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    priority: str = ""
    link: str = ""
    language: str = "en"
    sent_ns: int = 0
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person as a channel needs them: `name` to show, `address` by the channel's own kind (see `MessengerType`)."""

    name: str
    address: str = ""


class Messenger(Protocol):
    async def send(self, message: Message, to: Sequence[Recipient]) -> Sequence[Recipient]:
        """Returns when the other side has it: those of `to` whom it will never reach, mostly none. A channel to a
        group returns whom it cannot mention by the address they have: the group has the message all the same.

        Raises: Unreachable, LimitReached (again later); Refused, Garbled (not again); ConfigError for settings
        that cannot work here.
        """
        ...

    async def close(self) -> None:
        """Release everything; called exactly once; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class MessengerContext:
    """What a channel is given beside its settings: where it may connect, and the secrets that its settings refer to."""

    channel: str
    clock: Clock
    reach: Reach = field(default_factory=Reach)
    references: References = field(default_factory=References)


@dataclass(frozen=True, slots=True)
class MessengerType:
    """What `connect/messengers/<name>.py` exposes as `MESSENGER`.

    `settings` is a pydantic model with `extra="forbid"`. `address` names what a person must have to be reached
    (`email`, `wecom`, `mobile` …) and is empty for a channel to a group, which may still mention people by it.
    `check_address` says in words what is wrong with one, or nothing.
    """

    name: str
    title: str
    settings: type[BaseModel]
    open: Callable[[Any, MessengerContext], Messenger]
    """`open(settings, context)`; does no I/O."""
    address: str = ""
    group: bool = False
    """One message reaches all: `to` is whom it mentions."""
    check_address: Callable[[str], str] = lambda _address: ""
