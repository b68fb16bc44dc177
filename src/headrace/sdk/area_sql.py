"""An area as a condition of SQL, for journals that keep a path in a column."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, true
from sqlalchemy.sql.elements import SQLColumnExpression

from headrace.model.areas import Area


def lies_in(column: SQLColumnExpression[str], area: Area) -> ColumnElement[bool]:
    """Whether the path in a column lies in the area."""
    if not area:
        return false()
    inside = or_(*(_below(column, root) for root in area.within))
    return and_(inside, *(not_(_below(column, out)) for out in area.without))


def _below(column: SQLColumnExpression[str], root: str) -> ColumnElement[bool]:
    """Not by LIKE, which knows no case in SQLite, nor by order, which is the collation's in PostgreSQL."""
    if not root:
        return true()
    return or_(column == root, func.substr(column, 1, len(root) + 1) == f"{root}/")
