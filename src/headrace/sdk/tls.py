"""TLS that a listener keeps while its certificate changes under it.

    listener ── context, for ever ──► each handshake asks ──► the newest context: certificate, whose clients are good
    become(chain, key, …) ──────────────────────────────────────┘     connections that stand go on as they are

TLS 1.2 at least; of 1.2 only suites with forward secrecy and authenticated encryption. Source: RFC 9325 §3.1.1, §4.2;
IEC 62443-3-3 SR 4.3; GB/T 22239-2019 8.1.2.2.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

from headrace.model.errors import ConfigError
from headrace.sdk.secret_files import load_own

SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class LiveContext:
    """`context` is what a listener is given once. With `clients` they are asked for certificates."""

    def __init__(self, *, clients: ssl.VerifyMode = ssl.CERT_NONE) -> None:
        self._clients = clients
        self._newest: ssl.SSLContext | None = None
        self.context = _bare(clients)
        self.context.sni_callback = self._chosen

    def become(self, chain: bytes, key: bytes, what: str, authorities: bytes = b"") -> None:
        """For handshakes from now on. `authorities` (PEM) say whose client certificates are good; one of them may be
        the certificate of a single client. Raises: ConfigError that names `what`, and nothing has changed."""
        fresh = _bare(self._clients)
        load_own(fresh, chain, key, what)
        if authorities:
            try:
                fresh.load_verify_locations(cadata=authorities.decode("ascii"))
            except (ssl.SSLError, ValueError) as error:
                raise ConfigError(f"the certificates whose holders {what} lets in cannot be used: {error}") from None
        self._newest = fresh

    def _chosen(self, handshake: ssl.SSLSocket | ssl.SSLObject, name: Any, context: ssl.SSLContext) -> int | None:
        """Called in every handshake, with or without a server name."""
        del name, context
        if self._newest is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        handshake.context = self._newest
        return None


def _bare(clients: ssl.VerifyMode) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = clients
    if clients is not ssl.CERT_NONE:  # whoever comes again shows its certificate again
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # OpenSSL keeps this one of the context it began with
    return context
