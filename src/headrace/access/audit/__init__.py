"""The audit trail: written by all, changed by nobody, read by auditors."""

from headrace.access.audit.folder import AuditFolder, AuditSettings
from headrace.access.audit.keeper import AuditKeeper
from headrace.access.audit.trail import AuditTrail
from headrace.sdk.audit import AuditHead

__all__ = ["AuditFolder", "AuditHead", "AuditKeeper", "AuditSettings", "AuditTrail"]
