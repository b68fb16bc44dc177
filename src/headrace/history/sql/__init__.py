"""Ad-hoc SQL over any historian: DuckDB in a process of its own, fed by the store's scan.

tables.py   what can be asked        desk.py     starts and feeds the process     plan.py    what a statement reads
worker.py   the process itself       frames.py   what the two say to each other

Why a process, and how it is kept harmless: docs/decisions/0018-ad-hoc-sql.md. What it may not: sdk/jail.py.
"""

from headrace.history.sql.desk import SqlAnswer, SqlDesk, SqlLimits, SqlQuery

__all__ = ["SqlAnswer", "SqlDesk", "SqlLimits", "SqlQuery"]
