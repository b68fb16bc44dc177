"""Channels as they run: opened when first used, closed when they are declared otherwise, held to their pace."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pydantic import ValidationError

from headrace.model.errors import ConfigError, DataError, DeviceError, Garbled, LimitReached, Refused, Unreachable
from headrace.model.notifications import Channel
from headrace.sdk.clock import Clock
from headrace.sdk.messenger import Message, Messenger, MessengerContext, MessengerType, Recipient

log = logging.getLogger(__name__)

SEND_S: Final = 60.0
_MINUTE_S: Final = 60.0


class Channels:
    def __init__(
        self, types: Mapping[str, MessengerType], context_of: Callable[[str], MessengerContext], clock: Clock
    ) -> None:
        self._types, self._context_of, self._clock = types, context_of, clock
        self._declared: Mapping[str, Channel] = {}
        self._open: dict[str, tuple[Channel, Messenger]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._sent_s: dict[str, deque[float]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def become(self, channels: Mapping[str, Channel]) -> None:
        """These and no others; what changed is opened anew. What still sends is closed when it has done: whoever
        declares the plant waits for no mail server."""
        self._declared = dict(channels)
        for name, (before, messenger) in list(self._open.items()):
            if channels.get(name) != before:
                del self._open[name]
                leaving = asyncio.create_task(_shut(messenger, self._locks.pop(name)), name=f"leave channel {name}")
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)
        for name in [name for name in self._sent_s if name not in channels]:
            del self._sent_s[name]

    async def close(self) -> None:
        self.become({})
        await asyncio.gather(*self._leaving)

    def has_pace(self, name: str) -> bool:
        """Whether a message may go out now, by how many went within a minute."""
        channel, sent = self._declared.get(name), self._sent_s.get(name)
        if channel is None or not sent:
            return True
        now_s = self._clock.monotonic_s()
        while sent and sent[0] <= now_s - _MINUTE_S:
            sent.popleft()
        return len(sent) < channel.per_minute

    async def send(self, name: str, message: Message, to: Sequence[Recipient]) -> Sequence[Recipient]:
        """Those whom it will never reach. Raises: Unreachable, LimitReached; Refused, Garbled, ConfigError."""
        channel = self._declared.get(name)
        if channel is None or not channel.enabled or channel.kind not in self._types:
            raise Refused(f"channel '{name}' is not declared any longer, or not enabled")
        async with self._locks.setdefault(name, asyncio.Lock()):
            messenger = self._messenger(channel)
            self._sent_s.setdefault(name, deque(maxlen=1_000)).append(self._clock.monotonic_s())
            try:
                async with asyncio.timeout(SEND_S):
                    return await messenger.send(message, to)
            except TimeoutError:
                raise Unreachable(f"channel '{name}' has not taken the message within {SEND_S:g} s") from None
            except (DeviceError, LimitReached, ConfigError, DataError):
                raise
            except Exception as fault:  # a fault of ours in one channel: the other ways to people stay open
                log.exception("channel '%s' failed in a way of its own", name)
                raise Garbled(f"channel '{name}' failed; the log of the platform says how") from fault

    def _messenger(self, channel: Channel) -> Messenger:
        held = self._open.get(channel.name)
        if held is not None:
            return held[1]
        kind = self._types[channel.kind]
        try:
            settings = kind.settings.model_validate(dict(channel.settings))
        except ValidationError as error:
            raise ConfigError(
                f"the settings of channel '{channel.name}' are no longer valid", detail=str(error)
            ) from None
        messenger = kind.open(settings, self._context_of(channel.name))
        self._open[channel.name] = channel, messenger
        return messenger


async def _shut(messenger: Messenger, sending: asyncio.Lock) -> None:
    async with sending:
        await messenger.close()
