"""What an engineer declares for OPC UA: settings of a connection, address of a point. Never imports asyncua.

connections:
  cell-a: {driver: opcua, settings: {url: "opc.tcp://10.0.0.7:4840/", security: sign-and-encrypt}}
points:
  acme/line/press/oil.temperature: {address: {node: "ns=2;s=Press.OilTemperature"}, …}
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from enum import StrEnum
from typing import Annotated, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from headrace.connect.settings import SecretReference, duration
from headrace.model.time import HOUR_NS, MINUTE_NS, SECOND_NS

PORT_DEFAULT: Final = 4840
_FINGERPRINT = re.compile(r"[0-9A-F]{64}")
_NODE = re.compile(r"(?:ns=(?P<index>\d+);|nsu=(?P<uri>[^;]+);)?(?P<type>[isgb])=(?P<id>.+)", re.DOTALL)
_NODE_HELP: Final = "write ns=2;s=Name, ns=2;i=1001, or with the namespace's URI nsu=urn:maker:machine;s=Name"


class Security(StrEnum):
    """Message security mode. Source: OPC 10000-4 §7.20."""

    NONE = "none"
    SIGN = "sign"
    SIGN_AND_ENCRYPT = "sign-and-encrypt"


class Policy(StrEnum):
    """Security policies that are not deprecated. Source: OPC 10000-7 §6.6."""

    BASIC256_SHA256 = "Basic256Sha256"
    AES128_SHA256_RSA_OAEP = "Aes128Sha256RsaOaep"
    AES256_SHA256_RSA_PSS = "Aes256Sha256RsaPss"


def _server_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "opc.tcp" or not parts.hostname:
        raise ValueError(f"'{url}' is not the address of an OPC UA server; write opc.tcp://host:4840/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("leave name and password out of the url; use `user` and `password`")
    try:
        port = parts.port or PORT_DEFAULT
    except ValueError:
        raise ValueError(f"'{url}' has no valid port; ports are 1 to 65535") from None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"opc.tcp://{host}:{port}{parts.path}"


def normal_fingerprint(text: str) -> str:
    """SHA-256 as upper-case hex in pairs joined by colons, from any common spelling. Raises: ValueError."""
    plain = re.sub(r"[:\s]", "", text).upper()
    if not _FINGERPRINT.fullmatch(plain):
        raise ValueError("a fingerprint is the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons")
    return ":".join(plain[at : at + 2] for at in range(0, 64, 2))


class Settings(BaseModel):
    """A connection to one server. Durations are text (`5s`) in a declaration and nanoseconds here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, AfterValidator(_server_url)] = Field(description="opc.tcp://host:port/path of the endpoint")
    security: Security = Security.SIGN_AND_ENCRYPT
    policy: Policy = Policy.BASIC256_SHA256
    user: str | None = Field(None, min_length=1, description="account at the server; none for an anonymous session")
    password: SecretReference | None = Field(None, description="where its password is: env:NAME or file:/path")
    trusted: Annotated[str, AfterValidator(normal_fingerprint)] | None = Field(
        None, description="SHA-256 fingerprint of the server's certificate, instead of trusting it in the console"
    )
    timeout_ns: Annotated[int, duration("100ms", "5m")] = Field(
        5 * SECOND_NS, alias="timeout", description="how long one answer may take"
    )
    session_timeout_ns: Annotated[int, duration("5s", "1d")] = Field(
        MINUTE_NS, alias="session_timeout", description="how long the server keeps a silent session"
    )
    channel_lifetime_ns: Annotated[int, duration("1s", "1d")] = Field(
        HOUR_NS, alias="channel_lifetime", description="how long a secure channel lives before it is renewed"
    )
    keep_alive_ns: Annotated[int, duration("100ms", "5m")] = Field(
        5 * SECOND_NS, alias="keep_alive", description="how soon a silent server is noticed"
    )
    publishing_interval_ns: Annotated[int | None, duration("10ms", "1h")] = Field(
        None,
        alias="publishing_interval",
        description="how often the server sends changes; else the shortest interval of its points",
    )
    items_per_subscription: int = Field(1000, ge=1, le=100_000, description="more are spread over several")
    nodes_per_read: int = Field(500, ge=1, le=10_000, description="fewer where the server says so")
    queue_size: int = Field(10, ge=1, le=10_000, description="changes the server holds for a point between two sends")

    @model_validator(mode="after")
    def _password_has_user(self) -> Settings:
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` go together; leave out both for an anonymous session")
        return self


class NodeRef(NamedTuple):
    """A parsed node id. `namespace` is an index, or a URI that is looked up in the server's NamespaceArray."""

    namespace: int | str
    type: str
    """`i`, `s`, `g` or `b`, as in the text form. Source: OPC 10000-6 §5.3.1.10."""
    identifier: int | str | uuid.UUID | bytes


def parse_node(text: str) -> NodeRef:
    """`ns=2;s=Name` or `nsu=urn:maker;i=7` to its parts. Raises: ValueError in plain words."""
    found = _NODE.fullmatch(text)
    if not found:
        raise ValueError(f"'{text}' is not a node id; {_NODE_HELP}")
    namespace: int | str = unquote(found["uri"]) if found["uri"] else int(found["index"] or 0)
    if isinstance(namespace, int) and namespace > 0xFFFF:
        raise ValueError(f"'{text}' has namespace {namespace}; namespaces are 0 to 65535")
    kind, raw = found["type"], found["id"]
    if kind == "s":
        return NodeRef(namespace, kind, raw)
    if kind == "i":
        if not raw.isdecimal() or int(raw) > 0xFFFF_FFFF:
            raise ValueError(f"'{text}' has no number from 0 to 4294967295 after i=; {_NODE_HELP}")
        return NodeRef(namespace, kind, int(raw))
    try:
        identifier = uuid.UUID(raw) if kind == "g" else base64.b64decode(raw, validate=True)
    except (ValueError, binascii.Error):
        wanted = "a GUID after g=" if kind == "g" else "base64 after b="
        raise ValueError(f"'{text}' has no {wanted}; {_NODE_HELP}") from None
    return NodeRef(namespace, kind, identifier)


def _node_text(text: str) -> str:
    parse_node(text)
    return text


class Address(BaseModel):
    """Where a point lives: a variable node, and for an array the index of its element, counted from 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: Annotated[str, AfterValidator(_node_text)] = Field(description="ns=2;s=Name, or nsu=urn:maker;s=Name")
    index: int | None = Field(None, ge=0, le=1_000_000, description="element of an array, from 0")

    @property
    def ref(self) -> NodeRef:
        return parse_node(self.node)
