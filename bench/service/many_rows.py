"""A tenant with long lists, written straight into its tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, create_engine, insert, select, text

from app.db.models import (
    AuditEntry,
    Campaign,
    CampaignVersion,
    Job,
    JobAttachment,
    JobIssue,
    Operation,
    StoredFile,
    Tenant,
)

_START = datetime(2026, 3, 2, 12, tzinfo=UTC)
_CHUNK = 5000
#: One job in so many …
_NEEDS_REVIEW, _FAILED = 50, 200


@dataclass(frozen=True)
class Made:
    campaign_id: UUID
    version_id: UUID


def fill(url: str, jobs: int) -> Made:
    """One campaign of `jobs` letters with two files each, and the lists around it.

    The tenant is the development one, which the service has made at its start.
    """
    engine = create_engine(url)
    made = Made(uuid4(), uuid4())
    with engine.begin() as connection:
        tenant = connection.scalars(select(Tenant.id)).one()
        _campaigns(connection, tenant, made, jobs // 100)
        _write(connection, Job, _jobs(tenant, made, jobs))
        ids = connection.execute(text("SELECT id, position FROM jobs ORDER BY position")).tuples()
        positions = {position: job_id for job_id, position in ids}
        _write(connection, JobAttachment, _attachments(tenant, positions))
        _write(connection, JobIssue, _issues(tenant, made, positions))
        _write(connection, StoredFile, _files(tenant, jobs // 10))
        _write(connection, Operation, _operations(tenant, made, 1000))
        _write(connection, AuditEntry, _audit(tenant, made, jobs))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()
    return made


def _write(connection: Connection, model: Any, rows: Iterator[dict[str, Any]]) -> None:
    while chunk := list(islice(rows, _CHUNK)):
        connection.execute(insert(model), chunk)


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _campaigns(connection: Connection, tenant: UUID, made: Made, others: int) -> None:
    def campaign(number: int) -> dict[str, Any]:
        at = _START + timedelta(minutes=number)
        return {
            "id": made.campaign_id if number == 0 else uuid4(),
            "tenant_id": tenant,
            "external_id": f"campaign-{number}",
            "name": f"Campaign {number}",
            "description": "Statements of the year",
            "created_at": at,
            "updated_at": at,
        }

    rows = [campaign(number) for number in range(others + 1)]
    connection.execute(insert(Campaign), rows)
    versions = [
        {
            "id": made.version_id if row["id"] == made.campaign_id else uuid4(),
            "tenant_id": tenant,
            "campaign_id": row["id"],
            "number": 1,
            "mode": "send",
            "config": {"version": "1.0"},
            "config_sha256": _hash(row["id"]),
            "workflow_state": "built",
            "created_at": row["created_at"],
            "built_at": row["created_at"],
            "created_by": "Bench",
            "source_columns": ["number", "name", "address"],
        }
        for row in rows
    ]
    connection.execute(insert(CampaignVersion), versions)


def _jobs(tenant: UUID, made: Made, jobs: int) -> Iterator[dict[str, Any]]:
    for n in range(jobs):
        review, failed = n % _NEEDS_REVIEW == 0, n % _FAILED == 1
        address = f"person{n}@example.org"
        yield {
            "id": uuid4(),
            "tenant_id": tenant,
            "campaign_id": made.campaign_id,
            "version_id": made.version_id,
            "position": n,
            "entry_id": f"{n:06}",
            "pointer": f"/entries/source/{n}",
            "build_status": "needs_review" if review else "ready",
            "send_status": "unqueued" if review else "failed" if failed else "sent",
            "imap_status": "not_requested",
            "envelope_from": "office@example.org",
            "recipients": [address],
            "to_display": f"Person {n} <{address}>",
            "subject": f"Your statement {n}",
            "search_text": f"{n:06} {address} your statement {n}",
            "source_row": [str(n), f"Person {n}", address],
            "message_id": f"<{n}@example.org>",
            "size": 60_000 + n % 5000,
            "sha256": _hash("message", n),
            "content_sha256": _hash("content", n),
            "queued_at": None if review else _START,
            "sent_at": None if review or failed else _START + timedelta(seconds=n),
            "attempt_count": 0 if review else 1,
            "last_reply": "mailbox unavailable" if failed else None,
        }


def _attachments(tenant: UUID, jobs: dict[int, UUID]) -> Iterator[dict[str, Any]]:
    for n, job in jobs.items():
        for position, path in enumerate((f"statements/person{n}.pdf", "statutes.pdf")):
            yield {
                "tenant_id": tenant,
                "job_id": job,
                "position": position,
                "rule": "statement" if position == 0 else "statutes",
                "path": path,
                "filename": path.rpartition("/")[2],
                "media_type": "application/pdf",
                "size": 50_000,
                "sha256": _hash(path),
                "archive": None,
                "is_personal": position == 0,
            }


def _issues(tenant: UUID, made: Made, jobs: dict[int, UUID]) -> Iterator[dict[str, Any]]:
    for n, job in jobs.items():
        if n % _NEEDS_REVIEW == 0:
            yield {
                "tenant_id": tenant,
                "version_id": made.version_id,
                "job_id": job,
                "position": n,
                "code": "duplicate-recipient",
                "severity": "review",
                "pointer": f"/entries/source/{n}",
                "entry_id": f"{n:06}",
                "message": "Another entry has the same address.",
                "hint": "Accept it if both are meant.",
            }


def _files(tenant: UUID, files: int) -> Iterator[dict[str, Any]]:
    for n in range(files):
        path = f"statements/{n // 1000}/person{n}.pdf"
        yield {
            "id": uuid4(),
            "tenant_id": tenant,
            "path": path,
            "size": 50_000,
            "sha256": _hash(path),
            "media_type": "application/pdf",
            "uploaded_at": _START + timedelta(seconds=n),
            "uploaded_by": "Bench",
        }


def _operations(tenant: UUID, made: Made, operations: int) -> Iterator[dict[str, Any]]:
    for n in range(operations):
        at = _START + timedelta(minutes=n)
        yield {
            "id": uuid4(),
            "tenant_id": tenant,
            "kind": "validate",
            "status": "cancelled",
            "campaign_id": made.campaign_id,
            "version_id": made.version_id,
            "request": {},
            "actor": {"kind": "user", "id": "bench", "name": "Bench"},
            "created_at": at,
            "started_at": at,
            "finished_at": at,
        }


def _audit(tenant: UUID, made: Made, entries: int) -> Iterator[dict[str, Any]]:
    """Behind those that are there already. Their hashes fit nothing: a list does not look."""
    for n in range(1000, entries + 1000):
        yield {
            "id": uuid4(),
            "tenant_id": tenant,
            "sequence": n,
            "at": _START + timedelta(seconds=n),
            "actor_kind": "user",
            "actor_id": "bench",
            "actor_name": "Bench",
            "address": "192.0.2.1",
            "action": "campaign.queued" if n % 100 == 0 else "message.viewed",
            "object_type": "campaign",
            "object_id": str(made.campaign_id),
            "details": {"reason": "a bench"},
            "previous_hash": _hash("audit", n - 1),
            "hash": _hash("audit", n),
        }
