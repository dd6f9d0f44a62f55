"""One look at everything that waits: the dead cleaned up after, and somebody rung for what is due.

The database is the truth, so a pass may come late, twice or in two places at once. What a broker
lost is rung for again by the next pass.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor
from app.audit import log
from app.db.repositories import appending, dispatching, jobs, leases, versions
from app.db.repositories.dispatching import Due
from app.mailer.domain.delivery.filing import PATIENCE
from app.mailer.domain.delivery.job import OPEN
from app.mailer.domain.version import VersionEvent, move, sources_of
from app.mailer.ports import Bell, Journals
from app.mailer.services.missed_start import hold_missed_starts
from app.mailer.services.open_lane import Outbox
from app.mailer.services.recovery import Recovered, Terms, recover_dead
from app.mailer.services.send_some import Lanes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What a pass found: what it took back from the dead, and how many versions it rang for."""

    recovered: Recovered
    rung: int
    completed: int


def dispatch(outbox: Outbox, lanes: Lanes, journals: Journals, bell: Bell) -> Dispatched:
    """One pass. Raises `BellAway` where nobody can be rung for; all else is done by then."""
    recovered = recover_here(outbox, lanes, journals)
    with outbox.sessions() as session:
        lapsed = dispatching.tenants_with_lapsed_leases(session, outbox.clock.now())
    for tenant_id in lapsed:
        with outbox.sessions() as session:
            queued, doubtful = leases.expire(
                session, tenant_id, now=outbox.clock.now(), dead_worker=None
            )
            session.commit()
        recovered += Recovered(queued=queued, in_doubt=doubtful)
    hold_missed_starts(outbox.sessions, outbox.clock.now())
    with outbox.sessions() as session:
        over = dispatching.over(session)
    completed = sum(_complete(outbox, each) for each in over)
    with outbox.sessions() as session:
        alone = dispatching.take_pass(session)
        due = dispatching.due(session, outbox.clock.now()) if alone else []
        copies = appending.due(session, outbox.clock.now(), PATIENCE) if alone else []
    for each in due:
        bell.send(each.tenant_id, each.version_id)
    for tenant_id, campaign_id in copies:
        bell.append(tenant_id, campaign_id)
    if recovered:
        _log.info("Cleaned up after dead workers: %s", recovered)
    return Dispatched(recovered, len(due), completed)


def recover_here(outbox: Outbox, lanes: Lanes, journals: Journals) -> Recovered:
    """Clean up after the dead whose journals are on this machine."""
    total = Recovered()
    for tenant_id in journals.tenants():
        total += recover_dead(
            outbox.sessions,
            tenant_id,
            journals.abandoned(tenant_id),
            clock=outbox.clock,
            terms_of=partial(_terms, lanes, tenant_id),
        )
    return total


def _terms(lanes: Lanes, tenant_id: UUID, session: Session, version_id: UUID) -> Terms:
    return lanes.of(session, tenant_id, version_id)


def _complete(outbox: Outbox, found: Due) -> bool:
    """Nothing of a version waits any more: its end, unless something was queued meanwhile."""
    tenant_id = found.tenant_id
    with outbox.sessions() as session:
        version = versions.get(session, tenant_id, found.version_id, lock=True)
        counts = jobs.counts(session, tenant_id, version.id).send
        if version.workflow_state not in sources_of(VersionEvent.COMPLETE) or any(
            counts[status] for status in OPEN
        ):
            return False
        version.workflow_state = move(version.workflow_state, VersionEvent.COMPLETE)
        log.record(
            session,
            Actor.system(tenant_id),
            "campaign.sent",
            "campaign",
            found.campaign_id,
            {
                "version_id": str(version.id),
                "outcomes": {status.value: n for status, n in counts.items() if n},
            },
            outbox.clock.now(),
        )
        session.commit()
    return True
