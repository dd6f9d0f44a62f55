"""Copies in the Sent folder of a real Dovecot, after sending through a real SMTP server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import pytest
from sqlalchemy import select, update

from app.db.models import AppendAttemptOutcome, AuditEntry, JobMessage
from app.db.repositories import appending
from app.db.repositories.appending import Taker
from app.mailer.domain.delivery.job import ImapStatus, SendStatus
from app.mailer.ports import AppendOutcome, SentFolderFailure
from app.mailer.services.append_sent import AppendReport, rehearse_append
from tests.integration.services.sending.house import START, House, letter, people
from tests.integration.services.sending.office import Office
from tests.servers.dovecot import DovecotServer
from tests.servers.smtp import SmtpServer
from tests.servers.wire import Wire


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_each_copy_is_filed_once_with_the_bytes_that_were_sent(
    database: str,
    request: pytest.FixtureRequest,
    dovecot: DovecotServer,
    smtp_server: SmtpServer,
) -> None:
    house: House = request.getfixturevalue(f"{database}_house")
    office = Office(house, dovecot, smtp_server, dovecot.new_user())
    campaign = office.sent(3)
    assert office.imap_statuses(campaign) == ["pending"] * 3
    assert (
        rehearse_append(office.box, house.actor, campaign, include_failed=False, limit=2).wanted
        == 2
    )
    assert office.copies == []

    report = office.append(campaign)
    assert report.outcomes == {AppendAttemptOutcome.APPENDED: 3}
    assert (report.wanted, report.pending, report.folders) == (3, 0, {"Gesendet"})
    assert not report.has_findings
    assert sorted(office.copies) == sorted(message.data for message in smtp_server.messages)
    for job in house.jobs(campaign):
        assert (job.imap_status, job.send_status) == (ImapStatus.APPENDED, SendStatus.SENT)
        assert (job.append_attempt_count, job.append_worker, job.append_error) == (1, None, None)
        (attempt,) = house.append_attempts(job)
        assert (attempt.number, attempt.folder) == (1, "Gesendet")
    with house.sessions() as session:
        (entry,) = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "campaign.sent_copies_appended")
        )
        assert entry.details["outcomes"] == {"appended": 3}

    again = office.append(campaign, include_failed=True)
    assert (again.wanted, again.outcomes) == (0, {})
    assert len(office.copies) == 3


def test_only_the_copy_has_the_bcc_header_and_all_else_is_equal(office: Office) -> None:
    entry = {"id": "e", "to": ["p0@example.org"], "bcc": ["Böss <boss@example.org>"]}
    campaign = office.sent(entries={"inline": [entry]})
    office.append(campaign)
    (message,) = office.smtp.messages
    (copy,) = office.copies
    assert message.recipients == ("p0@example.org", "boss@example.org")
    assert b"bcc" not in message.data.lower()
    begin = copy.index(b"\r\nBcc: ") + 2
    end = copy.index(b"\r\n", begin) + 2
    assert b"<boss@example.org>" in copy[begin:end]
    assert copy[:begin] + copy[end:] == message.data


@pytest.mark.parametrize("moment", ["cut_after_request", "cut_before_reply"])
def test_a_copy_that_may_be_there_is_looked_for_and_not_filed_twice(
    office: Office, moment: str
) -> None:
    mark = b"Dear member" if moment == "cut_after_request" else b"Append completed"
    with Wire(office.imap.port, **{moment: mark}) as wire:
        office.port = wire.port
        campaign = office.sent()
        first = office.append(campaign)
        assert wire.cuts == 1
        assert first.outcomes == {AppendAttemptOutcome.UNKNOWN: 1}
        # Not failed: the next run looks, whether or not it is told to take what failed.
        assert (first.pending, first.has_findings) == (1, True)
        before = len(office.copies)
        second = office.append(campaign)
    expected = AppendAttemptOutcome.ALREADY_THERE if before else AppendAttemptOutcome.APPENDED
    assert second.outcomes == {expected: 1}
    assert len(office.copies) == 1
    (job,) = office.house.jobs(campaign)
    assert job.imap_status is ImapStatus.APPENDED
    assert [each.outcome for each in office.house.append_attempts(job)] == [
        AppendAttemptOutcome.UNKNOWN,
        expected,
    ]


def test_a_refused_login_stops_and_costs_no_copy(office: Office) -> None:
    office.password = "wr0ng"
    campaign = office.sent(3)
    report = office.append(campaign)
    assert report.stopped is not None
    assert "wr0ng" not in report.stopped
    assert (report.outcomes, report.pending) == ({AppendAttemptOutcome.FAILED: 1}, 3)
    for job in office.house.jobs(campaign):
        assert (job.send_status, job.imap_status) == (SendStatus.SENT, ImapStatus.PENDING)
        assert job.append_lease_until is None
    (attempt,) = office.house.append_attempts(office.house.jobs(campaign)[0])
    assert "refused" in (attempt.error or "")


def test_a_server_that_is_away_is_not_asked_for_each_copy(office: Office) -> None:
    with socket.create_server(("127.0.0.1", 0)) as away:
        office.port = away.getsockname()[1]
        asked: list[socket.socket] = []

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    asked.append(away.accept()[0])
                    asked[-1].close()

        threading.Thread(target=hang_up, daemon=True).start()
        campaign = office.sent(5)
        report = office.append(campaign)
        assert report.stopped is not None
        assert f"127.0.0.1:{office.port}" in report.stopped
        assert (report.outcomes, report.pending) == ({AppendAttemptOutcome.FAILED: 3}, 5)
        assert len(asked) == 3
        away.shutdown(socket.SHUT_RDWR)
    assert all(job.append_lease_until is None for job in office.house.jobs(campaign))


class Refusing:
    """A Sent folder that says no as often as it is told to, then takes every copy."""

    def __init__(self, *refusals: bool) -> None:
        self.refusals = list(refusals)

    def folder(self) -> str:
        return "Sent"

    def contains(self, message_id: str) -> bool:
        return False

    def append(
        self, message: bytes, message_id: str, sent_at: datetime, **_: object
    ) -> AppendOutcome:
        if self.refusals and self.refusals.pop(0):
            raise SentFolderFailure("the copy was not taken: over quota", refused=True)
        return AppendOutcome.APPENDED

    def close(self) -> None:
        pass


def test_a_folder_that_takes_nothing_ends_the_run(office: Office) -> None:
    campaign = office.sent(9)
    office.folder = Refusing(True, True, False, True, True, True)
    report = office.append(campaign)
    assert report.stopped == "the copy was not taken: over quota"
    assert (report.failed, report.pending) == (5, 3)
    again = office.append(campaign, include_failed=True)
    assert (again.outcomes, again.failed, again.pending) == (
        {AppendAttemptOutcome.APPENDED: 8},
        0,
        0,
    )


def test_what_was_changed_after_sending_is_not_filed(office: Office) -> None:
    campaign = office.sent(2)
    first, second = office.house.jobs(campaign)
    with office.house.sessions() as session:
        other = session.scalar(select(JobMessage.frame).where(JobMessage.job_id == second.id))
        session.execute(update(JobMessage).where(JobMessage.job_id == first.id).values(frame=other))
        session.commit()
    report = office.append(campaign)
    assert report.outcomes == {AppendAttemptOutcome.FAILED: 1, AppendAttemptOutcome.APPENDED: 1}
    assert office.imap_statuses(campaign) == ["failed", "appended"]
    assert "differs from what was sent" in (report.last_error or "")
    assert len(office.copies) == 1
    # What failed waits for somebody to ask for it, and is tried once in a run.
    assert office.append(campaign).outcomes == {}
    assert office.append(campaign, include_failed=True).outcomes == {AppendAttemptOutcome.FAILED: 1}


def test_without_the_file_store_nothing_fails_for_good(office: Office) -> None:
    (office.house.folder / "files").mkdir()
    (office.house.folder / "files" / "card.pdf").write_bytes(b"%PDF-1.4")
    campaign = office.sent(
        2, attachments={"base_path": "files", "global": [{"file_filter": "card.pdf"}]}
    )
    (office.house.folder / "blobs").rename(office.house.folder / "away")
    report = office.append(campaign)
    assert report.stopped is not None
    assert office.imap_statuses(campaign) == ["pending"] * 2
    (office.house.folder / "away").rename(office.house.folder / "blobs")
    assert office.append(campaign).outcomes == {AppendAttemptOutcome.APPENDED: 2}


def test_a_dead_workers_leases_are_free_and_a_live_ones_are_not(office: Office) -> None:
    campaign = office.sent(2)
    house, now = office.house, office.house.clock.now()
    other = house.journal()
    with house.sessions() as session:
        appending.take(
            session,
            house.actor.tenant_id,
            house.jobs(campaign)[0].version_id,
            [ImapStatus.PENDING],
            tried_before=now,
            by=Taker(other.worker, now, START.replace(year=2027)),
            limit=1,
        )
        session.commit()
    assert office.append(campaign).outcomes == {AppendAttemptOutcome.APPENDED: 1}
    other.close(settled=False)
    assert office.append(campaign).outcomes == {AppendAttemptOutcome.APPENDED: 1}
    assert len(office.copies) == 2


def test_the_limit_and_stopping(office: Office) -> None:
    campaign = office.sent(4)
    assert office.append(campaign, limit=1).outcomes == {AppendAttemptOutcome.APPENDED: 1}
    stop = threading.Event()
    stop.set()
    report = office.append(campaign, stop=stop)
    assert (report.outcomes, report.interrupted, report.pending) == ({}, True, 3)
    assert office.append(campaign).outcomes == {AppendAttemptOutcome.APPENDED: 3}
    assert len(office.copies) == 4


def test_no_copy_is_wanted_where_the_campaign_asks_for_none(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    campaign = sqlite_house.queued(letter(smtp_server.port, 2))
    sqlite_house.send(campaign)
    assert {job.imap_status for job in sqlite_house.jobs(campaign)} == {ImapStatus.NOT_REQUESTED}
    assert [m.recipients[0] for m in smtp_server.messages] == people(2)


def test_two_runs_at_once_file_each_copy_once(office: Office) -> None:
    campaign = office.sent(8)
    reports: list[AppendReport] = []
    run: Callable[[], None] = lambda: reports.append(office.append(campaign))  # noqa: E731
    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each.outcomes.total() for each in reports) == 8
    assert len(office.copies) == 8
