"""The plant as declared: text to objects to a plan to the database, and back to text.

tenants.py  all tenants  ·  borders.py  what is a tenant's to declare
declarations.py  the flow   ·  text.py readers.py schema.py declared.py  text in     ·  emit.py    text out
expand.py points.py alarms.py templates.py drivers.py  what it means     ·  plan.py  what differs
store.py tables.py  the database   ·  sheets.py sheet_bytes.py  points as CSV and XLSX
problems.py  errors with a place
"""

from headrace.registry.declarations import DeclarationRegistry
from headrace.registry.sheet_bytes import read_rows
from headrace.registry.store import Revision
from headrace.registry.tenants import TenantRegistries
from headrace.registry.text import decode

__all__ = ["DeclarationRegistry", "Revision", "TenantRegistries", "decode", "read_rows"]
