"""The failed and never-sent recipients of a version, in the columns that they came in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.models import CampaignVersion
from app.db.repositories import reports
from app.db.repositories.queueing import Gate
from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.errors import CampaignInvalid
from app.mailer.domain.rest import Rest, RestTable
from app.mailer.services.versions import version_of

#: Whom one means by the rest, unless one says otherwise.
USUAL = frozenset({Rest.FAILED, Rest.NEVER_SENT})
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class RestRows:
    """A table: its header, and rows that are read from the session as they are used."""

    version: CampaignVersion
    header: Sequence[str]
    rows: Iterator[Sequence[str]]


def rest_rows(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    wanted: Collection[Rest] = USUAL,
) -> RestRows:
    """Everybody of a version (None: as `version_of`) who belongs to the rest, in its order.

    Nobody whom another version of the campaign reached. `CampaignInvalid` where the version is a
    draft that cannot be read.
    """
    require_scope(actor, Scope.CAMPAIGN_READ)
    version = version_of(session, actor.tenant_id, campaign_id, version_id)
    campaign, issues = read_shape_of(version.config)
    if campaign is None:
        raise CampaignInvalid(issues)
    table = RestTable(campaign, version.source_columns)
    return RestRows(version, table.header, _rows(session, version, table, wanted))


def _rows(
    session: Session, version: CampaignVersion, table: RestTable, wanted: Collection[Rest]
) -> Iterator[Sequence[str]]:
    gate = Gate(version.tenant_id, version.campaign_id, version.id, True, version.mode == "send")
    after = -1
    while page := reports.rest_page(session, gate, wanted, after=after, limit=_PAGE):
        after = page[-1].position
        for job in page:
            yield from table.rows(job.entry_id, job.to, job.pointer, job.source_row)
