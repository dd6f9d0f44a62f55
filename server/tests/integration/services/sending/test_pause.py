"""A pause, or a cancelling, acts on whatever has not left, wherever a worker is with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import UUID

import pytest

from app.mailer.adapters.recording import RecordingTransport
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.services import ledger, line
from app.mailer.services.cancel_campaign import cancel_campaign
from app.mailer.services.pause_campaign import pause_campaign, resume_campaign
from app.mailer.services.send_campaign import rehearse_sending
from tests.integration.services.sending.house import House, letter, people, recipients
from tests.servers.smtp import SmtpServer


def _pause(house: House, campaign: UUID) -> None:
    with house.sessions() as session:
        pause_campaign(session, house.actor, campaign, reason="Stop it.", now=house.clock.now())
        session.commit()


def _resume(house: House, campaign: UUID) -> None:
    with house.sessions() as session:
        resume_campaign(session, house.actor, campaign, now=house.clock.now())
        session.commit()


def _cancel(house: House, campaign: UUID) -> None:
    with house.sessions() as session:
        cancel_campaign(session, house.actor, campaign, reason="Stop it.", now=house.clock.now())
        session.commit()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has something happen when the sender comes to a place for the nth time."""

    def arrange(place: str, action: Callable[[], None], *, visit: int = 1) -> None:
        visits = 0
        lock = threading.Lock()

        def reached(name: str) -> None:
            nonlocal visits
            if name != place:
                return
            with lock:
                visits += 1
                now = visits == visit
            if now:
                action()

        for module in (line, ledger):
            monkeypatch.setattr(module, "failpoint", reached)

    return arrange


@pytest.mark.parametrize("place", ["after_claim", "after_stage"])
def test_no_dot_leaves_after_a_pause(
    house: House, smtp_server: SmtpServer, at: Callable[..., None], place: str
) -> None:
    campaign = house.queued(letter(smtp_server.port, 3))
    at(place, lambda: _pause(house, campaign))
    report = house.send(campaign)
    assert smtp_server.messages == []
    assert report.stopped is not None
    assert "paused by Test" in report.stopped
    assert "Stop it." in report.stopped
    assert "resume" in report.hint
    assert report.has_findings
    assert house.statuses(campaign) == ["queued"] * 3
    assert [job.worker for job in house.jobs(campaign)] == [None] * 3
    assert [job.attempt_count for job in house.jobs(campaign)] == [0] * 3

    _resume(house, campaign)
    assert house.send(campaign).outcomes == {SendStatus.SENT: 3}
    assert recipients(smtp_server) == people(3)


def test_what_left_before_the_pause_is_recorded(
    house: House, smtp_server: SmtpServer, at: Callable[..., None]
) -> None:
    campaign = house.queued(letter(smtp_server.port, 3))
    at("after_dot", lambda: _pause(house, campaign), visit=2)
    report = house.send(campaign)
    assert report.outcomes == {SendStatus.SENT: 2}
    assert report.stopped is not None
    assert house.statuses(campaign) == ["sent", "sent", "queued"]
    assert recipients(smtp_server) == people(2)


def test_a_pause_ends_the_wait_for_a_place_without_a_claim(
    house: House, smtp_server: SmtpServer
) -> None:
    pace = {"rate_limit": {"messages_per_minute": 5}}
    campaign = house.queued(letter(smtp_server.port, 3, delivery=pace))
    house.on_done = lambda _job, _status: _pause(house, campaign)
    report = house.send(campaign)
    assert report.outcomes == {SendStatus.SENT: 1}
    assert report.stopped is not None
    assert house.statuses(campaign) == ["sent", "queued", "queued"]
    assert [job.fence for job in house.jobs(campaign)] == [1, 0, 0]


def test_a_rehearsal_proves_the_letters_and_tells_of_the_pause(
    house: House, smtp_server: SmtpServer
) -> None:
    campaign = house.queued(letter(smtp_server.port, 2))
    _pause(house, campaign)
    report = rehearse_sending(
        house.outbox,
        house.actor,
        campaign,
        RecordingTransport(),
        limit=None,
        on_start=lambda _total: None,
        on_done=lambda _job, _status: None,
    )
    assert report.outcomes == {SendStatus.SENT: 2}
    assert report.stopped is not None
    assert "paused" in report.stopped


@pytest.mark.parametrize("place", ["after_claim", "after_stage"])
def test_no_dot_leaves_after_a_cancelling(
    house: House, smtp_server: SmtpServer, at: Callable[..., None], place: str
) -> None:
    campaign = house.queued(letter(smtp_server.port, 3))
    at(place, lambda: _cancel(house, campaign))
    report = house.send(campaign)
    assert smtp_server.messages == []
    assert house.statuses(campaign) == ["cancelled"] * 3
    assert report.stopped is None
