"""Mail accounts as campaigns use them: passwords move into them, and come back out of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session, object_session

from app.access.actor import Actor
from app.audit import log
from app.db.models import Campaign as CampaignRow
from app.db.models import CampaignVersion, MailAccount
from app.db.repositories import accounts
from app.mailer.domain.campaign import (
    Campaign,
    ImapServer,
    ResolvedServer,
    Server,
    SmtpServer,
)
from app.mailer.domain.campaign.snapshot import MARK
from app.mailer.domain.mail_account import AccountTerms, ServerPlace
from app.mailer.domain.sealed import sealed_place
from app.mailer.ports import SecretBox, Security

#: Where a campaign file may hold the password of a server, and the mark that stands there instead.
_POINTERS = {name: f"/server/{name}/password" for name in ("smtp", "imap")}


def sealed_password(account: MailAccount, server: str, password: str, box: SecretBox) -> bytes:
    """The password of an account's `smtp` or `imap` server as it is stored; the id is known."""
    return box.seal(password.encode(), _place(account, server))


def opened_password(account: MailAccount, server: str, box: SecretBox) -> str | None:
    """The password of an account's server, None where none is kept."""
    sealed: bytes | None = getattr(account, f"{server}_password")
    return None if sealed is None else box.open(sealed, _place(account, server)).decode()


def place_of(account: MailAccount, server: str) -> ServerPlace | None:
    """Where an account's `smtp` or `imap` server is, None where it has none."""
    host = getattr(account, f"{server}_host")
    if not host:
        return None
    return ServerPlace(
        host, getattr(account, f"{server}_port"), getattr(account, f"{server}_security").value
    )


def terms_of(account: MailAccount) -> AccountTerms:
    return AccountTerms(
        id=account.id,
        name=account.name,
        per_minute=account.per_minute,
        per_hour=account.per_hour,
        per_day=account.per_day,
        concurrency=account.concurrency,
        from_addresses=tuple(account.from_addresses),
    )


def servers_of(account: MailAccount, box: SecretBox) -> tuple[SmtpServer | None, ImapServer | None]:
    """An account's servers as a campaign file would have them, passwords included."""
    smtp = imap = None
    if account.smtp_host:
        smtp = SmtpServer.model_validate(_spec(account, "smtp", box))
    if account.imap_host:
        folder = account.imap_sent_folder or "auto"
        imap = ImapServer.model_validate(_spec(account, "imap", box) | {"sent_folder": folder})
    return smtp, imap


def move_passwords(
    session: Session,
    actor: Actor,
    campaign_row: CampaignRow,
    campaign: Campaign,
    secrets: Mapping[str, Any],
    *,
    now: datetime,
    box: SecretBox,
) -> dict[str, Any]:
    """Put the servers' passwords among a file's `secrets` into the campaign's own account.

    The account is made, or renewed; what is not a server's password is returned.
    """
    left = dict(secrets)
    moved: dict[str, tuple[SmtpServer | ImapServer, str]] = {}
    for name, pointer in _POINTERS.items():
        spec: SmtpServer | ImapServer | None = getattr(campaign.server, name)
        if pointer not in left or spec is None or not spec.host:
            continue
        password = str(left.pop(pointer))
        # A file that came out of here has the mark, which stands for what is kept already.
        if password != f"{MARK}{pointer}":
            moved[name] = (spec, password)
    if not moved:
        return left
    account = accounts.brought_by(session, actor.tenant_id, campaign_row.id, lock=True)
    action = "account.updated"
    if account is None:
        action = "account.created"
        account = MailAccount(
            id=uuid4(),
            tenant_id=actor.tenant_id,
            campaign_id=campaign_row.id,
            name=_free_name(session, actor.tenant_id, campaign_row.external_id),
            from_addresses=[],
            revision=0,
            created_at=now,
        )
    for name, (spec, password) in moved.items():
        for key in ("host", "port", "auth", "username"):
            setattr(account, f"{name}_{key}", getattr(spec, key))
        setattr(account, f"{name}_security", Security(spec.security))
        setattr(account, f"{name}_password", sealed_password(account, name, password, box))
        if isinstance(spec, ImapServer):
            account.imap_sent_folder = spec.sent_folder
    account.revision += 1
    account.updated_at = now
    accounts.put(session, actor.tenant_id, account)
    log.record(
        session,
        actor,
        action,
        "mail_account",
        account.id,
        {"name": account.name, "campaign_id": str(campaign_row.id), "passwords_of": sorted(moved)},
        now,
    )
    return left


def with_servers(version: CampaignVersion, campaign: Campaign, box: SecretBox) -> Campaign:
    """`campaign` with the servers that `version` sends by, passwords included.

    Those of the account that it names, else its own. The password of an own server comes from the
    account that an import made for it, and only for the host, the user and the kind of connection
    that it was entered for. `version` belongs to a session.
    """
    session = object_session(version)
    assert session is not None
    server = campaign.server
    if server.account is None:
        resolved = _own(session, version, server, box)
    else:
        resolved = _stored(session, version, server, box)
    return campaign.model_copy(update={"server": resolved})


def _stored(
    session: Session, version: CampaignVersion, server: Server, box: SecretBox
) -> ResolvedServer:
    assert server.account is not None
    if server.smtp is not None or server.imap is not None:
        # Not both: the check of the campaign says so.
        return ResolvedServer(account=server.account)
    account = accounts.for_campaign(session, version.tenant_id, version.campaign_id, server.account)
    if account is None:
        return ResolvedServer(account=server.account)
    smtp, imap = servers_of(account, box)
    # Not the operator, but whoever may write accounts named these hosts.
    return ResolvedServer(
        account=server.account, smtp=smtp, imap=imap, terms=terms_of(account), confined=True
    )


def _own(
    session: Session, version: CampaignVersion, server: Server, box: SecretBox
) -> ResolvedServer:
    found: dict[str, Any] = {"smtp": server.smtp, "imap": server.imap}
    marked = {
        name: spec
        for name, spec in found.items()
        if spec is not None and spec.password == f"{MARK}{_POINTERS[name]}"
    }
    if marked:
        account = accounts.brought_by(session, version.tenant_id, version.campaign_id)
        for name, spec in marked.items():
            password = None
            if account is not None and _is_of(account, name, spec):
                password = opened_password(account, name, box)
            found[name] = spec.model_copy(update={"password": password})
    return ResolvedServer(**found, confined=version.is_confined)


def _is_of(account: MailAccount, name: str, spec: SmtpServer | ImapServer) -> bool:
    before = place_of(account, name)
    here = ServerPlace(spec.host, spec.port, spec.security)
    same_user = getattr(account, f"{name}_username") == spec.username
    return before is not None and same_user and here.may_keep_password_of(before)


def _spec(account: MailAccount, name: str, box: SecretBox) -> dict[str, Any]:
    return {
        "host": getattr(account, f"{name}_host"),
        "port": getattr(account, f"{name}_port"),
        "security": getattr(account, f"{name}_security").value,
        "auth": getattr(account, f"{name}_auth"),
        "username": getattr(account, f"{name}_username"),
        "password": opened_password(account, name, box),
    }


def _free_name(session: Session, tenant_id: UUID, external_id: str) -> str:
    name = f"{external_id} (imported)"
    number = 2
    while accounts.name_taken(session, tenant_id, name):
        name = f"{external_id} (imported {number})"
        number += 1
    return name


def _place(account: MailAccount, server: str) -> str:
    return sealed_place(account.tenant_id, "mail_accounts", account.id, f"{server}_password")
