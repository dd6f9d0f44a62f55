"""Validate and build a stored version: its entries become jobs with frozen messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import CampaignVersion, WorkflowState
from app.db.repositories import issues, jobs, versions
from app.db.repositories.jobs import NewAttachment, NewJob
from app.mailer.domain.errors import Conflict
from app.mailer.domain.issues import EntryState, Issue
from app.mailer.domain.letters.letter import Letter, shown_subject
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
from app.mailer.services.build import Built, build_letters
from app.mailer.services.import_campaign import stored_campaign
from app.mailer.services.prepare import Prepared, prepare

#: Jobs of one transaction: other writers wait no longer than for these.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Workshop:
    """The ports that preparing and building need."""

    sessions: sessionmaker[Session]
    files_of: Callable[[Path, Path | None], CampaignFiles]
    pdf_text: PdfText
    archive: Archiver
    blobs: BlobStore
    box: SecretBox
    clock: Clock
    progress: Progress


def prepare_version(workshop: Workshop, actor: Actor, version_id: UUID) -> Prepared:
    """Check a stored version with its files, as they are on disk now. Reads only."""
    require_scope(actor, Scope.CAMPAIGN_BUILD)
    with workshop.sessions() as session:
        version = versions.get(session, actor.tenant_id, version_id)
        campaign = stored_campaign(version, workshop.box)
    return prepare(
        campaign,
        _files(workshop, version),
        pdf_text=workshop.pdf_text,
        progress=workshop.progress,
    )


def record_validation(
    workshop: Workshop, actor: Actor, version_id: UUID, prepared: Prepared
) -> None:
    """Keep what a validation found: the summary, and all issues of a version not yet built."""
    require_scope(actor, Scope.CAMPAIGN_BUILD)
    now = workshop.clock.now()
    with workshop.sessions() as session:
        version = versions.get(session, actor.tenant_id, version_id, lock=True)
        version.validated_at = now
        version.validation_summary = prepared.summary()
        found: list[Issue] = list(prepared.issues)
        if version.built_at is None:
            found += [issue for letter in prepared.letters for issue in letter.issues]
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
    workshop: Workshop, actor: Actor, version_id: UUID, prepared: Prepared
) -> dict[str, int]:
    """Freeze every letter of a version and store it as jobs; the summary by state.

    Stored in portions, so that others can write meanwhile; the version counts as built only with
    the last of them. A build that was interrupted is simply done again. Raises `Conflict` where
    the version was queued before, or is being built by somebody else, and `CampaignInvalid` where
    the campaign itself is at fault; then what was built before stays.
    """
    require_scope(actor, Scope.CAMPAIGN_BUILD)
    prepared.refuse_if_blocked()
    build_id = uuid4()
    with workshop.sessions() as session:
        version = versions.get(session, actor.tenant_id, version_id, lock=True)
        jobs.delete_unqueued(session, actor.tenant_id, version_id)
        version.build_id = build_id
        version.built_at = None
        files = _files(workshop, version)
        campaign_id = version.campaign_id
        session.commit()

    summary: Counter[EntryState] = Counter()
    rows = _new_jobs(workshop, actor.tenant_id, prepared, files, build_id, summary)
    while chunk := list(islice(rows, _CHUNK)):
        # The files are on disk before any row that names them.
        workshop.blobs.sync()
        with workshop.sessions() as session:
            _still_ours(session, actor, version_id, build_id)
            jobs.add_all(session, actor.tenant_id, campaign_id, version_id, chunk)
            session.commit()

    counts = {state.value: summary[state] for state in EntryState}
    now = workshop.clock.now()
    with workshop.sessions() as session:
        version = _still_ours(session, actor, version_id, build_id)
        version.built_at = now
        version.validation_summary = dict(counts)
        version.workflow_state = WorkflowState.BUILT
        issues.replace_for_version(session, actor.tenant_id, version_id, prepared.issues)
        log.record(
            session,
            actor,
            "campaign.built",
            "campaign",
            campaign_id,
            {"version_id": str(version_id), "build_id": str(build_id), "summary": counts},
            now,
        )
        session.commit()
    return counts


def _new_jobs(
    workshop: Workshop,
    tenant_id: UUID,
    prepared: Prepared,
    files: CampaignFiles,
    build_id: UUID,
    summary: Counter[EntryState],
) -> Iterator[NewJob]:
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
        summary[letter.state] += 1
        if built is not None:
            for ref, data in built.contents.items():
                if ref not in stored:
                    workshop.blobs.put(tenant_id, data)
                    stored.add(ref)
        yield _new_job(prepared, letter, built, position, entry_ids(letter.id))


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
        frame=built.frame.encode(),
        attachments=[NewAttachment(**asdict(each)) for each in built.files],
    )


def _still_ours(
    session: Session, actor: Actor, version_id: UUID, build_id: UUID
) -> CampaignVersion:
    version = versions.get(session, actor.tenant_id, version_id, lock=True)
    if version.build_id != build_id:
        raise Conflict(
            "Somebody else began to build this version meanwhile.",
            "Wait for that build, or build again.",
        )
    return version


def _files(workshop: Workshop, version: CampaignVersion) -> CampaignFiles:
    """The files beside the campaign file, which itself is none that somebody forgot to attach."""
    folder = Path(version.source_base_path or ".")
    own = version.source_filename
    return workshop.files_of(folder, folder / Path(own).name if own else None)


def _distinct_ids() -> Callable[[str], str]:
    """Names for the jobs of entries: an id that stands twice (and is blocked) gets a number."""
    seen: Counter[str] = Counter()

    def name(entry_id: str) -> str:
        seen[entry_id] += 1
        return entry_id if seen[entry_id] == 1 else f"{entry_id} #{seen[entry_id]}"

    return name
