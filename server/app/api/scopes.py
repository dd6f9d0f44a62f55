"""What each route asks for: one row for each operation id, and a route without a row cannot be.

`docs/routes.md` is generated from this table and the routes. Enforcement and the description in
the OpenAPI document both come from it, so they cannot differ.
"""

from __future__ import annotations

from enum import StrEnum

from app.access.scopes import Scope


class Open(StrEnum):
    """Routes that no scope guards."""

    PUBLIC = "public"
    #: Anybody who is signed in, or has a key: for what is one's own.
    SIGNED_IN = "signed in"


Needs = Scope | Open

_READ, _WRITE, _BUILD = Scope.CAMPAIGN_READ, Scope.CAMPAIGN_WRITE, Scope.CAMPAIGN_BUILD
_APPROVE, _SEND = Scope.CAMPAIGN_APPROVE, Scope.CAMPAIGN_SEND

SCOPES: dict[str, Needs] = {
    # health, schemas
    "get_health": Open.PUBLIC,
    "get_readiness": Open.PUBLIC,
    "get_campaign_schema": Open.SIGNED_IN,
    # auth: what is one's own
    "login": Open.PUBLIC,
    "logout": Open.SIGNED_IN,
    "get_me": Open.SIGNED_IN,
    "list_own_sessions": Open.SIGNED_IN,
    "revoke_own_session": Open.SIGNED_IN,
    "change_own_password": Open.SIGNED_IN,
    "begin_totp": Open.SIGNED_IN,
    "confirm_totp": Open.SIGNED_IN,
    "disable_totp": Open.SIGNED_IN,
    "renew_recovery_codes": Open.SIGNED_IN,
    # admin
    "list_scopes": Scope.ADMIN_USERS,
    "list_users": Scope.ADMIN_USERS,
    "create_user": Scope.ADMIN_USERS,
    "get_user": Scope.ADMIN_USERS,
    "update_user": Scope.ADMIN_USERS,
    "delete_user": Scope.ADMIN_USERS,
    "set_user_password": Scope.ADMIN_USERS,
    "set_user_roles": Scope.ADMIN_USERS,
    "reset_user_totp": Scope.ADMIN_USERS,
    "list_user_sessions": Scope.ADMIN_USERS,
    "revoke_user_sessions": Scope.ADMIN_USERS,
    "list_groups": Scope.ADMIN_USERS,
    "create_group": Scope.ADMIN_USERS,
    "get_group": Scope.ADMIN_USERS,
    "update_group": Scope.ADMIN_USERS,
    "delete_group": Scope.ADMIN_USERS,
    "set_group_members": Scope.ADMIN_USERS,
    "set_group_roles": Scope.ADMIN_USERS,
    "list_roles": Scope.ADMIN_USERS,
    "create_role": Scope.ADMIN_USERS,
    "get_role": Scope.ADMIN_USERS,
    "update_role": Scope.ADMIN_USERS,
    "delete_role": Scope.ADMIN_USERS,
    "list_api_keys": Scope.ADMIN_KEYS,
    "create_api_key": Scope.ADMIN_KEYS,
    "get_api_key": Scope.ADMIN_KEYS,
    "revoke_api_key": Scope.ADMIN_KEYS,
    "get_tenant": Scope.ADMIN_TENANT,
    "update_tenant": Scope.ADMIN_TENANT,
    # mail accounts
    "list_accounts": Scope.ACCOUNTS_READ,
    "get_account": Scope.ACCOUNTS_READ,
    "create_account": Scope.ACCOUNTS_WRITE,
    "update_account": Scope.ACCOUNTS_WRITE,
    "delete_account": Scope.ACCOUNTS_WRITE,
    "check_account": Scope.ACCOUNTS_WRITE,
    # files
    "get_upload_options": Open.SIGNED_IN,
    "list_uploads": Scope.FILES_READ,
    "create_upload": Scope.FILES_WRITE,
    "get_upload_offset": Scope.FILES_WRITE,
    "append_upload": Scope.FILES_WRITE,
    "delete_upload": Scope.FILES_WRITE,
    "list_files": Scope.FILES_READ,
    "get_file": Scope.FILES_READ,
    "download_file": Scope.FILES_READ,
    "delete_file": Scope.FILES_WRITE,
    "delete_files": Scope.FILES_WRITE,
    "get_file_usage": Scope.FILES_READ,
    # campaigns
    "list_campaigns": _READ,
    "create_campaign": _WRITE,
    "new_campaign": _WRITE,
    "get_campaign": _READ,
    "update_campaign": _WRITE,
    "delete_campaign": _WRITE,
    "archive_campaign": _WRITE,
    "unarchive_campaign": _WRITE,
    # versions
    "list_versions": _READ,
    "get_version": _READ,
    "update_version": _WRITE,
    "autosave_version": _WRITE,
    "set_version_step": _WRITE,
    "validate_version_part": _WRITE,
    "publish_version": _WRITE,
    "reopen_version": _WRITE,
    "lock_version": _WRITE,
    "unlock_version": _WRITE,
    "diff_versions": _READ,
    "approve_version": _APPROVE,
    "withdraw_approval": _APPROVE,
    "list_approvals": _READ,
    "validate_version": _BUILD,
    "build_version": _BUILD,
    "send_test_message": _SEND,
    "list_version_issues": _READ,
    "list_coverage_people": _READ,
    "list_coverage_files": _READ,
    # jobs
    "list_jobs": _READ,
    "get_job": _READ,
    "list_job_issues": _READ,
    "list_job_attempts": _READ,
    "get_job_message": _READ,
    "get_job_preview": _READ,
    "get_job_preview_html": _READ,
    "get_job_attachment": _READ,
    "decide_job": _APPROVE,
    "decide_jobs": _APPROVE,
    "resolve_job": _SEND,
    "resolve_jobs": _SEND,
    # delivery
    "queue_campaign": _SEND,
    "get_live_figures": _READ,
    "pause_campaign": _SEND,
    "resume_campaign": _SEND,
    "cancel_campaign": _SEND,
    "append_sent": _SEND,
    "reconcile_campaign": _SEND,
    # reports
    "get_summary": _READ,
    "get_report": _READ,
    "get_jobs_csv": _READ,
    "get_rest_csv": _READ,
    "get_evidence": Scope.AUDIT_READ,
    "email_report": Scope.REPORTS_SEND,
    # audit
    "list_audit_entries": Scope.AUDIT_READ,
    "verify_audit_chain": Scope.AUDIT_READ,
    # operations
    "list_operations": _READ,
    "get_operation": _READ,
    "watch_operation": _READ,
    "cancel_operation": _BUILD,
}
