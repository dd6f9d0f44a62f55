from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.access.actor import Actor
from app.db.models import AuditEntry, Campaign, CampaignVersion, Job, WorkflowState
from app.db.repositories.queueing import LeftOut
from app.mailer.domain.delivery.approval import Approval
from app.mailer.domain.delivery.job import Decision, SendStatus
from app.mailer.domain.errors import AccessDenied, Conflict, NotFound
from app.mailer.domain.issues import EntryState
from app.mailer.services.pause_campaign import pause_campaign
from app.mailer.services.queue_campaign import Queued, queue_campaign
from tests.integration.services.sending.house import START, House, letter, people, recipients
from tests.servers.smtp import SmtpServer


def _left_out(queued: Queued) -> dict[str, int]:
    reasons = {each.name for each in fields(LeftOut)}
    return {name: count for name, count in asdict(queued).items() if name in reasons and count}


def test_queueing_twice_queues_once(house: House, smtp_server: SmtpServer) -> None:
    campaign = house.build(letter(smtp_server.port, 3)).campaign_id
    first = house.queue(campaign)
    assert (first.queued, first.due_at, _left_out(first)) == (3, START, {})
    second = house.queue(campaign)
    assert (second.queued, _left_out(second)) == (0, {"already_queued": 3})
    house.send(campaign)
    assert house.queue(campaign).queued == 0
    assert house.send(campaign).outcomes == {}
    assert recipients(smtp_server) == people(3)


def test_a_dry_run_says_the_same_and_changes_nothing(house: House) -> None:
    campaign = house.build(letter(25, 3)).campaign_id
    rehearsed = house.queue(campaign, dry_run=True)
    assert (rehearsed.queued, rehearsed.dry_run) == (3, True)
    assert house.statuses(campaign) == ["unqueued"] * 3
    assert house.queue(campaign).queued == 3
    with house.sessions() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "campaign.queued"))
        (entry,) = entries.all()
        assert entry.details["queued"] == 3
        (version,) = session.scalars(select(CampaignVersion)).all()
        assert version.workflow_state is WorkflowState.QUEUED


def test_the_review_gate_counts_each_job_once(house: House) -> None:
    campaign = house.build(letter(25, 9)).campaign_id
    for position, (build, decision) in enumerate(
        [
            (EntryState.READY, None),
            (EntryState.WARNING, None),
            (EntryState.NEEDS_REVIEW, None),
            (EntryState.NEEDS_REVIEW, Decision.ACCEPT),
            (EntryState.NEEDS_REVIEW, Decision.EXCLUDE),
            (EntryState.BLOCKED, None),
            (EntryState.EXCLUDED, None),
            (EntryState.INACTIVE, None),
            (EntryState.READY, Decision.EXCLUDE),
        ]
    ):
        house.change(campaign, position, build_status=build, decision=decision)
    held = {"needs_review": 1, "blocked": 1, "excluded": 3, "inactive": 1}
    strict = house.queue(campaign, include_warnings=False, dry_run=True)
    assert (strict.queued, _left_out(strict)) == (2, held | {"warnings_left_out": 1})
    queued = house.queue(campaign)
    assert (queued.queued, _left_out(queued)) == (3, held)
    assert [n for n, status in enumerate(house.statuses(campaign)) if status == "queued"] == [
        0,
        1,
        3,
    ]


def test_a_draft_never_leaves(sqlite_house: House) -> None:
    house = sqlite_house
    document = letter(25)
    document["campaign"]["mode"] = "draft"
    campaign = house.build(document).campaign_id
    with pytest.raises(Conflict, match="draft"):
        house.queue(campaign)
    rehearsed = house.queue(campaign, dry_run=True)
    assert [each.detail for each in rehearsed.would_be_refused] == [
        "This version is a draft, and drafts never leave."
    ]
    assert house.statuses(campaign) == ["unqueued"]


def test_a_dry_run_tells_all_that_the_real_one_would_be_refused_for(house: House) -> None:
    document = letter(25, 2)
    document["campaign"]["mode"] = "draft"
    campaign = house.build(document).campaign_id
    with house.sessions() as session:
        row = session.get(Campaign, campaign)
        assert row is not None
        row.approval = Approval.REQUIRED
        session.commit()
    rehearsed = house.queue(campaign, dry_run=True)
    assert rehearsed.queued == 2
    draft, unapproved = rehearsed.would_be_refused
    assert "draft" in draft.detail
    assert "approved before" in unapproved.detail
    assert "campaign:approve" in unapproved.hint
    with pytest.raises(Conflict) as refused:
        house.queue(campaign)
    assert refused.value.message == draft.detail


def test_queueing_tells_who_holds_the_campaign_back(house: House) -> None:
    campaign = house.build(letter(25)).campaign_id
    assert house.queue(campaign, dry_run=True).paused is None
    with house.sessions() as session:
        pause_campaign(session, house.actor, campaign, reason="Stop it.", now=START)
        session.commit()
    for dry_run in (True, False):
        queued = house.queue(campaign, dry_run=dry_run)
        assert queued.paused is not None
        assert "paused by Test" in queued.paused
        assert "Stop it." in queued.paused
        assert (queued.queued, queued.would_be_refused) == (1, [])


def test_what_is_not_built_or_not_there_cannot_be_queued(sqlite_house: House) -> None:
    house = sqlite_house
    imported = house.build(letter(25))
    with house.sessions() as session:
        version = session.get(CampaignVersion, imported.version_id)
        assert version is not None
        version.built_at = None
        session.commit()
    with pytest.raises(Conflict, match="not built"):
        house.queue(imported.campaign_id)
    with pytest.raises(NotFound):
        house.queue(uuid4())
    with pytest.raises(NotFound):
        house.queue(imported.campaign_id, version_id=uuid4())


def test_queueing_needs_the_scope_and_the_tenant(sqlite_house: House) -> None:
    campaign = sqlite_house.build(letter(25)).campaign_id

    def queue(actor: Actor) -> None:
        with sqlite_house.sessions() as session:
            queue_campaign(
                session,
                actor,
                campaign,
                version_id=None,
                include_warnings=True,
                again=False,
                dry_run=False,
                clock=sqlite_house.clock,
                box=sqlite_house.box,
            )

    with pytest.raises(AccessDenied):
        queue(Actor.system(sqlite_house.actor.tenant_id, "Reader", ["campaign:read"]))
    with pytest.raises(NotFound):
        queue(Actor.system(uuid4(), "Stranger", ["*"]))


@pytest.fixture
def two_versions(house: House, smtp_server: SmtpServer) -> tuple[UUID, UUID]:
    """Version 1 has three people and was sent to two of them; version 2 has a fourth."""
    first = house.build(letter(smtp_server.port, 3))
    house.change(first.campaign_id, 2, build_status=EntryState.BLOCKED)
    house.queue(first.campaign_id)
    house.send(first.campaign_id)
    second = house.build(letter(smtp_server.port, 4))
    assert second.campaign_id == first.campaign_id
    assert second.version_number == 2
    return first.campaign_id, first.version_id


def test_a_second_version_goes_to_those_whom_the_first_missed(
    house: House, smtp_server: SmtpServer, two_versions: tuple[UUID, UUID]
) -> None:
    campaign, _ = two_versions
    queued = house.queue(campaign)
    assert (queued.version_number, queued.queued, _left_out(queued)) == (2, 2, {"already_sent": 2})
    assert house.send(campaign).outcomes == {SendStatus.SENT: 2}
    assert recipients(smtp_server) == people(4)


def test_and_again_to_everybody_where_somebody_says_so(
    house: House, smtp_server: SmtpServer, two_versions: tuple[UUID, UUID]
) -> None:
    campaign, first = two_versions
    assert house.queue(campaign, again=True).queued == 4
    house.send(campaign)
    assert recipients(smtp_server) == sorted(people(4) + people(2))
    # The first version's blocked one is blocked still, and its others are sent.
    assert house.queue(campaign, version_id=first).queued == 0


def test_what_is_in_doubt_or_on_its_way_counts_as_sent(
    house: House, two_versions: tuple[UUID, UUID]
) -> None:
    campaign, _ = two_versions
    first = [job for job in house.jobs(campaign) if job.send_status is SendStatus.SENT]
    for job, status in zip(first, (SendStatus.IN_DOUBT, SendStatus.DEFERRED), strict=True):
        _set(house, job.id, status)
    assert house.queue(campaign, dry_run=True).already_sent == 2
    for job in first:
        _set(house, job.id, SendStatus.FAILED)
    assert house.queue(campaign, dry_run=True).already_sent == 0


def _set(house: House, job_id: UUID, status: SendStatus) -> None:
    with house.sessions() as session:
        job = session.get(Job, job_id)
        assert job is not None
        job.send_status = status
        session.commit()


def test_a_test_leaves_the_real_one_to_be_sent(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    house = sqlite_house
    document = letter(smtp_server.port, 2, delivery={"test_recipients": ["tester@example.org"]})
    document["campaign"]["mode"] = "test"
    for _ in range(2):
        campaign = house.queued(document)
        assert house.send(campaign).outcomes == {SendStatus.SENT: 2}
    document["campaign"]["mode"] = "send"
    assert house.queue(house.build(document).campaign_id).queued == 2
    house.send(campaign)
    assert recipients(smtp_server) == sorted(people(2) + ["tester@example.org"] * 4)


def test_two_versions_queued_at_once_send_each_entry_once(
    house: House, smtp_server: SmtpServer
) -> None:
    versions = [house.build(letter(smtp_server.port, 5)) for _ in range(2)]
    campaign = versions[0].campaign_id
    gate, counts = threading.Barrier(2), []

    def queue(version_id: UUID) -> None:
        gate.wait()
        counts.append(house.queue(campaign, version_id=version_id).queued)

    threads = [threading.Thread(target=queue, args=(each.version_id,)) for each in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 5]
    house.send(campaign)
    assert recipients(smtp_server) == people(5)


def test_it_is_due_when_the_campaign_says(
    sqlite_house: House, start_smtp: Callable[..., SmtpServer]
) -> None:
    house, server = sqlite_house, start_smtp()
    delivery = {
        "not_before": "2026-03-03T07:00:00Z",
        "send_window": {"from": "08:00", "to": "10:00", "timezone": "UTC"},
    }
    campaign = house.build(letter(server.port, 2, delivery=delivery)).campaign_id
    assert house.queue(campaign).due_at == datetime(2026, 3, 3, 8, tzinfo=UTC)
    early = house.send(campaign)
    assert (early.due, early.waiting) == (0, 2)
    house.clock.sleep(20 * 3600)
    assert house.send(campaign).outcomes == {SendStatus.SENT: 2}


def test_a_cancelled_message_can_be_queued_anew(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    house = sqlite_house
    campaign = house.queued(letter(smtp_server.port, 2))
    house.change(
        campaign, 0, send_status=SendStatus.CANCELLED, attempt_count=4, last_error="stopped"
    )
    assert house.send(campaign).outcomes == {SendStatus.SENT: 1}
    assert house.queue(campaign).queued == 1
    job = house.jobs(campaign)[0]
    assert (job.attempt_count, job.last_error) == (0, None)
    house.send(campaign)
    assert recipients(smtp_server) == people(2)
