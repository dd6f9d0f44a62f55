"""Every table; importing this package is what makes `Base.metadata` whole."""

from app.db.models.access import ApiKey, Group, GroupMember, GroupRole, Role, User, UserRole
from app.db.models.attempts import (
    AppendAttemptOutcome,
    AttemptOutcome,
    ImapAppendAttempt,
    SendAttempt,
)
from app.db.models.audit import AuditCounter, AuditEntry
from app.db.models.campaigns import Campaign, CampaignVersion, WorkflowState
from app.db.models.jobs import Job, JobAttachment, JobIssue, JobMessage
from app.db.models.tenants import Tenant

__all__ = [
    "ApiKey",
    "AppendAttemptOutcome",
    "AttemptOutcome",
    "AuditCounter",
    "AuditEntry",
    "Campaign",
    "CampaignVersion",
    "Group",
    "GroupMember",
    "GroupRole",
    "ImapAppendAttempt",
    "Job",
    "JobAttachment",
    "JobIssue",
    "JobMessage",
    "Role",
    "SendAttempt",
    "Tenant",
    "User",
    "UserRole",
    "WorkflowState",
]
