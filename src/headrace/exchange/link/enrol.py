"""How an edge becomes known: a key that never leaves it, and a certificate that its hub gives for a token.

    token ─► connect, trusting nobody ─► AUTHORITY ─► its SHA-256 is the token's? ─► connect again, trusting that one
          ─► ENROL (token, request) ─► CERTIFICATE ─► <home>/identity/, durable

The key is kept before the hub is asked, so an answer that was lost can be asked for again with the same key.

    identity/key.pem (0600)   certificate.pem (the chain)   authority.pem (the hub's)   edge.json (its name)
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.exchange.link.channel import Channel
from headrace.exchange.link.dial import Address, Proxy, dial
from headrace.exchange.link.messages import Close, Fields, Request
from headrace.exchange.link.settings import LinkSettings
from headrace.exchange.link.wire import Kind
from headrace.model.errors import AccessError, ConfigError, DataError, Unreachable
from headrace.sdk.edges import EdgeToken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Identity:
    """The files of an edge that is enrolled."""

    folder: Path

    @property
    def name(self) -> str:
        """Raises: ConfigError where it is not enrolled."""
        try:
            return str(json.loads((self.folder / "edge.json").read_text())["name"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(f"the edge in {self.folder.parent} is not enrolled; give it a token of its hub") from None

    @property
    def enrolled(self) -> bool:
        return all((self.folder / name).exists() for name in ("certificate.pem", "authority.pem", "edge.json"))

    def context(self) -> ssl.SSLContext:
        """For connections to the hub: both ends show a certificate. Raises: ConfigError."""
        context = _bare_context()
        try:
            context.load_verify_locations(self.folder / "authority.pem")
            context.load_cert_chain(self.folder / "certificate.pem", self.folder / "key.pem")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificates in {self.folder} cannot be used ({error}); enrol this edge again with a new token"
            ) from None
        return context

    def days_left(self, now_ns: int) -> float:
        """Until the certificate ends."""
        from cryptography import x509

        certificate = x509.load_pem_x509_certificate((self.folder / "certificate.pem").read_bytes())
        return (certificate.not_valid_after_utc.timestamp() - now_ns / 1e9) / 86_400

    def request(self, name: str, key_name: str = "key.pem") -> str:
        """A PKCS #10 request for the key, which is made where there is none, PEM."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject)
        signed = request.sign(self._key(self.folder / key_name), hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def _key(self, path: Path) -> EllipticCurvePrivateKey:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ConfigError(f"{path} is no key of ours; move it away and enrol this edge again")
            return key
        made = ec.generate_private_key(ec.SECP256R1())
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        put(path, made.private_bytes(encoding, form, serialization.NoEncryption()), mode=0o600)
        return made

    def renewed(self, chain: str) -> None:
        """Take a new certificate and the key that was made for it. A stop in between leaves a pair that fits."""
        # Both files are replaced by one rename each; the chain names its key, and `context` needs a pair that fits.
        new_key = (self.folder / "key.new.pem").read_bytes()
        put(self.folder / "certificate.new.pem", chain.encode())
        _check_pair(self.folder / "certificate.new.pem", self.folder / "key.new.pem")
        put(self.folder / "key.pem", new_key, mode=0o600)
        (self.folder / "certificate.new.pem").replace(self.folder / "certificate.pem")
        (self.folder / "key.new.pem").unlink()

    def mend(self) -> None:
        """After a stop in the middle of `renewed`."""
        new = self.folder / "certificate.new.pem"
        if not new.exists():
            return
        try:
            _check_pair(new, self.folder / "key.pem")
            new.replace(self.folder / "certificate.pem")
        except ConfigError:
            new.unlink()


def _check_pair(chain: Path, key: Path) -> None:
    try:
        _bare_context().load_cert_chain(chain, key)
    except (OSError, ssl.SSLError):
        raise ConfigError(f"the certificate in {chain} does not fit the key in {key}") from None


def put(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """The whole file, durable, or what was there before."""
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _bare_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


async def enrol(
    identity: Identity, token: EdgeToken, address: Address, settings: LinkSettings, proxy: Proxy | None
) -> None:
    """Raises: Unreachable, to be tried again; AccessError where the hub or its authority is not who the token says;
    DataError for an answer that makes no sense."""
    anybody = _bare_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    authority = bytes(await _ask(anybody, Kind.AUTHORITY, b"", Kind.AUTHORITY, address, settings, proxy))
    der = _der_of(authority)
    if hashlib.sha256(der).digest() != token.authority:
        raise AccessError(
            f"the hub at {address} is not the one that made the token: its authority is "
            f"{hashlib.sha256(der).hexdigest()[:16]}…; look at the address, or for somebody in between"
        )
    request = await asyncio.to_thread(identity.request, token.edge)
    trusting = _bare_context()
    trusting.load_verify_locations(cadata=authority.decode())
    answer = await _ask(
        trusting, Kind.ENROL, Request(request, token.text).payload(), Kind.CERTIFICATE, address, settings, proxy
    )
    fields = Fields(answer, "CERTIFICATE")
    name, chain = fields.take("edge", str), fields.take("chain", str)
    put(identity.folder / "authority.pem", authority)
    put(identity.folder / "certificate.pem", chain.encode())
    _check_pair(identity.folder / "certificate.pem", identity.folder / "key.pem")
    put(identity.folder / "edge.json", json.dumps({"name": name}).encode())


def _der_of(authority: bytes) -> bytes:
    try:
        return ssl.PEM_cert_to_DER_cert(authority.decode().strip() + "\n")
    except (ValueError, UnicodeDecodeError):
        raise DataError("the hub shows an authority that is no certificate") from None


async def _ask(
    context: ssl.SSLContext,
    kind: Kind,
    payload: bytes,
    wanted: Kind,
    address: Address,
    settings: LinkSettings,
    proxy: Proxy | None,
) -> memoryview:
    """One question on a connection of its own."""
    answer: asyncio.Future[memoryview] = asyncio.get_running_loop().create_future()

    def take(came: Kind, data: memoryview) -> None:
        if not answer.done():
            if came is Kind.CLOSE:
                answer.set_exception(AccessError(f"the hub refuses: {Close.of(data).reason}"))
            else:
                answer.set_result(memoryview(bytes(data)))

    channel = Channel({wanted, Kind.CLOSE}, take)
    channel.on_close = lambda close: take(Kind.CLOSE, memoryview(close.payload()))
    await dial(
        address, context, channel, proxy=proxy, connect_s=settings.patient_timeout_s,
        handshake_s=settings.patient_timeout_s,
    )  # fmt: skip
    try:
        channel.send(kind, payload)
        async with asyncio.timeout(settings.answer_timeout_s):
            either: list[asyncio.Future[Any]] = [answer, channel.lost]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise Unreachable(f"the hub at {address} hung up: {channel.lost.result()}")
        return answer.result()
    except TimeoutError:
        raise Unreachable(f"the hub at {address} does not answer") from None
    finally:
        answer.cancel()
        channel.abort("asked")
