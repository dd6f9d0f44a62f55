"""What the API says of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.db.models import AuditEntry
from app.mailer.services.verify_audit import Verified


class AuditActorOut(BaseModel):
    """Who did it."""

    kind: str = Field(examples=["user", "api_key", "system"])
    id: str = Field(description="Of the user or the key; `system` for the program itself")
    name: str
    address: str | None = Field(description="Where the request came from", examples=["192.0.2.7"])


class AuditEntryOut(BaseModel):
    """One thing that somebody did. Secrets are redacted."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "5d0c7a2e-6a3b-4a0e-9a49-0d2f0f6f2a11",
                "sequence": 42,
                "at": "2026-03-01T12:00:00.000000Z",
                "actor": {
                    "kind": "user",
                    "id": "0b9f1c1e-3a52-4b8a-8a0e-1f4b1d6c7e55",
                    "name": "Ada Lovelace",
                    "address": "192.0.2.7",
                },
                "action": "campaign.queued",
                "object_type": "campaign",
                "object_id": "9d2f4a10-50c7-4a55-9f43-7c8f8a3c2b10",
                "details": {"version": 3, "queued": 4711},
                "before": None,
                "after": None,
                "previous_hash": "a" * 64,
                "hash": "b" * 64,
            }
        }
    )

    id: UUID
    sequence: int = Field(description="Its number in the tenant's log, without gaps")
    at: datetime
    actor: AuditActorOut
    action: str
    object_type: str
    object_id: str
    details: dict[str, Any]
    before: dict[str, Any] | None = Field(description="What changed, as it was")
    after: dict[str, Any] | None = Field(description="What changed, as it is now")
    previous_hash: str = Field(description="The hash of the entry before")
    hash: str = Field(description="Over this entry and the one before, see docs/audit.md")

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditEntryOut:
        return cls(
            id=entry.id,
            sequence=entry.sequence,
            at=entry.at,
            actor=AuditActorOut(
                kind=entry.actor_kind,
                id=entry.actor_id,
                name=entry.actor_name,
                address=entry.address,
            ),
            action=entry.action,
            object_type=entry.object_type,
            object_id=entry.object_id,
            details=entry.details,
            before=entry.before,
            after=entry.after,
            previous_hash=entry.previous_hash,
            hash=entry.hash,
        )


class ChainBreakOut(BaseModel):
    """The first entry that is not what it must be."""

    sequence: int
    reason: str = Field(examples=["its content is not what was recorded"])


class ChainOut(BaseModel):
    """How far the log is proved."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "proved": True,
                "complete": True,
                "checked": 4711,
                "head": "4711:" + "c" * 64,
                "next": None,
                "broken": None,
            }
        }
    )

    proved: bool = Field(description="The end was reached, and nothing is broken on the way")
    complete: bool = Field(description="The end was reached, or a broken entry")
    checked: int = Field(description="How many entries are in order")
    head: str | None = Field(
        description="Number and hash of the last entry that is proved. Note it elsewhere: whoever "
        "writes the whole log anew cannot give it the same head"
    )
    next: str | None = Field(description="Give it as `after` to go on; null: nothing is left")
    broken: ChainBreakOut | None

    @classmethod
    def of(cls, found: Verified) -> ChainOut:
        head = str(found.head) if found.head is not None else None
        return cls(
            proved=found.proved,
            complete=found.complete,
            checked=found.checked,
            head=head,
            next=None if found.complete else head,
            broken=None
            if found.broken is None
            else ChainBreakOut(sequence=found.broken.sequence, reason=found.broken.reason),
        )
