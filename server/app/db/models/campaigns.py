"""Campaigns and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, JsonDocument, OfTenant, UuidKey, status_type
from app.mailer.domain.delivery.approval import Approval
from app.mailer.domain.version import WorkflowState


class Campaign(OfTenant, Base):
    """What its file calls `campaign.id` is `external_id` here; importing again finds it by that."""

    __tablename__ = "campaigns"
    __table_args__ = (UniqueConstraint("tenant_id", "external_id"),)

    id: Mapped[UuidKey]
    external_id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    #: Where it is stricter than the tenant's, it holds.
    approval: Mapped[Approval | None] = mapped_column(status_type(Approval, "approval"))
    #: While it is set, nothing of the campaign is claimed.
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None]
    pause_reason: Mapped[str | None]
    #: The server could not be reached: nothing is tried before then. `holds` counts how often in
    #: a row.
    held_until: Mapped[datetime | None]
    hold_reason: Mapped[str | None]
    holds: Mapped[int] = mapped_column(default=0, server_default="0")
    #: The same for copies in the Sent folder, and for looking for letters there.
    append_held_until: Mapped[datetime | None]
    append_hold_reason: Mapped[str | None]
    append_holds: Mapped[int] = mapped_column(default=0, server_default="0")
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CampaignVersion(OfTenant, Base):
    """One snapshot of a campaign's file, from editing to sent.

    `config` holds no secret: those are sealed in `secrets`, a JSON object of JSON Pointer to value.
    `config` can be large (100,000 entries stand in it), so lists do not load it.
    """

    __tablename__ = "campaign_versions"
    __table_args__ = (
        UniqueConstraint("campaign_id", "number"),
        CheckConstraint("number > 0", name="number_positive"),
        Index("ix_campaign_versions_tenant_id_workflow_state", "tenant_id", "workflow_state"),
    )

    id: Mapped[UuidKey]
    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    number: Mapped[int]
    mode: Mapped[str] = mapped_column(String(20))
    config: Mapped[dict[str, Any]] = mapped_column(JsonDocument, deferred=True)
    config_sha256: Mapped[str] = mapped_column(String(64))
    secrets: Mapped[bytes | None] = mapped_column(deferred=True)
    #: Grows with each change: what the ETag is made of.
    revision: Mapped[int] = mapped_column(default=1, server_default="1")
    source_filename: Mapped[str | None]
    source_base_path: Mapped[str | None]
    #: Came by the API: reads uploads and what is below FILE_ROOTS, nothing else.
    is_confined: Mapped[bool] = mapped_column(default=False, server_default=false())
    #: The columns of the table that the entries came from, for exports in its shape.
    source_columns: Mapped[list[str] | None]
    workflow_state: Mapped[WorkflowState] = mapped_column(
        status_type(WorkflowState, "workflow_state"), default=WorkflowState.EDITING
    )
    current_flow: Mapped[str | None] = mapped_column(String(40))
    current_step: Mapped[str | None] = mapped_column(String(40))
    is_complete: Mapped[bool] = mapped_column(default=False)
    editor_state: Mapped[dict[str, Any] | None]
    autosaved_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    locked_at: Mapped[datetime | None]
    locked_by_user_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL")
    )
    validated_at: Mapped[datetime | None]
    validation_summary: Mapped[dict[str, Any] | None]
    built_at: Mapped[datetime | None]
    build_id: Mapped[UUID | None]
    #: The mail account that its letters leave by, since they were queued.
    account_id: Mapped[UUID | None] = mapped_column(index=True)
    #: When its letters are to start, until they did: a start that was missed waits for a person.
    starts_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    edited_at: Mapped[datetime | None]
    edited_by: Mapped[str | None]
    #: Everybody who wrote in it (`Actor.identity`), the last one last: who may not approve it.
    author_ids: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    #: Those whose uploads the last build read: what they put there is in the letters as well.
    uploader_ids: Mapped[list[str]] = mapped_column(default=list, server_default="[]")

    @property
    def maker_ids(self) -> list[str]:
        """Everybody whom the letters come from: no second person for them."""
        return [*self.author_ids, *self.uploader_ids]


class VersionApproval(OfTenant, Base):
    """Somebody's yes to exactly these messages; void as soon as one of them is another.

    `messages_sha256` is over the hashes of all messages that may be queued, in order.
    """

    __tablename__ = "version_approvals"

    id: Mapped[UuidKey]
    version_id: Mapped[UUID] = mapped_column(
        ForeignKey("campaign_versions.id", ondelete="CASCADE"), index=True
    )
    messages_sha256: Mapped[str] = mapped_column(String(64))
    message_count: Mapped[int]
    approver_id: Mapped[str]
    approved_by: Mapped[str]
    reason: Mapped[str]
    approved_at: Mapped[datetime]
    voided_at: Mapped[datetime | None]
    void_reason: Mapped[str | None]
