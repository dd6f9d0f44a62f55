"""A start that somebody planned: it goes as planned, or waits for a person; never by itself in the
middle of the night, because a machine came back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.db.models import AuditEntry, Campaign, CampaignVersion
from app.mailer.adapters.journal import JournalFolder
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.delivery.sample import First
from app.mailer.domain.errors import MailerError
from app.mailer.services.cancel_campaign import cancel_campaign
from app.mailer.services.dispatch import dispatch
from app.mailer.services.missed_start import hold_missed_starts
from app.mailer.services.pause_campaign import pause_campaign, resume_campaign
from app.mailer.services.send_some import Lanes, Sender, SomeSent
from tests.integration.services.sending.house import START, House, letter, people, recipients
from tests.servers.smtp import SmtpServer

MORNING = START + timedelta(hours=20)  # 08:00 on the next day
HOUR = 3600.0


class Rings:
    """Implements `ports.Bell`: counts who is rung for."""

    def __init__(self) -> None:
        self.versions: list[UUID] = []

    def send(self, _tenant: UUID, version: UUID) -> None:
        self.versions.append(version)

    def append(self, tenant: UUID, campaign: UUID) -> None: ...
    def dispatch(self) -> None: ...
    def heard_send(self, version: UUID) -> None: ...
    def heard_append(self, campaign: UUID) -> None: ...


def _version(house: House, campaign: UUID) -> CampaignVersion:
    with house.sessions() as session:
        return session.scalars(
            select(CampaignVersion).where(CampaignVersion.campaign_id == campaign)
        ).one()


def _campaign(house: House, campaign: UUID) -> Campaign:
    with house.sessions() as session:
        return session.get_one(Campaign, campaign)


def _pass(house: House) -> list[UUID]:
    """Whom a dispatcher rings for."""
    rings = Rings()
    dispatch(house.outbox, Lanes(house.outbox), JournalFolder(house.journals), rings)
    return rings.versions


def _work(house: House, campaign: UUID) -> SomeSent:
    """What a worker does who was rung for."""
    version = _version(house, campaign)
    sender = Sender(house.outbox, Lanes(house.outbox), JournalFolder(house.journals))
    return sender.send_some(
        version.tenant_id,
        version.id,
        stop=threading.Event(),
        seconds=60,
        on_start=lambda _tenant, _version: None,
    )


def _resume(house: House, campaign: UUID) -> None:
    with house.sessions() as session:
        resume_campaign(session, house.actor, campaign, now=house.clock.now())
        session.commit()


def _planned(house: House, server: SmtpServer, **delivery: Any) -> UUID:
    campaign = house.build(letter(server.port, 3, delivery=delivery)).campaign_id
    queued = house.queue(campaign, not_before=MORNING)
    assert (queued.due_at, queued.starts_at) == (MORNING, MORNING)
    assert _version(house, campaign).starts_at == MORNING
    return campaign


def test_a_start_goes_as_planned(house: House, smtp_server: SmtpServer) -> None:
    campaign = _planned(house, smtp_server)
    assert _pass(house) == []
    assert _work(house, campaign).outcomes == {}
    house.clock.sleep(20 * HOUR + 60)
    assert _pass(house) == [_version(house, campaign).id]
    assert _work(house, campaign).outcomes == {SendStatus.SENT: 3}
    _pass(house)
    assert _version(house, campaign).starts_at is None
    house.clock.sleep(9 * HOUR)
    _pass(house)
    assert _campaign(house, campaign).paused_at is None


@pytest.mark.parametrize("first", ["dispatcher", "worker", "command"])
def test_a_missed_start_waits_for_a_person_whoever_comes_first(
    house: House, smtp_server: SmtpServer, first: str
) -> None:
    campaign = _planned(house, smtp_server)
    house.clock.sleep(25 * HOUR)
    if first == "dispatcher":
        assert _pass(house) == []
    elif first == "worker":
        # A ring from when it was queued, heard only now.
        assert _work(house, campaign).outcomes == {}
    else:
        report = house.send(campaign)
        assert report.stopped is not None
        assert "The start planned for 2026-03-03 08:00 UTC was missed by 5 hours" in report.stopped
    row = _campaign(house, campaign)
    assert (row.paused_by, row.paused_at) == ("MultiMailer", house.clock.now())
    assert row.pause_reason is not None
    assert "Resume it to send now" in row.pause_reason
    assert _version(house, campaign).starts_at is None
    assert _work(house, campaign).outcomes == {}
    assert smtp_server.messages == []
    with house.sessions() as session:
        (entry,) = session.query(AuditEntry).where(AuditEntry.action == "campaign.paused")
    assert (entry.actor_name, entry.details["reason"]) == ("MultiMailer", row.pause_reason)

    _resume(house, campaign)
    assert _pass(house) == [_version(house, campaign).id]
    assert _work(house, campaign).outcomes == {SendStatus.SENT: 3}
    assert recipients(smtp_server) == people(3)
    assert _campaign(house, campaign).paused_at is None


def test_an_hour_late_is_late_and_no_more(sqlite_house: House, smtp_server: SmtpServer) -> None:
    house = sqlite_house
    campaign = _planned(house, smtp_server)
    house.clock.sleep(21 * HOUR - 1)
    assert _pass(house) == [_version(house, campaign).id]
    assert _work(house, campaign).outcomes == {SendStatus.SENT: 3}


def test_a_start_that_began_is_not_missed_though_much_is_left(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    house = sqlite_house
    campaign = _planned(house, smtp_server)
    house.clock.sleep(20 * HOUR + 60)
    # By a command, with no dispatcher there to see it begin; then the machine is off.
    house.send(campaign, limit=1)
    house.clock.sleep(30 * HOUR)
    assert _work(house, campaign).outcomes == {SendStatus.SENT: 2}


def test_who_held_it_back_over_its_start_has_to_let_it_go_himself(
    house: House, smtp_server: SmtpServer
) -> None:
    campaign = _planned(house, smtp_server)
    with house.sessions() as session:
        pause_campaign(session, house.actor, campaign, reason="Wait.", now=house.clock.now())
        session.commit()
    house.clock.sleep(30 * HOUR)
    _pass(house)
    assert _campaign(house, campaign).paused_by == "Test"
    _resume(house, campaign)
    _pass(house)
    assert _work(house, campaign).outcomes == {SendStatus.SENT: 3}


def test_a_pause_that_ends_before_the_start_leaves_it_planned(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    house = sqlite_house
    campaign = _planned(house, smtp_server)
    with house.sessions() as session:
        pause_campaign(session, house.actor, campaign, reason="Wait.", now=house.clock.now())
        session.commit()
    house.clock.sleep(HOUR)
    _resume(house, campaign)
    house.clock.sleep(24 * HOUR)
    assert _pass(house) == []
    assert _campaign(house, campaign).paused_by == "MultiMailer"


def test_a_start_of_which_nothing_is_left_is_forgotten(
    house: House, smtp_server: SmtpServer
) -> None:
    campaign = _planned(house, smtp_server)
    with house.sessions() as session:
        cancel_campaign(session, house.actor, campaign, reason="No.", now=house.clock.now())
        session.commit()
    assert _version(house, campaign).starts_at is None
    house.queue(campaign)
    assert _version(house, campaign).starts_at is None
    house.clock.sleep(30 * HOUR)
    assert _work(house, campaign).outcomes == {SendStatus.SENT: 3}


def test_a_window_that_was_missed_is_no_missed_start(
    sqlite_house: House, start_smtp: Callable[..., SmtpServer]
) -> None:
    house, server = sqlite_house, start_smtp()
    window = {"from": "08:00", "to": "10:00", "timezone": "UTC"}
    campaign = house.build(letter(server.port, 3, delivery={"send_window": window})).campaign_id
    queued = house.queue(campaign)
    assert (queued.due_at, queued.starts_at) == (MORNING, None)
    # Off all morning: at noon it is closed, and on the next morning it goes on.
    house.clock.sleep(24 * HOUR)
    _pass(house)
    assert _work(house, campaign).outcomes == {}
    house.clock.sleep(21 * HOUR)
    _pass(house)
    assert _work(house, campaign).outcomes == {SendStatus.SENT: 3}


def test_what_was_put_off_waits_for_the_window(
    sqlite_house: House, start_smtp: Callable[..., SmtpServer]
) -> None:
    house, server = sqlite_house, start_smtp()
    window = {"from": "08:00", "to": "14:00", "timezone": "UTC"}
    campaign = house.queued(letter(server.port, 2, delivery={"send_window": window}))
    house.send(campaign, limit=1)
    due = datetime(2026, 3, 2, 15, tzinfo=UTC)
    house.change(campaign, 1, send_status=SendStatus.DEFERRED, due_at=due, attempt_count=1)
    house.clock.sleep(4 * HOUR)
    assert _work(house, campaign).outcomes == {}
    report = house.send(campaign)
    assert report.stopped is not None
    assert "it opens at 2026-03-03 08:00 UTC" in report.stopped
    house.clock.sleep(16 * HOUR)
    assert _work(house, campaign).outcomes == {SendStatus.SENT: 1}
    assert recipients(server) == people(2)


def test_a_sample_now_and_the_rest_in_the_morning(house: House, smtp_server: SmtpServer) -> None:
    campaign = house.build(letter(smtp_server.port, 5)).campaign_id
    now = house.queue(campaign, sample=First(2))
    assert (now.due_at, now.starts_at) == (START, None)
    assert _version(house, campaign).starts_at is None
    house.queue(campaign, not_before=MORNING)
    assert _work(house, campaign).outcomes == {SendStatus.SENT: 2}
    _pass(house)
    # The sample was no beginning of the rest.
    assert _version(house, campaign).starts_at == MORNING
    house.clock.sleep(26 * HOUR)
    assert _pass(house) == []
    assert _campaign(house, campaign).paused_by == "MultiMailer"
    assert len(smtp_server.messages) == 2


def test_the_first_of_several_starts_is_watched_and_then_the_next(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    house = sqlite_house
    campaign = house.build(letter(smtp_server.port, 5)).campaign_id
    house.queue(campaign, sample=First(2), not_before=MORNING + timedelta(hours=2))
    house.queue(campaign, sample=First(1), not_before=MORNING)
    assert _version(house, campaign).starts_at == MORNING
    house.clock.sleep(20 * HOUR)
    # Nobody is there who would see it begin, but it did.
    house.send(campaign)
    house.queue(campaign, not_before=MORNING + timedelta(hours=9))
    assert _version(house, campaign).starts_at == MORNING + timedelta(hours=9)


def test_the_campaigns_own_moment_is_a_plan_and_no_earlier_one_counts(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    house = sqlite_house
    own = {"not_before": "2026-03-03T07:00:00Z"}
    campaign = house.build(letter(smtp_server.port, 2, delivery=own)).campaign_id
    earlier = datetime(2026, 3, 3, 6, tzinfo=UTC)
    for dry_run in (True, False):
        with pytest.raises(MailerError, match="2026-03-03 07:00 UTC"):
            house.queue(campaign, not_before=earlier, dry_run=dry_run)
    assert house.queue(campaign, dry_run=True).starts_at == earlier + timedelta(hours=1)
    assert _version(house, campaign).starts_at is None
    house.queue(campaign)
    assert _version(house, campaign).starts_at == earlier + timedelta(hours=1)


def test_several_dispatchers_hold_it_once(house: House, smtp_server: SmtpServer) -> None:
    campaign = _planned(house, smtp_server)
    house.clock.sleep(25 * HOUR)
    gate, held = threading.Barrier(4), []

    def hold() -> None:
        gate.wait()
        held.append(hold_missed_starts(house.sessions, house.clock.now()))

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(held) == [0, 0, 0, 1]
    assert _campaign(house, campaign).paused_by == "MultiMailer"
