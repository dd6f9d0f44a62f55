"""Sending through a real SMTP server, on both databases."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.db.models import AttemptOutcome, AuditEntry, JobMessage
from app.db.repositories import jobs
from app.db.repositories.delivery import Claimed
from app.mailer.domain.delivery.job import ImapStatus, SendStatus
from app.mailer.domain.delivery.pacing import GRACE, STRETCH
from app.mailer.domain.mime.frame import Frame
from app.mailer.ports import Allowance, Stage
from tests.integration.services.sending.house import START, House, letter, people, recipients
from tests.servers.network import free_ports
from tests.servers.smtp import DROP, KEEP_AND_DROP, Act, SmtpServer

StartSmtp = Callable[..., SmtpServer]


def test_everybody_gets_the_approved_bytes_once(house: House, smtp_server: SmtpServer) -> None:
    campaign = house.queued(letter(smtp_server.port, 20))
    report = house.send(campaign)

    assert report.outcomes == {SendStatus.SENT: 20}
    assert (report.due, report.waiting, report.in_doubt, report.stopped) == (20, 0, 0, None)
    assert not report.has_findings
    assert recipients(smtp_server) == people(20)
    assert smtp_server.connections == 1
    assert smtp_server.violations == []
    by_person = {message.recipients[0]: message.data for message in smtp_server.messages}
    for job in house.jobs(campaign):
        with house.sessions() as session:
            frame = session.scalar(select(JobMessage.frame).where(JobMessage.job_id == job.id))
        assert frame is not None
        assert by_person[job.recipients[0]] == b"".join(Frame.decode(frame).segments)  # type: ignore[arg-type]
        (attempt,) = house.attempts(job)
        assert attempt.outcome is AttemptOutcome.ACCEPTED
        assert (attempt.number, attempt.stage, attempt.code) == (1, Stage.DOT, 250)
        assert attempt.data_started_at is not None
        assert attempt.recipient_replies is not None
        assert [each["address"] for each in attempt.recipient_replies] == job.recipients
        assert (job.attempt_count, job.sent_at, job.worker) == (1, START, None)
        assert job.imap_status is ImapStatus.NOT_REQUESTED
    with house.sessions() as session:
        entry = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "campaign.sent")
        ).one()
        assert entry.details["outcomes"] == {"sent": 20}
    assert list((house.journals / str(house.actor.tenant_id)).iterdir()) == []

    again = house.send(campaign)
    assert (again.due, again.outcomes) == (0, {})
    assert len(smtp_server.messages) == 20


def test_each_answer_to_the_dot_is_recorded_on_both_databases(
    house: House, start_smtp: StartSmtp
) -> None:
    server = start_smtp(script={"DOT": ["451 later", "554 no", KEEP_AND_DROP, "250 yes"]})
    campaign = house.queued(letter(server.port, 4))
    house.send(campaign)
    assert house.statuses(campaign) == ["deferred", "failed", "in_doubt", "sent"]
    assert [job.last_code for job in house.jobs(campaign)] == [451, 554, None, 250]
    outcomes = [attempt.outcome for job in house.jobs(campaign) for attempt in house.attempts(job)]
    assert outcomes == ["deferred", "rejected", "unknown", "accepted"]
    house.clock.sleep(3600)
    assert house.send(campaign).outcomes == {SendStatus.SENT: 1}
    assert recipients(server) == ["p0@example.org", "p2@example.org", "p3@example.org"]


def test_cancelled_after_the_claim_it_gets_no_dot(house: House, smtp_server: SmtpServer) -> None:
    campaign = house.queued(letter(smtp_server.port, 3))

    def cancel_the_second(job: Claimed, _status: SendStatus) -> None:
        if job.recipients == ("p0@example.org",):
            assert house.statuses(campaign) == ["sent", "claimed", "claimed"]
            house.change(campaign, 1, send_status=SendStatus.CANCELLED)

    house.on_done = cancel_the_second
    assert house.send(campaign).outcomes == {SendStatus.SENT: 2}
    assert house.statuses(campaign) == ["sent", "cancelled", "sent"]
    assert recipients(smtp_server) == ["p0@example.org", "p2@example.org"]
    # Its text was on its way, and the connection was cut in place of the dot.
    assert smtp_server.log.count("DATA") == 3
    assert house.attempts(house.jobs(campaign)[1]) == []


def test_as_many_connections_as_the_campaign_says(house: House, start_smtp: StartSmtp) -> None:
    all_there = threading.Event()
    server = start_smtp(script={"MAIL": [Act(until=all_there)] * 20})
    campaign = house.queued(letter(server.port, 20, delivery={"rate_limit": {"concurrency": 4}}))
    reports = []
    thread = threading.Thread(target=lambda: reports.append(house.send(campaign)))
    thread.start()
    deadline = time.monotonic() + 20
    while server.connections < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    all_there.set()
    thread.join()
    assert reports[0].outcomes == {SendStatus.SENT: 20}
    assert recipients(server) == people(20)
    assert server.connections == 4


@pytest.mark.parametrize("concurrency", [1, 3])
def test_the_rate_holds_and_nobody_waits_for_nothing(
    sqlite_house: House, smtp_server: SmtpServer, concurrency: int
) -> None:
    house, at = sqlite_house, []
    house.on_done = lambda _job, _status: at.append(house.clock.monotonic())
    limit = {"messages_per_minute": 6, "concurrency": concurrency}
    campaign = house.queued(letter(smtp_server.port, 5, delivery={"rate_limit": limit}))
    house.send(campaign)
    assert recipients(smtp_server) == people(5)
    # Ten seconds, and the part more that keeps any minute within the limit; the grace for who
    # comes late lets the second one come that much early.
    apart = 10 * STRETCH
    places = [0.0, *(number * apart - GRACE for number in range(1, 5))]
    if concurrency == 1:
        assert at == pytest.approx(places)
    # Five places taken, and no sixth one waited for.
    assert house.clock.monotonic() == pytest.approx(places[-1])
    allowance = Allowance(f"campaign:{campaign}", 6)
    assert house.limiter.reserve([allowance], math.inf) == pytest.approx(apart)


def test_no_rate_limit_where_the_operator_says_so(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    campaign = sqlite_house.queued(
        letter(smtp_server.port, 5, delivery={"rate_limit": {"messages_per_minute": 1}})
    )
    sqlite_house.send(campaign, rate_limit=False)
    assert sqlite_house.clock.monotonic() == 0
    assert recipients(smtp_server) == people(5)


def test_the_limit_is_the_most_that_leaves(house: House, smtp_server: SmtpServer) -> None:
    campaign = house.queued(
        letter(smtp_server.port, 7, delivery={"rate_limit": {"concurrency": 3}})
    )
    report = house.send(campaign, limit=3)
    assert (report.outcomes, report.waiting) == ({SendStatus.SENT: 3}, 4)
    assert report.has_findings
    assert house.send(campaign, limit=10).outcomes == {SendStatus.SENT: 4}
    assert recipients(smtp_server) == people(7)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
def test_not_now_is_tried_again_later(
    sqlite_house: House, start_smtp: StartSmtp, step: str
) -> None:
    house = sqlite_house
    server = start_smtp(script={step: ["451 4.3.0 not now"]})
    campaign = house.queued(letter(server.port))
    assert house.send(campaign).outcomes == {SendStatus.DEFERRED: 1}
    (job,) = house.jobs(campaign)
    assert (job.last_code, job.attempt_count) == (451, 1)
    assert job.due_at == START + timedelta(seconds=60)

    early = house.send(campaign)
    assert (early.due, early.waiting, early.next_due) == (0, 1, job.due_at)
    house.clock.sleep(60)
    assert house.send(campaign).outcomes == {SendStatus.SENT: 1}
    assert recipients(server) == people(1)
    (job,) = house.jobs(campaign)
    assert job.attempt_count == 2
    first, second = house.attempts(job)
    assert (first.outcome, first.code) == (AttemptOutcome.DEFERRED, 451)
    assert (second.number, second.outcome) == (2, AttemptOutcome.ACCEPTED)
    assert first.stage is Stage(step.lower())


def test_too_many_tries_end_in_failed(sqlite_house: House, start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"RCPT": ["451 4.3.0 not now"] * 9})
    retry = {"max_attempts": 3, "backoff_seconds": 10}
    campaign = sqlite_house.queued(letter(server.port, delivery={"retry": retry}))
    for _ in range(3):
        sqlite_house.send(campaign)
        sqlite_house.clock.sleep(3600)
    (job,) = sqlite_house.jobs(campaign)
    assert (job.send_status, job.attempt_count, job.last_code) == (SendStatus.FAILED, 3, 451)
    assert sqlite_house.send(campaign).due == 0
    assert server.messages == []


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
def test_a_refusal_is_final_and_only_of_its_message(
    sqlite_house: House, start_smtp: StartSmtp, step: str
) -> None:
    house = sqlite_house
    server = start_smtp(script={step: ["554 5.7.1 no such letters\nhere", None]})
    campaign = house.queued(letter(server.port, 2))
    report = house.send(campaign)
    assert report.outcomes == {SendStatus.FAILED: 1, SendStatus.SENT: 1}
    assert (report.has_findings, report.stopped) == (True, None)
    failed, _ = house.jobs(campaign)
    assert (failed.send_status, failed.last_code) == (SendStatus.FAILED, 554)
    assert failed.last_reply == "5.7.1 no such letters\nhere"
    (attempt,) = house.attempts(failed)
    assert attempt.outcome is AttemptOutcome.REJECTED
    assert recipients(server) == ["p1@example.org"]


def test_one_refused_of_two_means_nobody_and_both_replies_are_kept(
    house: House, start_smtp: StartSmtp
) -> None:
    server = start_smtp(script={"RCPT": ["250 2.1.5 fine", "550 5.1.1 unknown"]})
    campaign = house.queued(
        letter(
            server.port,
            entries={"inline": [{"id": "e", "to": ["a@example.org"], "cc": ["b@example.org"]}]},
        )
    )
    assert house.send(campaign).outcomes == {SendStatus.FAILED: 1}
    assert server.messages == []
    (job,) = house.jobs(campaign)
    (attempt,) = house.attempts(job)
    assert attempt.recipient_replies == [
        {"address": "a@example.org", "code": 250, "text": "2.1.5 fine"},
        {"address": "b@example.org", "code": 550, "text": "5.1.1 unknown"},
    ]


def test_a_refused_login_stops_the_run_and_costs_no_try(
    house: House, start_smtp: StartSmtp
) -> None:
    server = start_smtp(users={"office": "right"})
    document = letter(server.port, 3)
    document["server"]["smtp"] |= {"username": "office", "password": "wr0ng"}
    campaign = house.queued(document)
    report = house.send(campaign)
    assert report.stopped is not None
    assert "office" in report.stopped
    assert "wr0ng" not in report.stopped + report.hint
    assert (report.outcomes, report.waiting) == ({}, 3)
    for job in house.jobs(campaign):
        assert (job.send_status, job.attempt_count) == (SendStatus.QUEUED, 0)
        assert house.attempts(job) == []
    # The journal stays after trouble; the next run removes it.
    assert house.send(campaign).stopped is not None


def test_an_account_refused_at_the_dot_costs_no_letter(
    sqlite_house: House, start_smtp: StartSmtp
) -> None:
    """The server did say no, so nothing is in doubt, and the others are not tried."""
    house = sqlite_house
    server = start_smtp(script={"DOT": ["535 5.7.8 account disabled"]})
    campaign = house.queued(letter(server.port, 3))
    report = house.send(campaign)
    assert report.stopped is not None
    assert "account disabled" in report.stopped
    assert house.statuses(campaign) == ["deferred", "queued", "queued"]
    house.clock.sleep(60)
    assert house.send(campaign).outcomes == {SendStatus.SENT: 3}
    assert recipients(server) == people(3)


def test_a_server_that_is_not_there_is_named_and_nothing_is_lost(sqlite_house: House) -> None:
    house = sqlite_house
    (port,) = free_ports(1)
    campaign = house.queued(letter(port, 3))
    report = house.send(campaign)
    assert report.stopped is not None
    assert f"127.0.0.1:{port}" in report.stopped
    assert set(house.statuses(campaign)) <= {"queued", "deferred"}
    with SmtpServer(port=port) as server:
        house.clock.sleep(60)
        assert house.send(campaign).outcomes == {SendStatus.SENT: 3}
        assert recipients(server) == people(3)


@pytest.mark.parametrize(
    ("step", "act"),
    [("CONNECT", DROP), ("CONNECT", "421 4.3.2 too busy"), ("AUTH", "454 4.7.0 later")],
)
def test_a_server_that_takes_no_message_is_not_asked_for_each(
    sqlite_house: House, start_smtp: StartSmtp, step: str, act: Act | str
) -> None:
    server = start_smtp(users={"office": "right"}, script={step: [act] * 50})
    document = letter(server.port, 10)
    document["server"]["smtp"] |= {"username": "office", "password": "right"}
    campaign = sqlite_house.queued(document)
    report = sqlite_house.send(campaign)
    assert report.stopped is not None
    assert report.outcomes == {SendStatus.DEFERRED: 3}
    assert sqlite_house.statuses(campaign) == ["deferred"] * 3 + ["queued"] * 7
    assert server.connections == 3


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_dot_is_tried_again(
    sqlite_house: House, start_smtp: StartSmtp, step: str
) -> None:
    house = sqlite_house
    server = start_smtp(script={step: [DROP]})
    campaign = house.queued(letter(server.port))
    assert house.send(campaign).outcomes == {SendStatus.DEFERRED: 1}
    assert server.messages == []
    house.clock.sleep(60)
    assert house.send(campaign).outcomes == {SendStatus.SENT: 1}
    assert recipients(server) == people(1)


@pytest.mark.parametrize("act", [DROP, KEEP_AND_DROP, Act(b"junk\r\n", keep=True)])
def test_a_lost_answer_is_in_doubt_and_never_sent_again(
    sqlite_house: House, start_smtp: StartSmtp, act: Act
) -> None:
    house = sqlite_house
    server = start_smtp(script={"DOT": [act]})
    campaign = house.queued(letter(server.port, 2))
    report = house.send(campaign)
    assert report.outcomes == {SendStatus.IN_DOUBT: 1, SendStatus.SENT: 1}
    assert (report.in_doubt, report.has_findings) == (1, True)
    got = list(server.messages)
    doubtful, _ = house.jobs(campaign)
    (attempt,) = house.attempts(doubtful)
    assert (attempt.outcome, attempt.code) == (AttemptOutcome.UNKNOWN, None)
    assert doubtful.last_error
    house.clock.sleep(24 * 3600)
    later = house.send(campaign)
    assert (later.due, later.in_doubt) == (0, 1)
    assert house.queue(campaign).queued == 0
    assert server.messages == got


def test_stopping_finishes_the_message_in_hand_and_gives_the_others_back(
    house: House, smtp_server: SmtpServer
) -> None:
    stop = threading.Event()
    house.on_done = lambda _job, _status: stop.set()
    campaign = house.queued(letter(smtp_server.port, 5))
    report = house.send(campaign, stop=stop)
    assert (report.outcomes, report.interrupted, report.waiting) == ({SendStatus.SENT: 1}, True, 4)
    assert house.statuses(campaign) == ["sent"] + ["queued"] * 4
    house.on_done = lambda _job, _status: None
    assert house.send(campaign).outcomes == {SendStatus.SENT: 4}
    assert recipients(smtp_server) == people(5)


def test_two_runs_at_once_in_one_process(house: House, start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"MAIL": [Act(delay=0.005)] * 30})
    campaign = house.queued(letter(server.port, 30, delivery={"rate_limit": {"concurrency": 2}}))
    reports = []
    threads = [
        threading.Thread(target=lambda: reports.append(house.send(campaign))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.outcomes[SendStatus.SENT] for report in reports) == 30
    assert [report.stopped for report in reports] == [None, None]
    assert recipients(server) == people(30)
    assert {len(house.attempts(job)) for job in house.jobs(campaign)} == {1}


def test_the_window_is_looked_at_before_each_message(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    house = sqlite_house
    house.on_done = lambda _job, _status: house.clock.sleep(40 * 60)
    window = {"from": "08:00", "to": "13:00", "timezone": "UTC"}
    campaign = house.queued(letter(smtp_server.port, 5, delivery={"send_window": window}))
    report = house.send(campaign)
    assert report.outcomes == {SendStatus.SENT: 2}
    assert report.stopped is not None
    assert "2026-03-03 08:00 UTC" in report.stopped
    assert house.statuses(campaign) == ["sent"] * 2 + ["queued"] * 3
    assert house.send(campaign).outcomes == {}


def test_a_test_campaign_reaches_the_testers_alone(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    house = sqlite_house
    document = letter(smtp_server.port, 3, delivery={"test_recipients": ["tester@example.org"]})
    document["campaign"]["mode"] = "test"
    campaign = house.queued(document)
    assert house.send(campaign).outcomes == {SendStatus.SENT: 3}
    assert recipients(smtp_server) == ["tester@example.org"] * 3


def test_a_database_that_fails_at_the_end_hides_nothing_that_was_sent(
    sqlite_house: House, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("", {}, Exception("disk full"))

    monkeypatch.setattr(jobs, "counts", fail)
    campaign = sqlite_house.queued(letter(smtp_server.port, 3))
    report = sqlite_house.send(campaign, limit=2)
    assert (report.outcomes, report.waiting) == ({SendStatus.SENT: 2}, 1)
    assert report.stopped == "The database could not be used (OperationalError)."
    assert report.has_findings
