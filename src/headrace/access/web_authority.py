"""The console's own certificate authority, where nobody gave a certificate: small, and good for this machine alone.

    <home>/tls/ca.key (sealed)  ca.pem             ten years; may sign for the names below, and for nothing else
    <home>/tls/server.key (sealed)  server.pem     90 days; made anew by itself when 30 are left, or names change

Whoever trusts ca.pem trusts it for this machine's names and for addresses of private networks: a key that is stolen
here opens no bank. A name outside of that needs a new authority, which people have to trust anew, so it is made only
then.
Source: RFC 5280 §4.2.1.10 (name constraints); CA/Browser Forum Baseline Requirements §6.3.2 (at most 398 days).
"""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from headrace.model.errors import ConfigError, DataError
from headrace.model.time import DAY_NS
from headrace.sdk import issuing
from headrace.sdk.certificates import ServerIdentity
from headrace.sdk.secret_files import SecretFiles, put_private

log = logging.getLogger(__name__)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

AUTHORITY_DAYS: Final = 3_650
SERVER_DAYS: Final = 90
_AUTHORITY_RENEWED_DAYS: Final = 365
_SERVER_RENEWED_DAYS: Final = 30
PRIVATE: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Names:
    """Under which a machine is reached."""

    dns: tuple[str, ...]
    addresses: tuple[Address, ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str]) -> Names:
        """Names and addresses, sorted apart. Raises: ConfigError."""
        dns: dict[str, None] = {}
        addresses: dict[Address, None] = {}
        for text in texts:
            try:
                addresses[ipaddress.ip_address(text.strip("[]").partition("%")[0])] = None
            except ValueError:
                dns[_ascii(text)] = None
        return cls(tuple(sorted(dns)), tuple(sorted(addresses, key=lambda one: (one.version, int(one)))))

    @property
    def name(self) -> str:
        """What the machine is called, for people."""
        return next((one for one in self.dns if one != "localhost"), "localhost")

    @property
    def texts(self) -> tuple[str, ...]:
        return (*self.dns, *map(str, self.addresses))

    @property
    def alternatives(self) -> list[x509.GeneralName]:
        return [*map(x509.DNSName, self.dns), *map(x509.IPAddress, self.addresses)]


@dataclass(frozen=True, slots=True)
class Held:
    """What there is now."""

    authority: x509.Certificate
    server: x509.Certificate
    identity: ServerIdentity
    names: Names


class WebAuthority:
    """Every method reads or writes files: call it in a thread."""

    def __init__(self, folder: Path, files: SecretFiles) -> None:
        self._folder, self._files = folder, files

    def held(self, names: Names, now_ns: int, *, renew: bool = False, renew_authority: bool = False) -> Held:
        """Made where there is none, or where what there is does not do any more. Raises: ConfigError."""
        authority = self._authority(names, now_ns, renew_authority)
        key_file, chain_file = self._folder / "server.key", self._folder / "server.pem"
        if not renew and key_file.exists() and chain_file.exists():
            server, key = self._load(key_file, chain_file)
            if _serves(server, authority.certificate, names, now_ns):
                return _held(authority, server, key, names)
        key = issuing.new_key()
        server = issuing.issue(
            authority,
            key.public_key(),
            names.name,
            names.alternatives,
            [ExtendedKeyUsageOID.SERVER_AUTH],
            now_ns - DAY_NS,  # clocks of those who look differ
            now_ns + SERVER_DAYS * DAY_NS,
        )
        self._keep(key_file, key, chain_file, issuing.pem(server) + issuing.pem(authority.certificate))
        return _held(authority, server, key, names)

    def _authority(self, names: Names, now_ns: int, renew: bool) -> issuing.Authority:
        key_file, file = self._folder / "ca.key", self._folder / "ca.pem"
        if key_file.exists() and file.exists():
            certificate, key = self._load(key_file, file)
            if not renew and _covers(certificate, names) and _lasts(certificate, now_ns, _AUTHORITY_RENEWED_DAYS):
                return issuing.Authority(key, certificate)
            log.warning("a new authority for the console is made: those who trusted the one before have to trust it")
        made = issuing.make_authority(
            issuing.new_key(),
            f"Headrace {names.name[:40]} {os.urandom(3).hex()}",
            now_ns - DAY_NS,
            now_ns + AUTHORITY_DAYS * DAY_NS,
            x509.NameConstraints([*map(x509.DNSName, names.dns), *map(x509.IPAddress, _networks(names))], None),
        )
        self._keep(key_file, made.key, file, issuing.pem(made.certificate))
        return made

    def _keep(self, key_file: Path, key: ec.EllipticCurvePrivateKey, file: Path, chain: bytes) -> None:
        """A stop in between leaves a key without a certificate: both are made anew then."""
        try:
            file.unlink(missing_ok=True)
            self._files.write(key_file, issuing.private_pem(key))
            put_private(file, chain)
        except OSError as error:
            raise ConfigError(f"cannot keep the console's certificate in '{self._folder}' ({error.strerror})") from None

    def _load(self, key_file: Path, file: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        mend = (
            f"restore both from one backup, or remove '{self._folder}': then an authority is made that all trust anew"
        )
        try:
            key = serialization.load_pem_private_key(self._files.read(key_file), None)
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except OSError as error:
            raise ConfigError(f"cannot read '{error.filename}' ({error.strerror}); {mend}") from None
        except (DataError, ValueError, TypeError) as error:
            raise ConfigError(f"'{file}' or its key is damaged; {mend}", detail=str(error)) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ConfigError(f"'{key_file}' is not the key of '{file}'; {mend}")
        return certificate, key


def _held(
    authority: issuing.Authority, server: x509.Certificate, key: ec.EllipticCurvePrivateKey, names: Names
) -> Held:
    chain = issuing.pem(server) + issuing.pem(authority.certificate)
    return Held(authority.certificate, server, ServerIdentity(chain, issuing.private_pem(key)), names)


def _serves(server: x509.Certificate, authority: x509.Certificate, names: Names, now_ns: int) -> bool:
    try:
        server.verify_directly_issued_by(authority)
        shown = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # not ours, or signed by the authority before
        return False
    wanted, has = set(names.alternatives), set(shown)
    return has == wanted and _lasts(server, now_ns, _SERVER_RENEWED_DAYS)


def _lasts(certificate: x509.Certificate, now_ns: int, days: float) -> bool:
    return issuing.begins_ns(certificate) <= now_ns and issuing.days_left(certificate, now_ns) > days


def _covers(authority: x509.Certificate, names: Names) -> bool:
    """Whether it may sign for all of these names."""
    try:
        found = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    except x509.ExtensionNotFound:
        return False
    dns = {one.value for one in found if isinstance(one, x509.DNSName)}
    networks = [one.value for one in found if isinstance(one, x509.IPAddress)]
    return dns >= set(names.dns) and all(_is_in(one, networks) for one in names.addresses)


def _networks(names: Names) -> list[Network]:
    """Private ones, and each public address by itself."""
    public = [one for one in names.addresses if not is_private(one)]
    return [*PRIVATE, *(ipaddress.ip_network(one) for one in public)]


def is_private(address: Address) -> bool:
    return _is_in(address, PRIVATE)


def _is_in(address: Address, networks: Sequence[object]) -> bool:
    of_this_kind = ipaddress.IPv4Network if address.version == 4 else ipaddress.IPv6Network
    return any(address in network for network in networks if isinstance(network, of_this_kind))


def _ascii(name: str) -> str:
    """As certificates have it: `xn--…` for what is not ASCII. Raises: ConfigError."""
    folded = name.strip().rstrip(".").lower()
    try:
        return folded if folded.isascii() and folded else folded.encode("idna").decode()
    except UnicodeError:
        raise ConfigError(f"'{name[:80]}' is no name of a machine; --allow-host takes names and addresses") from None
