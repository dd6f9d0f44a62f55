"""The audit log."""

from app.audit.log import list_entries, record
from app.db.repositories.audit import AuditFilter

__all__ = ["AuditFilter", "list_entries", "record"]
