"""What the evidence of a version consists of, and its manifest.

Tables are NDJSON: one JSON object a line, in the order of the campaign's entries. Times are ISO
8601 in UTC. `manifest.json` comes last and has the size and SHA-256 of every other member but the
messages themselves, whose sizes and hashes are lines of `messages.ndjson`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.mailer.domain.evidence.zip_form import Member

CAMPAIGN = "campaign.json"  # the campaign's file as it is stored, without secrets
VERSION = "version.json"
MESSAGES = "messages.ndjson"
ATTACHMENTS = "attachments.ndjson"
ISSUES = "issues.ndjson"
ATTEMPTS = "attempts.ndjson"
APPEND_ATTEMPTS = "append_attempts.ndjson"
APPROVALS = "approvals.ndjson"
AUDIT = "audit.ndjson"
UNREADABLE = "unreadable.ndjson"  # messages that could not be read back; only with messages
MANIFEST = "manifest.json"

#: The tables, in their order.
TABLES = (MESSAGES, ATTACHMENTS, ISSUES, ATTEMPTS, APPEND_ATTEMPTS, APPROVALS, AUDIT)


def expected_members(*, with_messages: bool) -> tuple[str, ...]:
    """The members that the manifest lists, in their order."""
    return (CAMPAIGN, VERSION, *TABLES, *((UNREADABLE,) if with_messages else ()))


def message_name(position: int) -> str:
    """The member that holds the bytes of a message, by its place in the campaign."""
    return f"messages/{position:07}.eml"


class ListedMember(BaseModel):
    """A line of the manifest; `size` in bytes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    size: int
    sha256: str


class Manifest(BaseModel):
    """Of what the evidence is, and what it consists of.

    `counts` has the number of lines of each table; `audit_head` is the end of the tenant's audit
    log at the time.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["multimailer-evidence"] = "multimailer-evidence"
    format_version: Literal[1] = 1
    tenant_id: str
    campaign_id: str
    version_id: str
    made_at: str
    made_by: dict[str, str]
    program: str
    with_messages: bool
    audit_head: str | None
    counts: dict[str, int]
    members: list[ListedMember]
    set_sha256: str


def listed(members: Sequence[Member]) -> list[ListedMember]:
    """The members as the manifest lists them."""
    return [ListedMember(name=each.name, size=each.size, sha256=each.sha256) for each in members]


def set_hash(members: Iterable[ListedMember]) -> str:
    """One hash for all members: SHA-256 of the lines that `sha256sum` prints for them."""
    lines = "".join(f"{each.sha256}  {each.name}\n" for each in members)
    return hashlib.sha256(lines.encode()).hexdigest()
