"""Edges and their tokens in SQL. Each method is one transaction, run in a thread; durable on return."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from headrace.fleet.tables import edges, tokens
from headrace.model.errors import Conflict, Unavailable
from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.edges import Actual
from headrace.sdk.fleet import EdgeState

Result = TypeVar("Result")


@dataclass(slots=True)
class Life:
    """What moves by itself; shared by the versions of an edge. Revision 0: nothing was ever declared for it."""

    last_contact_ns: int | None = None
    desired_revision: int = 0
    desired_digest: str = ""
    actual: Actual | None = None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An edge as it is kept. Two certificates are good while a renewal is under way."""

    name: str
    prefix: str
    state: EdgeState
    created_by: str
    created_ns: int
    enrolled_ns: int | None = None
    certificate: str | None = None
    certificate_ends_ns: int | None = None
    next_certificate: str | None = None
    next_certificate_ends_ns: int | None = None
    tenant: str = DEFAULT_TENANT
    life: Life = field(default_factory=Life, compare=False)


@dataclass(frozen=True, slots=True)
class Token:
    """`key_digest` and `chain` say who spent it, and what that one was answered."""

    secret_hash: str = field(repr=False)
    edge: str
    prefix: str
    created_by: str
    created_ns: int
    expires_ns: int
    spent_ns: int | None = None
    key_digest: str | None = None
    chain: str | None = field(default=None, repr=False)


class EdgeStore:
    """Raises: Unavailable where the database does not answer; Conflict for a name in use."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def load(self) -> tuple[Sequence[Enrolled], Sequence[Token]]:
        return await self._run(self._load)

    async def invite(self, edge: Enrolled, new: bool, token: Token) -> None:
        """The edge, and its one token that is good."""

        def work() -> None:
            with self._engine.begin() as connection:
                if new:
                    connection.execute(insert(edges).values(**_columns(edge)))
                else:
                    connection.execute(update(edges).where(edges.c.name == edge.name).values(**_columns(edge)))
                connection.execute(delete(tokens).where(tokens.c.edge == edge.name))
                connection.execute(insert(tokens).values(**dataclasses.asdict(token)))

        await self._run(work)

    async def enrol(self, edge: Enrolled, token: Token) -> bool:
        """Spend the token for this edge; false where somebody else has spent it."""

        def work() -> bool:
            mine = (tokens.c.secret_hash == token.secret_hash) & tokens.c.spent_ns.is_(None)
            spent = update(tokens).where(mine).values(**dataclasses.asdict(token))
            with self._engine.begin() as connection:
                if connection.execute(spent).rowcount != 1:
                    return False
                connection.execute(update(edges).where(edges.c.name == edge.name).values(**_columns(edge)))
                return True

        return await self._run(work)

    async def change(self, *changed: Enrolled) -> None:
        def work() -> None:
            with self._engine.begin() as connection:
                for edge in changed:
                    connection.execute(update(edges).where(edges.c.name == edge.name).values(**_columns(edge)))

        await self._run(work)

    async def revoke(self, edge: Enrolled) -> None:
        """The edge as it is now, and none of its tokens."""

        def work() -> None:
            with self._engine.begin() as connection:
                connection.execute(delete(tokens).where(tokens.c.edge == edge.name))
                connection.execute(update(edges).where(edges.c.name == edge.name).values(**_columns(edge)))

        await self._run(work)

    async def drop_spent(self, edge: str) -> None:
        spent = (tokens.c.edge == edge) & tokens.c.spent_ns.is_not(None)

        def work() -> None:
            with self._engine.begin() as connection:
                connection.execute(delete(tokens).where(spent))

        await self._run(work)

    async def remove(self, edge: str) -> None:
        def work() -> None:
            with self._engine.begin() as connection:
                connection.execute(delete(tokens).where(tokens.c.edge == edge))
                connection.execute(delete(edges).where(edges.c.name == edge))

        await self._run(work)

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except IntegrityError as error:
            raise Conflict("there is an edge of that name already", detail=str(error)) from error
        except SQLAlchemyError as error:
            raise Unavailable("edges cannot be read or changed now; try again", detail=str(error)) from error

    def _load(self) -> tuple[Sequence[Enrolled], Sequence[Token]]:
        with self._engine.connect() as connection:
            held = [_enrolled(row._asdict()) for row in connection.execute(select(edges))]
            return held, [Token(**row._asdict()) for row in connection.execute(select(tokens))]


def _enrolled(row: dict[str, Any]) -> Enrolled:
    said = row.pop("actual")
    actual = Actual(**orjson.loads(said)) if said else None
    life = Life(row.pop("last_contact_ns"), row.pop("desired_revision"), row.pop("desired_digest"), actual)
    return Enrolled(**{**row, "state": EdgeState(row["state"])}, life=life)


def _columns(edge: Enrolled) -> dict[str, Any]:
    columns = {one.name: getattr(edge, one.name) for one in dataclasses.fields(edge) if one.name != "life"}
    life = edge.life
    return {
        **columns,
        "state": edge.state.value,
        "last_contact_ns": life.last_contact_ns,
        "desired_revision": life.desired_revision,
        "desired_digest": life.desired_digest,
        "actual": None if life.actual is None else orjson.dumps(dataclasses.asdict(life.actual)).decode(),
    }
