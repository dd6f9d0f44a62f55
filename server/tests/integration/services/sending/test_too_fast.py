"""A server that complains about the pace: letters wait, none is used up, and the run gives way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from app.db.models import AttemptOutcome
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.delivery.pacing import STRETCH
from tests.integration.services.sending.house import START, House, letter, people, recipients
from tests.integration.services.sending.test_recovery import Worker
from tests.servers.smtp import Act, SmtpServer

StartSmtp = Callable[..., SmtpServer]

TOO_FAST = "450 4.7.0 too many messages, slow down"
#: One try is all that a letter of these campaigns has.
ONE_TRY = {"max_attempts": 1, "backoff_seconds": 60}


def test_the_pace_is_halved_from_the_next_letter_on(
    sqlite_house: House, start_smtp: StartSmtp
) -> None:
    server = start_smtp(script={"MAIL": [TOO_FAST]})
    limit = {"messages_per_minute": 60}
    campaign = sqlite_house.queued(letter(server.port, 4, delivery={"rate_limit": limit}))
    sqlite_house.send(campaign)
    # About 2 s each, where it was 1 s.
    assert 6 < sqlite_house.clock.monotonic() <= 6 * STRETCH
    assert sqlite_house.statuses(campaign) == ["deferred", "sent", "sent", "sent"]


@pytest.mark.parametrize("rate_limit", [True, False])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_without_a_limit_a_complaint_gives_the_run_a_pace(
    sqlite_house: House, start_smtp: StartSmtp, concurrency: int, rate_limit: bool
) -> None:
    server = start_smtp(script={"MAIL": [*[None] * 5, TOO_FAST]})
    said = {"concurrency": concurrency} | ({} if rate_limit else {"messages_per_minute": 60})
    campaign = sqlite_house.queued(letter(server.port, 25, delivery={"rate_limit": said}))
    report = sqlite_house.send(campaign, rate_limit=rate_limit)
    assert report.outcomes[SendStatus.DEFERRED] == 1
    assert (report.outcomes[SendStatus.SENT], report.stopped) == (24, None)
    # Letters that were claimed before the complaint are not sent at the old pace any more; at
    # most one of each other connection was on its way.
    assert sqlite_house.clock.monotonic() > (19 - concurrency) * 0.1
    assert len(recipients(server)) == 24


@pytest.mark.parametrize("step", ["CONNECT", "MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("said", ["421 4.7.0 later", TOO_FAST, "550 5.4.5 Daily limit exceeded"])
def test_a_complaint_costs_no_letter_its_tries_and_three_stop_the_run(
    sqlite_house: House, start_smtp: StartSmtp, step: str, said: str
) -> None:
    house = sqlite_house
    server = start_smtp(script={step: [Act(said, close=said.startswith("421"))] * 9})
    campaign = house.queued(letter(server.port, 5, delivery={"retry": ONE_TRY}))
    for _ in range(3):
        report = house.send(campaign)
        assert report.stopped is not None
        assert said[4:] in report.stopped
        assert report.outcomes == {SendStatus.DEFERRED: 3}
        assert report.waiting == 5
        house.clock.sleep(3600)
    jobs = house.jobs(campaign)
    assert [job.attempt_count for job in jobs] == [0] * 5
    tries = [attempt for job in jobs for attempt in house.attempts(job)]
    assert [attempt.outcome for attempt in tries] == [AttemptOutcome.DEFERRED] * 9

    assert house.send(campaign).outcomes == {SendStatus.SENT: 5}
    assert recipients(server) == people(5)
    assert [job.attempt_count for job in house.jobs(campaign)] == [1] * 5


def test_the_reason_of_the_stop_says_what_to_do(house: House, start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"DOT": [TOO_FAST] * 3})
    campaign = house.queued(letter(server.port, 4))
    report = house.send(campaign)
    assert report.stopped == (
        "3 times in a row the server said that this is too fast: "
        "450 4.7.0 too many messages, slow down"
    )
    assert "messages_per_minute" in report.hint
    assert house.statuses(campaign) == ["deferred"] * 3 + ["queued"]


def test_its_age_ends_what_is_always_too_fast(sqlite_house: House, start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"MAIL": [TOO_FAST] * 9})
    retry = ONE_TRY | {"max_age_hours": 2}
    campaign = sqlite_house.queued(letter(server.port, delivery={"retry": retry}))
    sqlite_house.send(campaign)
    (job,) = sqlite_house.jobs(campaign)
    assert START < (job.due_at or START) <= START + timedelta(seconds=61)
    sqlite_house.clock.sleep(7200)
    assert sqlite_house.send(campaign).outcomes == {SendStatus.FAILED: 1}


def test_a_letter_that_gets_through_begins_the_count_anew(
    sqlite_house: House, start_smtp: StartSmtp
) -> None:
    server = start_smtp(script={"MAIL": [TOO_FAST, TOO_FAST, None, TOO_FAST, TOO_FAST, None]})
    campaign = sqlite_house.queued(letter(server.port, 7))
    report = sqlite_house.send(campaign, limit=7)
    assert report.stopped is None
    assert report.outcomes == {SendStatus.DEFERRED: 4, SendStatus.SENT: 3}


def test_one_burst_over_several_connections_is_one_complaint(
    sqlite_house: House, start_smtp: StartSmtp
) -> None:
    all_there = threading.Event()
    server = start_smtp(script={"MAIL": [Act(TOO_FAST, until=all_there)] * 4})
    limit = {"concurrency": 4}
    campaign = sqlite_house.queued(letter(server.port, 24, delivery={"rate_limit": limit}))
    reports = []
    thread = threading.Thread(target=lambda: reports.append(sqlite_house.send(campaign)))
    thread.start()
    deadline = time.monotonic() + 20
    while sum(line.startswith("MAIL") for line in list(server.log)) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    all_there.set()
    thread.join()
    assert reports[0].stopped is None
    assert reports[0].outcomes == {SendStatus.DEFERRED: 4, SendStatus.SENT: 20}


@pytest.mark.parametrize("code", [421, 535])
def test_a_replayed_complaint_does_not_count_either(house: House, code: int) -> None:
    campaign = house.queued(letter(25, delivery={"retry": ONE_TRY}))
    worker = Worker(house, campaign)
    (job,) = worker.claim(1)
    worker.commit(job)
    worker.hear(job, code, "no")
    worker.die()
    house.send(campaign)
    (found,) = house.jobs(campaign)
    assert (found.send_status, found.attempt_count) == (SendStatus.DEFERRED, 0)
