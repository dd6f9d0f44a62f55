"""Tenants: each sees its own rows only."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, false
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, UuidKey, status_type
from app.mailer.domain.delivery.approval import Approval


class Tenant(Base):
    __tablename__ = "tenants"

    id: Mapped[UuidKey]
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    created_at: Mapped[datetime]
    #: What a campaign needs before it may be queued, unless the campaign itself is stricter.
    approval: Mapped[Approval] = mapped_column(
        status_type(Approval, "approval"),
        default=Approval.NONE,
        server_default=Approval.NONE.value,
    )
    #: Jinja2 templates are programs, so an administrator has to allow them.
    jinja_allowed: Mapped[bool] = mapped_column(default=False, server_default=false())
    #: A personal file that went to the same address within so many days needs a second look.
    already_sent_days: Mapped[int] = mapped_column(default=30, server_default="30")
    #: Bytes that uploads may take; None: what the settings say.
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
