"""Export the evidence of a version: what was sent to whom, what the servers said, who said yes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import CampaignVersion
from app.db.repositories import audit, campaigns
from app.db.repositories import evidence as rows
from app.db.repositories.access import tenants
from app.mailer.domain.audit_chain import content_hash, moment
from app.mailer.domain.errors import BlobMissing
from app.mailer.domain.evidence import form
from app.mailer.domain.evidence.zip_form import Member, ZipStream
from app.mailer.domain.mime.frame import Base64Cache
from app.mailer.ports import BlobRef, BlobStore, Clock
from app.mailer.services.approved_bytes import ChangedAfterBuild, approved_bytes
from app.mailer.services.versions import version_of

#: Bytes that go into a member at a time, and audit entries that are read at a time.
_PIECE, _PAGE = 64 * 1024, 1_000


@dataclass(frozen=True, slots=True)
class RecordOffice:
    """The ports that an export needs; `program` names this program and its version."""

    sessions: sessionmaker[Session]
    reading: sessionmaker[Session]
    blobs: BlobStore
    clock: Clock
    program: str


@dataclass(frozen=True, slots=True)
class Exported:
    """An export under way: how to name it, and its bytes."""

    filename: str
    pieces: Iterator[bytes]


def export_evidence(
    office: RecordOffice,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    with_messages: bool,
) -> Exported:
    """The evidence of a version (None: the newest) as a ZIP file.

    It is made while it is read, so memory does not grow with it. Needs `audit:read`, and
    `campaign:read` for the messages' bytes. Recorded before the first byte leaves, and again at the
    end with the manifest's hash, by which anybody can tell later whether a file is the one that was
    exported. A message that cannot be read back is listed as such.
    """
    require_scope(actor, Scope.AUDIT_READ)
    if with_messages:
        require_scope(actor, Scope.CAMPAIGN_READ)
    with office.sessions() as session:
        version = version_of(session, actor.tenant_id, campaign_id, version_id)
        campaign = campaigns.get(session, actor.tenant_id, campaign_id)
        _record(session, office, actor, "evidence.exported", version, with_messages, {})
        session.commit()
    name = f"{campaign.external_id}-v{version.number}-evidence.zip"
    return Exported(name, _Export(office, actor, version, with_messages).pieces())


class _Export:
    def __init__(
        self, office: RecordOffice, actor: Actor, version: CampaignVersion, with_messages: bool
    ) -> None:
        self._office = office
        self._actor = actor
        self._version = version
        self._with_messages = with_messages
        self._zip = ZipStream()
        self._members: list[Member] = []
        self._counts: dict[str, int] = {}

    def pieces(self) -> Iterator[bytes]:
        with self._office.reading() as session:
            found = audit.head(session, self._version.tenant_id)
            head = str(found) if found is not None else None
            yield from self._tables(session)
            if self._with_messages:
                yield from self._messages(session)
        text = self._manifest(head)
        yield from self._zip.add(form.MANIFEST, [text])
        with self._office.sessions() as session:
            details = {"manifest_sha256": hashlib.sha256(text).hexdigest(), "audit_head": head}
            _record(
                session,
                self._office,
                self._actor,
                "evidence.completed",
                self._version,
                self._with_messages,
                details,
            )
            session.commit()
        yield from self._zip.end()

    def _tables(self, session: Session) -> Iterator[bytes]:
        own = (session, self._version.tenant_id, self._version.id)
        yield from self._listed(form.CAMPAIGN, _pieces(rows.config_text(*own)))
        yield from self._listed(form.VERSION, [_json(_about(session, self._version)) + b"\n"])
        tables: dict[str, Callable[..., Iterator[dict[str, Any]]]] = {
            form.MESSAGES: rows.messages,
            form.ATTACHMENTS: rows.attachments,
            form.ISSUES: rows.issues,
            form.ATTEMPTS: rows.send_attempts,
            form.APPEND_ATTEMPTS: rows.append_attempts,
            form.APPROVALS: rows.approvals,
        }
        for name, read in tables.items():
            yield from self._listed(name, self._lines(name, map(_json, read(*own))))
        entries = _audit_lines(session, self._version)
        # Numbers of any size: what was recorded has to come out as it is, for the hashes.
        lines = (json.dumps(each, separators=(",", ":")).encode() for each in entries)
        yield from self._listed(form.AUDIT, self._lines(form.AUDIT, lines))

    def _messages(self, session: Session) -> Iterator[bytes]:
        unreadable: list[dict[str, Any]] = []
        cache = Base64Cache()

        def read(ref: BlobRef) -> bytes:
            return self._office.blobs.get(self._version.tenant_id, ref)

        for row in rows.frames(session, self._version.tenant_id, self._version.id):
            try:
                chunks = approved_bytes(row, row.frame, read, cache)
            except (ChangedAfterBuild, BlobMissing) as error:
                why = {"position": row.position, "entry_id": row.entry_id, "reason": str(error)}
                unreadable.append(why)
                continue
            yield from self._zip.add(form.message_name(row.position), chunks)
        name = form.UNREADABLE
        yield from self._listed(name, self._lines(name, map(_json, unreadable)))

    def _listed(self, name: str, chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
        member = yield from self._zip.add(name, chunks)
        self._members.append(member)

    def _lines(self, name: str, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines in larger pieces, counted under the member's name."""
        waiting = bytearray()
        count = 0
        for line in lines:
            waiting += line
            waiting += b"\n"
            count += 1
            if len(waiting) >= _PIECE:
                yield bytes(waiting)
                waiting.clear()
        self._counts[name] = count
        yield bytes(waiting)

    def _manifest(self, head: str | None) -> bytes:
        actor = self._actor
        members = form.listed(self._members)
        manifest = form.Manifest(
            tenant_id=str(self._version.tenant_id),
            campaign_id=str(self._version.campaign_id),
            version_id=str(self._version.id),
            made_at=moment(self._office.clock.now()),
            made_by={"kind": actor.kind.value, "id": actor.id, "name": actor.name},
            program=self._office.program,
            with_messages=self._with_messages,
            audit_head=head,
            counts=self._counts,
            members=members,
            set_sha256=form.set_hash(members),
        )
        return manifest.model_dump_json(indent=2).encode() + b"\n"


def _about(session: Session, version: CampaignVersion) -> dict[str, Any]:
    campaign = campaigns.get(session, version.tenant_id, version.campaign_id)
    tenant = tenants.tenant(session, version.tenant_id)
    return {
        "tenant": {"id": tenant.id, "slug": tenant.slug, "name": tenant.name},
        "campaign": {
            "id": campaign.id,
            "external_id": campaign.external_id,
            "name": campaign.name,
            "description": campaign.description,
            "approval": campaign.approval,
            "created_at": campaign.created_at,
        },
        "version": {
            "id": version.id,
            "number": version.number,
            "mode": version.mode,
            "workflow_state": version.workflow_state,
            "config_sha256": version.config_sha256,
            "source_filename": version.source_filename,
            "created_at": version.created_at,
            "created_by": version.created_by,
            "edited_at": version.edited_at,
            "edited_by": version.edited_by,
            "author_ids": version.author_ids,
            "uploader_ids": version.uploader_ids,
            "published_at": version.published_at,
            "validated_at": version.validated_at,
            "built_at": version.built_at,
            "build_id": version.build_id,
        },
    }


def _audit_lines(session: Session, version: CampaignVersion) -> Iterator[dict[str, Any]]:
    """The log from the campaign's first entry to its end: the campaign's own entries whole, and of
    every other one nothing but the hash of what it says, by which the chain can be followed.
    """
    tenant_id = version.tenant_id
    own_ids = rows.version_ids(session, tenant_id, version.campaign_id)
    own_ids |= {str(version.campaign_id)}
    first = rows.first_audit_number(session, tenant_id, version)
    after = None if first is None else first - 1
    begun = False
    while page := audit.in_order(session, tenant_id, after=after, limit=_PAGE):
        after = page[-1].sequence
        for entry in page:
            fields = audit.chain_fields(entry)
            if _is_about(fields, own_ids):
                begun = True
                yield {**fields, "previous_hash": entry.previous_hash, "hash": entry.hash}
            elif begun:
                yield {"sequence": entry.sequence, "content_hash": content_hash(fields)}


def _is_about(entry: dict[str, Any], own_ids: frozenset[str]) -> bool:
    details = entry["details"]
    named = (entry["object_id"], details.get("campaign_id"), details.get("version_id"))
    return any(isinstance(each, str) and each in own_ids for each in named)


def _record(
    session: Session,
    office: RecordOffice,
    actor: Actor,
    action: str,
    version: CampaignVersion,
    with_messages: bool,
    more: Mapping[str, object],
) -> None:
    details = {
        "version_id": str(version.id),
        "version": version.number,
        "with_messages": with_messages,
        **more,
    }
    now = office.clock.now()
    log.record(session, actor, action, "campaign", version.campaign_id, details, now)


def _pieces(text: str) -> Iterator[bytes]:
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE].encode()


def _json(value: object) -> bytes:
    return orjson.dumps(value, default=_spelled, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _spelled(value: object) -> str:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, StrEnum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no place in evidence")
