"""Campaigns and their versions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, JsonDocument, OfTenant, UuidKey, status_type


class WorkflowState(StrEnum):
    """How far a version is on its way from the editor to the archive."""

    EDITING = "editing"
    UNDER_REVIEW = "under_review"
    APPROVED = "approved"
    BUILT = "built"
    QUEUED = "queued"
    SENDING = "sending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ARCHIVED = "archived"


class Campaign(OfTenant, Base):
    """What its file calls `campaign.id` is `external_id` here; importing again finds it by that."""

    __tablename__ = "campaigns"
    __table_args__ = (UniqueConstraint("tenant_id", "external_id"),)

    id: Mapped[UuidKey]
    external_id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
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
    source_filename: Mapped[str | None]
    source_base_path: Mapped[str | None]
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
    created_at: Mapped[datetime]
    created_by: Mapped[str]
