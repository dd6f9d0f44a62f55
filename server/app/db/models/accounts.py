"""Mail accounts: how to reach the servers that letters leave by, credentials sealed."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, OfTenant, UuidKey, status_type
from app.mailer.ports import Security


class MailAccount(OfTenant, Base):
    """What `server.account` of a campaign names.

    The passwords are sealed, bound to tenant, row and field; a change of host forgets them.
    `campaign_id` is set where an import brought the account along: then it serves that campaign
    alone. Limits of None are none.
    """

    __tablename__ = "mail_accounts"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[UuidKey]
    name: Mapped[str]
    campaign_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("campaigns.id", ondelete="CASCADE"), index=True
    )
    revision: Mapped[int] = mapped_column(default=1, server_default="1")

    smtp_host: Mapped[str | None]
    smtp_port: Mapped[int | None]
    smtp_security: Mapped[Security | None] = mapped_column(status_type(Security, "smtp_security"))
    smtp_auth: Mapped[str | None]
    smtp_username: Mapped[str | None]
    smtp_password: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)

    imap_host: Mapped[str | None]
    imap_port: Mapped[int | None]
    imap_security: Mapped[Security | None] = mapped_column(status_type(Security, "imap_security"))
    imap_auth: Mapped[str | None]
    imap_username: Mapped[str | None]
    imap_password: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    imap_sent_folder: Mapped[str | None]

    per_minute: Mapped[float | None]
    per_hour: Mapped[int | None]
    per_day: Mapped[int | None]
    concurrency: Mapped[int | None]
    #: Addresses, or `@domain` for all of a domain; empty: any.
    from_addresses: Mapped[list[str]] = mapped_column(default=list, server_default="[]")

    checked_at: Mapped[datetime | None]
    check_result: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
