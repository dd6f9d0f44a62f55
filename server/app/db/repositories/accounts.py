"""Queries about mail accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, func, or_, select, type_coerce
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, undefer

from app.db.base import dump_document
from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.locking import locked
from app.db.models import Campaign, CampaignVersion, MailAccount, WorkflowState
from app.mailer.domain.errors import Conflict, NotFound
from app.mailer.domain.storable import clean_text

#: What lists of accounts may be sorted by, and the key that makes an order unambiguous.
SORTABLE: dict[str, Sortable] = {
    "name": MailAccount.name,
    "created_at": MailAccount.created_at,
    "updated_at": MailAccount.updated_at,
}
KEY = MailAccount.id

#: Versions that have nothing left to send.
_FINISHED = (WorkflowState.COMPLETED, WorkflowState.CANCELLED, WorkflowState.ARCHIVED)
_PASSWORDS = (undefer(MailAccount.smtp_password), undefer(MailAccount.imap_password))


def get(session: Session, tenant_id: UUID, account_id: UUID, *, lock: bool = False) -> MailAccount:
    """The account with its sealed passwords; with `lock` nobody else changes it meanwhile."""
    query = (
        select(MailAccount)
        .where(MailAccount.tenant_id == tenant_id, MailAccount.id == account_id)
        .options(*_PASSWORDS)
    )
    if lock:
        query = locked(query)
    account = session.scalar(query)
    if account is None:
        raise NotFound(f"There is no mail account {account_id}.", "The list shows those there are.")
    return account


def for_campaign(
    session: Session, tenant_id: UUID, campaign_id: UUID, name: str
) -> MailAccount | None:
    """The account of this name, where `campaign_id` may use it: it is for all, or its own."""
    found = session.scalar(
        select(MailAccount)
        .where(MailAccount.tenant_id == tenant_id, MailAccount.name == name)
        .options(*_PASSWORDS)
    )
    return found if found is not None and found.campaign_id in (None, campaign_id) else None


def brought_by(
    session: Session, tenant_id: UUID, campaign_id: UUID, *, lock: bool = False
) -> MailAccount | None:
    """The account that imports of a campaign keep its passwords in."""
    query = (
        select(MailAccount)
        .where(MailAccount.tenant_id == tenant_id, MailAccount.campaign_id == campaign_id)
        .options(*_PASSWORDS)
        .order_by(MailAccount.created_at)
        .limit(1)
    )
    if lock:
        query = locked(query)
    return session.scalar(query)


def name_taken(session: Session, tenant_id: UUID, name: str) -> bool:
    query = select(MailAccount.id).where(
        MailAccount.tenant_id == tenant_id, MailAccount.name == name
    )
    return session.scalar(query) is not None


def put(session: Session, tenant_id: UUID, account: MailAccount) -> MailAccount:
    """Stores a new account, or a changed one; `Conflict` where its name is taken."""
    account.tenant_id = tenant_id
    name = account.name
    try:
        with session.begin_nested():
            session.add(account)
    except IntegrityError as error:
        if "name" not in str(error.orig):
            raise
        raise Conflict(
            f"There is a mail account “{name}” already.", "Choose another name."
        ) from None
    return account


def page(
    session: Session,
    tenant_id: UUID,
    *,
    search: str | None,
    campaign_id: UUID | None,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[MailAccount]:
    """A page of them; `search` looks into names and hosts, whatever the case."""
    query = select(MailAccount).where(MailAccount.tenant_id == tenant_id).options(*_PASSWORDS)
    if campaign_id is not None:
        query = query.where(MailAccount.campaign_id == campaign_id)
    if search:
        looked_in = (MailAccount.name, MailAccount.smtp_host, MailAccount.imap_host)
        # As it would be stored.
        wanted = clean_text(search.lower())
        query = query.where(
            or_(*(func.lower(each).contains(wanted, autoescape=True) for each in looked_in))
        )
    return fetch(session, query, order, after=after, limit=limit)


def unfinished_users(
    session: Session, tenant_id: UUID, account: MailAccount, *, most: int
) -> Sequence[tuple[str, int]]:
    """Up to `most` versions that are not finished and send by the account: campaign, number."""
    query = (
        select(Campaign.external_id, CampaignVersion.number, CampaignVersion.config)
        .join(Campaign, Campaign.id == CampaignVersion.campaign_id)
        .where(
            CampaignVersion.tenant_id == tenant_id,
            CampaignVersion.workflow_state.not_in(_FINISHED),
            # As the document is stored, so that only those that may name it are read.
            type_coerce(CampaignVersion.config, Text).contains(
                f'"account":{dump_document(account.name)}', autoescape=True
            )
            | (CampaignVersion.campaign_id == account.campaign_id),
        )
        .order_by(CampaignVersion.created_at.desc())
        .execution_options(yield_per=1)
    )
    found: list[tuple[str, int]] = []
    for external_id, number, config in session.execute(query):
        if _sends_by(config, account):
            found.append((external_id, number))
        if len(found) == most:
            break
    return found


def _sends_by(config: Any, account: MailAccount) -> bool:
    server = config.get("server") if isinstance(config, dict) else None
    if not isinstance(server, dict):
        return False
    if account.campaign_id is not None and server.get("account") is None:
        return bool(server.get("smtp"))
    return bool(server.get("account") == account.name)
