"""One message as an e-mail: text and HTML, safe whatever plants and people wrote into it.

Sources: RFC 5322 (fields), RFC 2047 (words beyond ASCII), RFC 2046 §5.1.4 (alternatives), RFC 3834 §5 (Auto-Submitted).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from html import escape
from typing import Final, TypeVar

from headrace.connect.messengers.words import LINE_BYTES_MAX, TITLE_BYTES_MAX, cut, good_link, one_line, words
from headrace.model.time import SECOND_NS
from headrace.sdk.messenger import Message

LINES_MAX: Final = 200
_Part = TypeVar("_Part")
_URGENCY: Final = {"critical": ("1 (Highest)", "high"), "high": ("2 (High)", "high"), "low": ("5 (Lowest)", "low")}
_USUAL: Final = ("3 (Normal)", "normal")
_COLOUR: Final = {"critical": "#d92d20", "high": "#e8590c", "medium": "#e0a800", "low": "#2f7fd1"}
_LOCAL: Final = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_IN_NAMES: Final = re.compile(r'["(),:;<>@\[\]\\]')


@dataclass(frozen=True, slots=True)
class Mailbox:
    """`local@domain`; the domain as DNS has it, in ASCII."""

    local: str
    domain: str

    @classmethod
    def of(cls, address: str) -> Mailbox:
        """Raises: ValueError, in words."""
        local, at, domain = address.rpartition("@")
        if not at or not _LOCAL.fullmatch(local) or len(local.encode("utf-8", "replace")) > 64 or len(address) > 254:
            raise ValueError(f"'{one_line(address)[:80]}' is no e-mail address; write name@example.com")
        try:
            plain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            plain = ""
        labels = plain.split(".")
        if len(plain) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
            raise ValueError(f"'{one_line(domain)[:80]}' is no domain; write name@example.com")
        return cls(local, plain)

    @property
    def ascii(self) -> bool:
        return self.local.isascii()

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    def named(self, name: str) -> Address:
        kept = one_line(_IN_NAMES.sub(" ", in_field(name)))
        return Address(cut(kept, 120), self.local, self.domain)


def written(
    message: Message, sender: Address, reply_to: Mailbox | None, to: Address, now_ns: int, *, utf8: bool = False
) -> bytes:
    """Lines end with CRLF; all ASCII unless `utf8`, and then only the fields are more."""
    mail = EmailMessage(policy=SMTPUTF8 if utf8 else SMTP)
    priority, importance = _URGENCY.get(message.priority, _USUAL)
    mail["From"], mail["To"] = sender, to
    if reply_to is not None:
        mail["Reply-To"] = Address("", reply_to.local, reply_to.domain)
    mail["Subject"] = cut(in_field(message.title), TITLE_BYTES_MAX) or "Headrace"
    mail["Date"] = datetime.fromtimestamp(now_ns // SECOND_NS, UTC)
    mail["Message-ID"] = f"<{hashlib.sha256(message.key.encode('utf-8', 'replace')).hexdigest()[:32]}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["X-Priority"], mail["Importance"] = priority, importance
    text, page = _text(message), _page(message)
    mail.set_content(text, cte=_encoding(text))
    mail.add_alternative(page, subtype="html", cte=_encoding(page))
    mail["Content-Language"] = "zh-CN" if message.language.lower().startswith("zh") else "en"
    return re.sub(rb"\r\n|\r|\n", b"\r\n", mail.as_bytes())


def in_field(text: str) -> str:
    """Text of a header: nothing in it is an encoded word, which may hide a line end (RFC 2047 §2)."""
    return one_line(text).replace("=?", "= ?")


def _text(message: Message) -> str:
    said = words(message.language)
    facts = [f"{_short(label)}{said.colon}{_short(value)}" for label, value in _some(message.facts)]
    blocks = [[_title(message)], [_short(line) for line in _some(message.lines)], facts]
    link = good_link(message.link)
    if len(message.lines) > LINES_MAX or len(message.facts) > LINES_MAX:
        blocks.append([said.cut])
    if link:
        blocks.append([f"{said.open}{said.colon}{link}"])
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _page(message: Message) -> str:
    """No colours but a bar and the client's own: dark clients stay dark."""
    said, link = words(message.language), good_link(message.link)
    bar = _COLOUR.get(message.priority, "#8a8f98")
    lines = "".join(f"<p>{escape(_short(line))}</p>" for line in _some(message.lines))
    rows = "".join(
        f'<tr><th align="left" style="padding:2px 16px 2px 0;font-weight:normal">{escape(_short(label))}</th>'
        f'<td style="padding:2px 0">{escape(_short(value))}</td></tr>'
        for label, value in _some(message.facts)
    )
    cut_off = len(message.lines) > LINES_MAX or len(message.facts) > LINES_MAX
    return (
        f'<!doctype html><html lang="{"zh-CN" if said.colon == "：" else "en"}"><head><meta charset="utf-8">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        '</head><body style="font-family:system-ui,sans-serif;font-size:15px;line-height:1.5">'
        f'<div style="border-left:4px solid {bar};padding-left:12px">'
        f'<h1 style="font-size:18px;margin:0 0 8px">{escape(_title(message))}</h1>{lines}'
        + (f"<table>{rows}</table>" if rows else "")
        + (f"<p>{escape(said.cut)}</p>" if cut_off else "")
        + (f'<p><a href="{escape(link)}">{escape(said.open)}</a></p>' if link else "")
        + "</div></body></html>\n"
    )


def _title(message: Message) -> str:
    return cut(one_line(message.title), TITLE_BYTES_MAX)


def _short(text: str) -> str:
    return cut(one_line(text), 4 * LINE_BYTES_MAX)


def _some(parts: Sequence[_Part]) -> Sequence[_Part]:
    return parts[:LINES_MAX]


def _encoding(text: str) -> str:
    return "quoted-printable" if text.isascii() else "base64"
