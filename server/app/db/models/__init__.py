"""Every table; importing this package is what makes `Base.metadata` whole."""

from app.db.models.access import (
    ApiKey,
    Group,
    GroupMember,
    GroupRole,
    LoginSession,
    LoginThrottle,
    RecoveryCode,
    Role,
    User,
    UserRole,
)
from app.db.models.accounts import MailAccount
from app.db.models.attempts import (
    AppendAttemptOutcome,
    AttemptOutcome,
    ImapAppendAttempt,
    SendAttempt,
)
from app.db.models.audit import AuditCounter, AuditEntry
from app.db.models.campaigns import Campaign, CampaignVersion, VersionApproval
from app.db.models.coverage import VersionFile
from app.db.models.files import StoredFile, Upload
from app.db.models.jobs import Job, JobAttachment, JobIssue, JobMessage
from app.db.models.operations import IdempotencyKey, Operation, OperationStatus
from app.db.models.tenants import Tenant
from app.mailer.domain.version import WorkflowState

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
    "IdempotencyKey",
    "ImapAppendAttempt",
    "Job",
    "JobAttachment",
    "JobIssue",
    "JobMessage",
    "LoginSession",
    "LoginThrottle",
    "MailAccount",
    "Operation",
    "OperationStatus",
    "RecoveryCode",
    "Role",
    "SendAttempt",
    "StoredFile",
    "Tenant",
    "Upload",
    "User",
    "UserRole",
    "VersionApproval",
    "VersionFile",
    "WorkflowState",
]
