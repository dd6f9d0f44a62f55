"""Who gets what: the files of each entry, the takers of each file, and what nobody takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.keyset import Order, Slice
from app.db.models import CampaignVersion, Job, VersionFile
from app.db.repositories import coverage, job_lists
from app.db.repositories.coverage import PeopleFilter, Use
from app.db.repositories.job_lists import NO_FILES, FirstFiles
from app.mailer.services.versions import built_version_of

#: Files that a row names; the rest is counted.
FIRST = 20


@dataclass(frozen=True, slots=True)
class Person:
    """An entry and the files of its message, those in an archive and the archive itself too."""

    job: Job
    files: FirstFiles


def page_people(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    filters: PeopleFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Person]:
    """A page of the version's entries with their files; `Conflict` where it is not built."""
    version = _built(session, actor, campaign_id, version_id)
    found = coverage.people(
        session, actor.tenant_id, version.id, filters, order=order, after=after, limit=limit
    )
    files = _files(session, actor, found.rows)
    return Slice([Person(job, files.get(job.id, NO_FILES)) for job in found.rows], found.next_after)


def page_files(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    *,
    use: Use | None,
    search: str | None,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[VersionFile]:
    """A page of the files that the last build saw; `Conflict` where there is none."""
    version = _built(session, actor, campaign_id, version_id)
    return coverage.files(
        session,
        actor.tenant_id,
        version.id,
        use=use,
        search=search,
        order=order,
        after=after,
        limit=limit,
    )


def _built(session: Session, actor: Actor, campaign_id: UUID, version_id: UUID) -> CampaignVersion:
    require_scope(actor, Scope.CAMPAIGN_READ)
    return built_version_of(session, actor.tenant_id, campaign_id, version_id, content=False)


def _files(session: Session, actor: Actor, rows: Sequence[Job]) -> Mapping[UUID, FirstFiles]:
    ids = [job.id for job in rows]
    return job_lists.first_files(session, actor.tenant_id, ids, FIRST)
