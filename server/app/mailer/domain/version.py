"""The life of a version: from the editor by way of review and sending to the archive."""

from __future__ import annotations

from enum import StrEnum


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
