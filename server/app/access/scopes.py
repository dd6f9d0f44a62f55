"""What a key or a role may allow."""

from __future__ import annotations

from collections.abc import Iterable
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


_GRANTABLE = frozenset(
    text for scope in Scope for text in (scope.value, scope.value.partition(":")[0] + ":*")
) - {"*:*"}


def covers(granted: Iterable[str], scope: str) -> bool:
    """Whether `granted` allows `scope`: by name, by its family (`files:*`), or by `*`."""
    family = f"{scope.partition(':')[0]}:*"
    return any(held in (scope, family, Scope.EVERYTHING) for held in granted)


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
