"""All edges and their tokens in memory; what is here is what counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from headrace.fleet.edges.store import Enrolled, Token
from headrace.model.errors import NotFound
from headrace.sdk.fleet import EdgeState


class EdgeRoll:
    def __init__(self) -> None:
        self._edges: dict[str, Enrolled] = {}
        self._by_certificate: dict[str, str] = {}
        self._tokens: dict[str, Token] = {}

    def load(self, edges: Iterable[Enrolled], tokens: Iterable[Token]) -> None:
        for edge in edges:
            self.put(edge)
        self._tokens = {token.secret_hash: token for token in tokens}

    def __len__(self) -> int:
        return len(self._edges)

    def __iter__(self) -> Iterator[Enrolled]:
        """By name."""
        return (self._edges[name] for name in sorted(self._edges))

    def enrolled(self) -> list[str]:
        return [name for name, edge in self._edges.items() if edge.state is EdgeState.ENROLLED]

    def find(self, name: str) -> Enrolled | None:
        return self._edges.get(name)

    def get(self, name: str, tenant: str | None = None) -> Enrolled:
        """Raises: NotFound, in the same words for one of another tenant as for one that never was."""
        edge = self._edges.get(name)
        if edge is None or tenant not in (None, edge.tenant):
            raise NotFound(f"there is no edge '{name[:60]}'; `headrace edges list` shows all")
        return edge

    def of_certificate(self, certificate: str) -> Enrolled | None:
        name = self._by_certificate.get(certificate)
        return None if name is None else self._edges[name]

    def put(self, edge: Enrolled) -> None:
        old = self._edges.get(edge.name)
        if old is not None:
            self._unlist(old)
        self._edges[edge.name] = edge
        for certificate in (edge.certificate, edge.next_certificate):
            if certificate is not None:
                self._by_certificate[certificate] = edge.name

    def drop(self, name: str) -> None:
        self._unlist(self._edges.pop(name))
        self.drop_tokens(name)

    # --- tokens -----------------------------------------------------------------------------------------------------

    def put_token(self, token: Token) -> None:
        self._tokens[token.secret_hash] = token

    def token(self, secret: bytes) -> Token | None:
        return self._tokens.get(secret_hash(secret))

    def tokens_of(self, edge: str, *, spent: bool) -> list[Token]:
        return [one for one in self._tokens.values() if one.edge == edge and (one.spent_ns is not None) is spent]

    def drop_tokens(self, edge: str) -> None:
        self._tokens = {key: one for key, one in self._tokens.items() if one.edge != edge}

    def drop_spent(self, edge: str) -> None:
        for one in self.tokens_of(edge, spent=True):
            del self._tokens[one.secret_hash]

    def _unlist(self, edge: Enrolled) -> None:
        for certificate in (edge.certificate, edge.next_certificate):
            if certificate is not None:
                self._by_certificate.pop(certificate, None)


def secret_hash(secret: bytes) -> str:
    """Plain SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(secret).hexdigest()
