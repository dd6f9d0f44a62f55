"""What a key or a role may allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from app.mailer.domain.errors import MailerError


class Scope(StrEnum):
    """One permission. Those that end in `:*` cover every scope of their family; `*` covers all."""

    CAMPAIGN_READ = "campaign:read"
    CAMPAIGN_WRITE = "campaign:write"
    CAMPAIGN_BUILD = "campaign:build"
    CAMPAIGN_APPROVE = "campaign:approve"
    CAMPAIGN_SEND = "campaign:send"
    REPORTS_SEND = "reports:send"
    AUDIT_READ = "audit:read"
    FILES_READ = "files:read"
    FILES_WRITE = "files:write"
    ACCOUNTS_READ = "accounts:read"
    ACCOUNTS_WRITE = "accounts:write"
    ADMIN_USERS = "admin:users"
    ADMIN_KEYS = "admin:api-keys"
    ADMIN_TENANT = "admin:tenant"
    EVERYTHING = "*"


#: What each allows, for people; `docs/routes.md` says which routes.
MEANINGS: Mapping[Scope, str] = {
    Scope.CAMPAIGN_READ: "See campaigns, their letters, jobs and reports.",
    Scope.CAMPAIGN_WRITE: "Make, import, edit, archive and delete campaigns.",
    Scope.CAMPAIGN_BUILD: "Validate versions and build their messages.",
    Scope.CAMPAIGN_APPROVE: "Decide about letters that need a look, and approve versions.",
    Scope.CAMPAIGN_SEND: "Queue, send, test, pause, resume and cancel.",
    Scope.REPORTS_SEND: "Send reports by mail.",
    Scope.AUDIT_READ: "See the audit log, and export evidence.",
    Scope.FILES_READ: "See and download uploaded files.",
    Scope.FILES_WRITE: "Upload and delete files.",
    Scope.ACCOUNTS_READ: "See mail accounts, without their passwords.",
    Scope.ACCOUNTS_WRITE: "Make, change, check and delete mail accounts.",
    Scope.ADMIN_USERS: "Manage users, groups and roles, up to one's own scopes.",
    Scope.ADMIN_KEYS: "Manage API keys, up to one's own scopes.",
    Scope.ADMIN_TENANT: "Change the tenant's settings.",
    Scope.EVERYTHING: "All of these, and what may be added.",
}

_GRANTABLE = frozenset(
    text for scope in Scope for text in (scope.value, scope.value.partition(":")[0] + ":*")
) - {"*:*"}


def covers(granted: Iterable[str], scope: str) -> bool:
    """Whether `granted` allows `scope`: by name, by its family (`files:*`), or by `*`."""
    family = f"{scope.partition(':')[0]}:*"
    return any(held in (scope, family, Scope.EVERYTHING) for held in granted)


def lacking(granted: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Those of `wanted` that `granted` does not cover."""
    granted = frozenset(granted)
    return sorted({str(scope) for scope in wanted if not covers(granted, scope)})


def common(one: Iterable[str], other: Iterable[str]) -> frozenset[str]:
    """What both allow: `campaign:*` and `campaign:read` have `campaign:read` in common."""
    one, other = frozenset(one), frozenset(other)
    return frozenset(
        [scope for scope in one if covers(other, scope)]
        + [scope for scope in other if covers(one, scope)]
    )


def known_scopes(scopes: Iterable[str]) -> list[str]:
    """`scopes` sorted, each once: members of `Scope`, or a family as a whole (`campaign:*`).

    Raises `MailerError` that names the first which nothing understands.
    """
    chosen = sorted({str(scope) for scope in scopes})
    for scope in chosen:
        if scope not in _GRANTABLE:
            raise MailerError(
                f"There is no scope {scope!r}.", f"Known: {', '.join(sorted(_GRANTABLE))}."
            )
    return chosen
