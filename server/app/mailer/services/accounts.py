"""Mail accounts: made, changed, listed and deleted. Passwords go in and never come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.keyset import Order, Slice
from app.db.models import MailAccount
from app.db.repositories import accounts, campaigns
from app.mailer.domain.campaign import ImapServer, SmtpServer
from app.mailer.domain.errors import Conflict, MailerError
from app.mailer.ports import Clock, SecretBox, Security
from app.mailer.services.account_servers import place_of, sealed_password

SERVERS = ("smtp", "imap")
#: What an account says of itself; passwords are apart.
_SERVER_KEYS = ("host", "port", "security", "auth", "username")
_PLAIN = (
    "name",
    *(f"{server}_{key}" for server in SERVERS for key in _SERVER_KEYS),
    "imap_sent_folder",
    "per_minute",
    "per_hour",
    "per_day",
    "concurrency",
    "from_addresses",
)
_SHOWN_VERSIONS = 3


class AccountChanged(Conflict):
    """Somebody else changed the account first; `account` is as it is now."""

    def __init__(self, account: MailAccount) -> None:
        super().__init__(
            f"The mail account “{account.name}” was changed meanwhile.",
            "Look at what it is now, and say again what should change.",
        )
        self.account = account


def get_account(session: Session, actor: Actor, account_id: UUID) -> MailAccount:
    require_scope(actor, Scope.ACCOUNTS_READ)
    return accounts.get(session, actor.tenant_id, account_id)


def page_accounts(
    session: Session,
    actor: Actor,
    *,
    search: str | None,
    campaign_id: UUID | None,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[MailAccount]:
    """A page of the tenant's accounts; `campaign_id`: what imports of that campaign brought."""
    require_scope(actor, Scope.ACCOUNTS_READ)
    if campaign_id is not None:
        campaigns.get(session, actor.tenant_id, campaign_id)
    return accounts.page(
        session,
        actor.tenant_id,
        search=search,
        campaign_id=campaign_id,
        order=order,
        after=after,
        limit=limit,
    )


def create_account(
    session: Session,
    actor: Actor,
    values: Mapping[str, Any],
    *,
    box: SecretBox,
    clock: Clock,
    refuse_private: Callable[[str], None],
) -> MailAccount:
    """A new account; `values` by column, passwords in the clear. The caller commits.

    Raises `Conflict` for a name that is taken and `MailerError` for values that do not go
    together or a host in a private network.
    """
    require_scope(actor, Scope.ACCOUNTS_WRITE)
    _look_at_hosts(values, refuse_private)
    now = clock.now()
    account = MailAccount(
        id=uuid4(),
        tenant_id=actor.tenant_id,
        from_addresses=[],
        revision=1,
        created_at=now,
        updated_at=now,
    )
    _apply(account, values, box)
    accounts.put(session, actor.tenant_id, account)
    log.record(
        session,
        actor,
        "account.created",
        "mail_account",
        account.id,
        {"name": account.name},
        now,
        after=_audited(account),
    )
    return account


def update_account(
    session: Session,
    actor: Actor,
    account_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected_revision: int | None,
    box: SecretBox,
    clock: Clock,
    refuse_private: Callable[[str], None],
) -> MailAccount:
    """Change what stands in `changes`, and nothing else. The caller commits.

    A server that moves to another host, or loses its encryption, forgets its password unless
    `changes` bring one. Raises `AccountChanged` where the account has another revision than
    `expected_revision`, and `Conflict` for a new name while versions name the old one.
    """
    require_scope(actor, Scope.ACCOUNTS_WRITE)
    _look_at_hosts(changes, refuse_private)
    account = _expected(session, actor, account_id, expected_revision)
    if changes.get("name", account.name) != account.name:
        _refuse_while_used(session, actor, account, "be called otherwise")
    before = _audited(account)
    _apply(account, changes, box)
    after = _audited(account)
    for server in SERVERS:
        if changes.get(f"{server}_password") is not None:
            after[f"{server}_password"] = "another"
    if after == before:
        return account
    now = clock.now()
    account.revision += 1
    account.updated_at = now
    accounts.put(session, actor.tenant_id, account)
    details = {"name": account.name}
    log.record(
        session,
        actor,
        "account.updated",
        "mail_account",
        account.id,
        details,
        now,
        before=before,
        after=after,
    )
    return account


def delete_account(
    session: Session,
    actor: Actor,
    account_id: UUID,
    *,
    expected_revision: int | None,
    clock: Clock,
) -> None:
    """Delete an account with its passwords; `Conflict` while a version that is not finished
    sends by it. The caller commits.
    """
    require_scope(actor, Scope.ACCOUNTS_WRITE)
    account = _expected(session, actor, account_id, expected_revision)
    _refuse_while_used(session, actor, account, "be deleted")
    session.delete(account)
    log.record(
        session,
        actor,
        "account.deleted",
        "mail_account",
        account.id,
        {"name": account.name},
        clock.now(),
        before=_audited(account),
    )


def _expected(
    session: Session, actor: Actor, account_id: UUID, expected_revision: int | None
) -> MailAccount:
    account = accounts.get(session, actor.tenant_id, account_id, lock=True)
    if expected_revision not in (None, account.revision):
        raise AccountChanged(account)
    return account


def _refuse_while_used(session: Session, actor: Actor, account: MailAccount, what: str) -> None:
    users = accounts.unfinished_users(session, actor.tenant_id, account, most=_SHOWN_VERSIONS + 1)
    if users:
        shown = [f"“{name}” version {number}" for name, number in users[:_SHOWN_VERSIONS]]
        more = " and others" if len(users) > _SHOWN_VERSIONS else ""
        raise Conflict(
            f"The mail account “{account.name}” cannot {what}: "
            f"{', '.join(shown)}{more} would send by it.",
            "Finish, cancel or archive those first, or have them name another account.",
        )


def _look_at_hosts(values: Mapping[str, Any], refuse_private: Callable[[str], None]) -> None:
    """Before anything is read: the name service may take its time."""
    for server in SERVERS:
        if host := values.get(f"{server}_host"):
            refuse_private(host)


def _apply(account: MailAccount, values: Mapping[str, Any], box: SecretBox) -> None:
    before = {server: place_of(account, server) for server in SERVERS}
    servers_before = _servers(account)
    for key in _PLAIN:
        if key in values:
            setattr(account, key, values[key])
    faults = [fault for server in SERVERS for fault in _completed(account, server, values)]
    if faults:
        raise MailerError(" ".join(faults))
    for server in SERVERS:
        column = f"{server}_password"
        here = place_of(account, server)
        password = values.get(column)
        if here is not None and password is not None:
            setattr(account, column, sealed_password(account, server, password, box))
            continue
        was = before[server]
        keeps = here is not None and was is not None and here.may_keep_password_of(was)
        if column in values or not keeps:
            setattr(account, column, None)
    if _servers(account) != servers_before:
        # What a check found is no longer about these servers.
        account.checked_at = account.check_result = None


def _completed(account: MailAccount, server: str, values: Mapping[str, Any]) -> list[str]:
    """Fill in what a server leaves unsaid, as a campaign file does; what is wrong with it."""
    own = [key for key in values if key.startswith(f"{server}_") and values[key] is not None]
    if not getattr(account, f"{server}_host"):
        for key in _SERVER_KEYS:
            setattr(account, f"{server}_{key}", None)
        if server == "imap":
            account.imap_sent_folder = None
        return [f"The {server.upper()} server has no host."] if own or server == "smtp" else []
    given = {
        key: value
        for key in ("host", "security", "port", "auth", "username")
        if (value := getattr(account, f"{server}_{key}")) is not None
    }
    whole = (SmtpServer if server == "smtp" else ImapServer).model_validate(
        given | ({"security": given["security"].value} if "security" in given else {})
    )
    account_security = Security(whole.security)
    setattr(account, f"{server}_security", account_security)
    setattr(account, f"{server}_port", whole.port)
    setattr(account, f"{server}_auth", whole.auth)
    if server == "imap":
        account.imap_sent_folder = account.imap_sent_folder or "auto"
    if values.get(f"{server}_password") is not None and not whole.username:
        return [f"The {server.upper()} server has a password, but no user name."]
    return []


def _servers(account: MailAccount) -> list[object]:
    keys = [f"{server}_{key}" for server in SERVERS for key in (*_SERVER_KEYS, "password")]
    return [getattr(account, key) for key in keys]


def _audited(account: MailAccount) -> dict[str, object]:
    """The account for the log, which redacts what stands for the passwords."""
    found: dict[str, object] = {key: getattr(account, key) for key in _PLAIN}
    for server in SERVERS:
        found[f"{server}_password"] = "one" if getattr(account, f"{server}_password") else None
    return found
