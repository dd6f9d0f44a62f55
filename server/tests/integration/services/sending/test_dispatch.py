"""What a pass of the dispatcher rings for, ends and takes back; on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.access.actor import Actor
from app.access.scopes import Scope
from app.db.models import AuditEntry, Campaign, CampaignVersion, WorkflowState
from app.mailer.adapters.journal import JournalFolder
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.services.cancel_campaign import cancel_campaign
from app.mailer.services.dispatch import Dispatched, dispatch
from app.mailer.services.pause_campaign import pause_campaign
from app.mailer.services.recovery import Recovered
from app.mailer.services.send_some import Lanes
from tests.integration.services.sending.house import House, letter
from tests.integration.services.sending.test_recovery import Worker
from tests.servers.smtp import SmtpServer


class Bells:
    """Remembers for whom it was rung."""

    def __init__(self) -> None:
        self.sends: list[UUID] = []
        self.appends: list[UUID] = []

    def send(self, tenant: UUID, version: UUID) -> None:
        del tenant
        self.sends.append(version)

    def append(self, tenant: UUID, campaign: UUID) -> None:
        del tenant
        self.appends.append(campaign)

    def dispatch(self) -> None: ...
    def heard_send(self, version: UUID) -> None: ...
    def heard_append(self, campaign: UUID) -> None: ...


def look(house: House) -> tuple[Dispatched, Bells]:
    bells = Bells()
    journals = JournalFolder(house.journals)
    return dispatch(house.outbox, Lanes(house.outbox), journals, bells), bells


def version_of(house: House, campaign: UUID) -> CampaignVersion:
    with house.sessions() as session:
        found = session.scalar(
            select(CampaignVersion).where(CampaignVersion.campaign_id == campaign)
        )
    assert found is not None
    return found


def change(house: House, campaign: UUID, **values: Any) -> None:
    with house.sessions() as session:
        session.execute(update(Campaign).where(Campaign.id == campaign).values(**values))
        session.commit()


def test_it_rings_for_what_is_due_as_often_as_it_is_asked(house: House) -> None:
    campaign = house.queued(letter(25, 2))
    house.build(letter(25, 2) | {"campaign": {"id": "other", "name": "o", "mode": "send"}})
    for _ in range(2):
        found, bells = look(house)
        assert bells.sends == [version_of(house, campaign).id]
        assert (found.rung, found.completed, found.recovered) == (1, 0, Recovered())


@pytest.mark.parametrize("why", ["paused", "held", "not due", "cancelled"])
def test_it_rings_for_nothing_that_may_not_leave(house: House, why: str) -> None:
    campaign = house.queued(letter(25, 2))
    now = house.clock.now()
    actor = Actor.system(house.actor.tenant_id, "x", [Scope.CAMPAIGN_SEND])
    with house.sessions() as session:
        if why == "paused":
            pause_campaign(session, actor, campaign, reason="", now=now)
        elif why == "cancelled":
            cancel_campaign(session, actor, campaign, reason="", now=now)
        session.commit()
    if why == "held":
        change(house, campaign, held_until=now + timedelta(seconds=5), hold_reason="away", holds=1)
    elif why == "not due":
        for number in range(2):
            house.change(campaign, number, due_at=now + timedelta(seconds=5))
    assert look(house)[1].sends == []
    house.clock.sleep(6)
    assert len(look(house)[1].sends) == (why in ("held", "not due"))


def test_what_was_put_off_is_rung_for_when_it_is_due(house: House, smtp_server: SmtpServer) -> None:
    smtp_server.add_to_script("DOT", "451 later")
    campaign = house.queued(letter(smtp_server.port, 2))
    house.send(campaign)
    assert house.statuses(campaign) == ["deferred", "sent"]
    assert look(house)[1].sends == []
    house.clock.sleep(3600)
    assert look(house)[1].sends == [version_of(house, campaign).id]


def test_a_version_ends_when_nothing_of_it_waits(house: House) -> None:
    campaign = house.queued(letter(25, 2))
    house.change(campaign, 0, send_status=SendStatus.SENT)
    assert look(house)[0].completed == 0
    house.change(campaign, 1, send_status=SendStatus.FAILED)
    assert look(house)[0].completed == 1
    assert version_of(house, campaign).workflow_state is WorkflowState.COMPLETED
    assert look(house)[0].completed == 0
    with house.sessions() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "campaign.sent"))
        (entry,) = entries
    assert entry.details["outcomes"] == {"sent": 1, "failed": 1}


def test_it_takes_back_what_dead_workers_of_this_machine_held(house: House) -> None:
    campaign = house.queued(letter(25, 4))
    worker = Worker(house, campaign)
    dotted, undotted, answered, _claimed = worker.claim(4)
    worker.commit(dotted)
    worker.commit(undotted, dot=False)
    worker.commit(answered)
    worker.hear(answered, 250)
    assert look(house)[0].recovered == Recovered()
    worker.die()
    found, bells = look(house)
    assert found.recovered == Recovered(replayed=1, queued=2, in_doubt=1)
    assert house.statuses(campaign) == ["in_doubt", "queued", "sent", "queued"]
    assert bells.sends == [version_of(house, campaign).id]
    assert [job.attempt_count for job in house.jobs(campaign)] == [1, 0, 1, 0]
    assert [
        [attempt.outcome for attempt in house.attempts(job)] for job in house.jobs(campaign)
    ] == [["unknown"], ["abandoned"], ["accepted"], ["abandoned"]]


def test_what_a_worker_of_another_machine_held_is_taken_back_after_its_lease(house: House) -> None:
    campaign = house.queued(letter(25, 2))
    worker = Worker(house, campaign)
    committed, _claimed = worker.claim(2)
    worker.commit(committed, dot=False)
    house.clock.sleep(house.outbox.lease.total_seconds() - 1)
    assert look(house)[0].recovered == Recovered()
    house.clock.sleep(2)
    # Its journal is not here to be read, so what was allowed to leave may have left.
    assert look(house)[0].recovered == Recovered(queued=1, in_doubt=1)
    assert house.statuses(campaign) == ["in_doubt", "queued"]


def test_the_journal_clears_doubts_that_arose_while_its_worker_was_silent(house: House) -> None:
    """It lost its lease, the database being out of its reach, and then it died."""
    campaign = house.queued(letter(25, 2))
    worker = Worker(house, campaign)
    dotted, undotted = worker.claim(2)
    worker.commit(dotted)
    worker.commit(undotted, dot=False)
    house.clock.sleep(house.outbox.lease.total_seconds() + 1)
    assert look(house)[0].recovered == Recovered(in_doubt=2)
    worker.die()
    assert look(house)[0].recovered == Recovered(queued=1)
    assert house.statuses(campaign) == ["in_doubt", "queued"]
    assert [
        [attempt.outcome for attempt in house.attempts(job)] for job in house.jobs(campaign)
    ] == [["unknown"], ["abandoned"]]
