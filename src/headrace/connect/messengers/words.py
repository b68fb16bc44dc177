"""Text of plants and people on its way into a channel: it stays text, and it fits.

title, asset, comment ──one_line──► one printable line ──unmarked──► no markup of any service ──cut──► so many bytes

No service documents how its Markdown is escaped, so what it might act on is written with look-alikes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from headrace.model.text import shown

LINE_BYTES_MAX: Final = 500
TITLE_BYTES_MAX: Final = 400
LINK_BYTES_MAX: Final = 1_000
ELLIPSIS: Final = "…"

_LOOK_ALIKE: Final = str.maketrans("[]<>*`#@\\&", "［］＜＞＊｀＃＠＼＆")


@dataclass(frozen=True, slots=True)
class Words:
    """The few that a channel says itself."""

    open: str
    cut: str
    colon: str


_WORDS: Final = {
    "en": Words("Open in Headrace", "… shortened: it was too long for this channel", ": "),
    "zh": Words("在 Headrace 中打开", "……内容过长，已截断", "："),
}


def words(language: str) -> Words:
    return _WORDS["zh" if language.lower().startswith("zh") else "en"]


def one_line(text: str) -> str:
    """What steers nothing: no line ends, no control characters, no half characters."""
    whole = text.encode("utf-8", "replace").decode()
    return shown(" ".join(whole.split()))


def unmarked(text: str) -> str:
    """One line that is neither a link, a mention nor any other markup of a chat."""
    return one_line(text).translate(_LOOK_ALIKE).replace("://", "：//")


def cut(text: str, bytes_max: int) -> str:
    """The beginning that fits with an ellipsis, cut between characters; Unit: bytes of UTF-8."""
    data = text.encode()
    if len(data) <= bytes_max:
        return text
    return data[: max(bytes_max - len(ELLIPSIS.encode()), 0)].decode("utf-8", "ignore") + ELLIPSIS


def fitted(lines: Sequence[str], bytes_max: int, joint: str, note: str) -> str:
    """As many whole lines as fit; where some do not, `note` is the last one."""
    text = joint.join(lines)
    if len(text.encode()) <= bytes_max:
        return text
    kept, left = [], bytes_max - len(note.encode())
    for line in lines:
        left -= len((line + joint).encode())
        if left < 0:
            break
        kept.append(line)
    return joint.join([*kept, note])


def good_link(link: str) -> str:
    """The link as every service takes it, without what could end it early; empty where it is none."""
    safe = quote(link.encode("utf-8", "replace"), safe=":/?#@!$&*+,;=%~-._")
    fits = safe.startswith(("https://", "http://")) and len(safe) <= LINK_BYTES_MAX
    return safe if fits else ""


def hidden(text: str, secrets: Iterable[str]) -> str:
    """What the other side said, as it may be shown: short, and without what we told it in confidence."""
    for secret in sorted((one for one in secrets if one), key=len, reverse=True):
        text = text.replace(secret, "***")
    return one_line(text)[:200]
