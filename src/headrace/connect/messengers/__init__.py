"""Channels to people, one module each; what a channel is: `sdk/messenger.py`.

<name>.py     MESSENGER, its settings and what it says    email  webhook  wecom  dingtalk  feishu
words.py      text of plants and people, so that it steers nothing
smtp.py       the protocol of e-mail; mail.py what is sent by it
robot.py      what robots of group chats share
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from headrace.connect.messengers import dingtalk, email, feishu, webhook, wecom
from headrace.model.errors import ConfigError
from headrace.sdk.messenger import MessengerType

_ALL: Final = tuple(module.MESSENGER for module in (email, webhook, wecom, dingtalk, feishu))


def all_messengers() -> Mapping[str, MessengerType]:
    """Every kind of channel by name."""
    return {one.name: one for one in _ALL}


def messenger(name: str) -> MessengerType:
    """Raises: ConfigError, which names those that there are."""
    found = all_messengers().get(name)
    if found is None:
        raise ConfigError(f"there is no channel of kind '{name}'; there are {', '.join(sorted(all_messengers()))}")
    return found
