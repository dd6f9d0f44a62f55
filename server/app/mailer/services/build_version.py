"""Validate and build a stored version: its entries become jobs with frozen messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import CampaignVersion
from app.db.repositories import coverage, issues, jobs, versions
from app.db.repositories.access import tenants
from app.db.repositories.jobs import NewAttachment, NewJob
from app.failpoints import failpoint
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.errors import Conflict
from app.mailer.domain.files.confinement import UPLOADS
from app.mailer.domain.issues import EntryState
from app.mailer.domain.letters.letter import Letter, shown_subject
from app.mailer.domain.storable import storable
from app.mailer.domain.version import VersionEvent, move
from app.mailer.ports import (
    Archiver,
    BlobRef,
    BlobStore,
    CampaignFiles,
    Clock,
    PdfText,
    Progress,
    SecretBox,
)
from app.mailer.services.already_sent import judge_already_sent
from app.mailer.services.approve_version import void_approvals
from app.mailer.services.build import Built, build_letters
from app.mailer.services.import_campaign import stored_part
from app.mailer.services.prepare import Prepared, prepare, prepare_part
from app.mailer.services.private_hosts import private_host_issues

#: Jobs of one transaction: other writers wait no longer than for these.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Workshop:
    """The ports that preparing and building need."""

    sessions: sessionmaker[Session]
    files_of: Callable[[Path, Path | None], CampaignFiles]
    #: The files of a campaign that came by the API: by tenant, base path and own file's name.
    confined_files: Callable[[UUID, str, str | None], CampaignFiles]
    pdf_text: PdfText
    archive: Archiver
    blobs: BlobStore
    box: SecretBox
    clock: Clock
    progress: Progress
    #: Raises `MailerError` for a host in a private network that is not allowed.
    refuse_private: Callable[[str], None] = lambda _host: None


def prepare_version(workshop: Workshop, actor: Actor, version_id: UUID) -> Prepared:
    """Check a stored version with its files, as they are on disk now. Reads only."""
    require_scope(actor, Scope.CAMPAIGN_BUILD)
    return prepare_with_files(workshop, actor.tenant_id, version_id)[0]


def prepare_with_files(
    workshop: Workshop, tenant_id: UUID, version_id: UUID
) -> tuple[Prepared, CampaignFiles]:
    """As `prepare_version`, with the files; the caller has seen to it that this is allowed."""
    with workshop.sessions() as session:
        version = versions.get(session, tenant_id, version_id)
        campaign, faults = stored_part(version, workshop.box)
        tenant = tenants.tenant(session, tenant_id)
    files = _files(workshop, version)

    def prepare_one(campaign: Campaign) -> Prepared:
        prepared = prepare(
            campaign,
            files,
            pdf_text=workshop.pdf_text,
            progress=workshop.progress,
            jinja_allowed=tenant.jinja_allowed,
        )
        prepared.issues.extend(private_host_issues(campaign, workshop.refuse_private))
        return prepared

    prepared = prepare_part(campaign, faults, prepare_one)
    prepared.revision = version.revision
    return prepared, files


def record_validation(
    workshop: Workshop, actor: Actor, version_id: UUID, prepared: Prepared
) -> None:
    """Keep what a validation found: the summary, and all issues of a version not yet built."""
    require_scope(actor, Scope.CAMPAIGN_BUILD)
    now = workshop.clock.now()
    with workshop.sessions() as session:
        version = versions.get(session, actor.tenant_id, version_id, lock=True)
        if prepared.revision not in (None, version.revision):
            raise Conflict("Somebody changed this version since it was checked.", "Check it again.")
        version.validated_at = now
        version.validation_summary = prepared.summary()
        found = prepared.issues if version.built_at is not None else prepared.found
        issues.replace_for_version(session, actor.tenant_id, version_id, found)
        log.record(
            session,
            actor,
            "campaign.validated",
            "campaign",
            version.campaign_id,
            {"version_id": str(version_id), "summary": prepared.summary()},
            now,
        )
        session.commit()


def build_version(
    workshop: Workshop,
    actor: Actor,
    version_id: UUID,
    prepared: Prepared,
    *,
    conclude: Callable[[Session, Mapping[str, int]], None] = lambda _session, _counts: None,
) -> dict[str, int]:
    """Freeze every letter of a version and store it as jobs; the summary by state.

    Stored in portions, so that others can write meanwhile; the version counts as built only with
    the last of them, in the transaction that `conclude` gets. A build that was interrupted is
    simply done again. What was approved is not any more. Raises `Conflict` where the version was
    queued before, was changed since it was prepared, or is being built by somebody else, and
    `CampaignInvalid` where the campaign itself is at fault; then what was built before stays.
    """
    require_scope(actor, Scope.CAMPAIGN_BUILD)
    prepared.refuse_if_blocked()
    build_id = uuid4()
    with workshop.sessions() as session:
        version = versions.get(session, actor.tenant_id, version_id, lock=True)
        if prepared.revision not in (None, version.revision):
            raise Conflict(
                "Somebody changed this version since it was checked.", "Check it and build again."
            )
        jobs.delete_unqueued(session, actor.tenant_id, version_id)
        move(version.workflow_state, VersionEvent.BUILD)
        void_approvals(session, actor, version, "It was built again.", workshop.clock.now())
        version.build_id = build_id
        if version.built_at is not None:
            version.workflow_state = move(version.workflow_state, VersionEvent.DISCARD)
            version.built_at = None
        files = _files(workshop, version)
        campaign_id = version.campaign_id
        days = tenants.tenant(session, actor.tenant_id).already_sent_days
        session.commit()
    since = workshop.clock.now() - timedelta(days=days)

    summary: Counter[EntryState] = Counter()
    made = _new_jobs(workshop, actor.tenant_id, prepared, files, build_id)
    while chunk := list(islice(made, _CHUNK)):
        # The files are on disk before any row that names them.
        workshop.blobs.sync()
        with workshop.sessions() as session:
            _check_still_ours(session, actor, version_id, build_id)
            rows = judge_already_sent(
                session, actor.tenant_id, campaign_id, prepared.compiled, chunk, since=since
            )
            summary.update(row.build_status for row in rows)
            jobs.add_all(session, actor.tenant_id, campaign_id, version_id, rows)
            session.commit()
        failpoint("built_portion")

    counts = {state.value: summary[state] for state in EntryState}
    now = workshop.clock.now()
    with workshop.sessions() as session:
        _check_still_ours(session, actor, version_id, build_id)
        version = versions.get(session, actor.tenant_id, version_id)
        version.built_at = now
        version.validation_summary = dict(counts)
        version.workflow_state = move(version.workflow_state, VersionEvent.BUILD)
        version.source_columns = storable(prepared.source_columns)
        read = (each.uploaders for each in (prepared.files, files) if each is not None)
        version.uploader_ids = sorted(set().union(*read))
        issues.replace_for_version(session, actor.tenant_id, version_id, prepared.issues)
        coverage.replace(session, actor.tenant_id, version_id, prepared.uses)
        log.record(
            session,
            actor,
            "campaign.built",
            "campaign",
            campaign_id,
            {"version_id": str(version_id), "build_id": str(build_id), "summary": counts},
            now,
        )
        conclude(session, counts)
        session.commit()
    return counts


def _new_jobs(
    workshop: Workshop,
    tenant_id: UUID,
    prepared: Prepared,
    files: CampaignFiles,
    build_id: UUID,
) -> Iterator[tuple[Letter, NewJob]]:
    entry_ids = _distinct_ids()
    stored: set[BlobRef] = set()
    built_letters = build_letters(
        prepared,
        files,
        archive=workshop.archive,
        build_id=build_id,
        job_id_of=lambda _letter: uuid4(),
        now=workshop.clock.now,
        progress=workshop.progress,
    )
    for position, (letter, built) in enumerate(built_letters):
        if built is not None:
            for ref, data in built.contents.items():
                if ref not in stored:
                    workshop.blobs.put(tenant_id, data)
                    stored.add(ref)
        yield letter, _new_job(prepared, letter, built, position, entry_ids(letter.id))


def _new_job(
    prepared: Prepared, letter: Letter, built: Built | None, position: int, entry_id: str
) -> NewJob:
    job = NewJob(
        id=built.job_id if built is not None else uuid4(),
        position=position,
        entry_id=entry_id,
        pointer=letter.entry.pointer,
        build_status=letter.state,
        recipients=letter.envelope,
        to_display=", ".join(mailbox.display for mailbox in letter.lists.to),
        subject=shown_subject(prepared.compiled, letter.entry),
        issues=letter.issues,
        source_row=storable(letter.entry.cells),
    )
    if built is None or letter.sender is None:
        return job
    return replace(
        job,
        envelope_from=letter.sender.address,
        message_id=built.message_id,
        message_date=built.date,
        needs_smtputf8=built.frame.needs_smtputf8,
        size=built.size,
        sha256=built.sha256,
        content_sha256=built.content_sha256,
        frame=built.frame.encode(),
        attachments=[NewAttachment(**asdict(each)) for each in built.files],
    )


def _check_still_ours(session: Session, actor: Actor, version_id: UUID, build_id: UUID) -> None:
    if versions.build_of(session, actor.tenant_id, version_id) != build_id:
        raise Conflict(
            "Somebody else began to build this version, or changed it, meanwhile.",
            "Wait for that build, or build again.",
        )


def _files(workshop: Workshop, version: CampaignVersion) -> CampaignFiles:
    """The files beside the campaign file, which itself is none that somebody forgot to attach."""
    own = None if version.source_filename is None else Path(version.source_filename).name or None
    if version.is_confined:
        base = version.source_base_path or UPLOADS
        return workshop.confined_files(version.tenant_id, base, own)
    folder = Path(version.source_base_path or ".")
    return workshop.files_of(folder, folder / own if own else None)


def _distinct_ids() -> Callable[[str], str]:
    """Names for the jobs of entries: an id that stands twice (and is blocked) gets a number."""
    seen: Counter[str] = Counter()

    def name(entry_id: str) -> str:
        seen[entry_id] += 1
        return entry_id if seen[entry_id] == 1 else f"{entry_id} #{seen[entry_id]}"

    return name
