"""Workers file copies by themselves: each once, with waits and holds of their own."""

from __future__ import annotations

import imaplib
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from app.db.models import AppendAttemptOutcome, Campaign
from app.db.repositories import appending, campaigns
from app.db.repositories.appending import Taker
from app.failpoints import FailpointReached, make_failpoint
from app.mailer.adapters.imap import ImapSentFolder
from app.mailer.adapters.journal import JournalFolder
from app.mailer.domain.delivery.filing import PATIENCE
from app.mailer.domain.delivery.job import ImapStatus, SendStatus
from app.mailer.ports import AppendOutcome, Security, SentFolderFailure, ServerAccess
from app.mailer.services import file_copy
from app.mailer.services.append_some import append_some
from app.mailer.services.dispatch import dispatch
from app.mailer.services.open_folders import OpenFolders
from app.mailer.services.send_some import Lanes
from tests.integration.services.sending.house import House, letter
from tests.integration.services.sending.office import Office
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.smtp import SmtpServer

_O = AppendAttemptOutcome


def _due(office: Office) -> list[tuple[UUID, UUID]]:
    with office.house.sessions() as session:
        return list(appending.due(session, office.house.clock.now(), PATIENCE))


def _row(office: Office, campaign: UUID) -> Campaign:
    with office.house.sessions() as session:
        return campaigns.get(session, office.house.actor.tenant_id, campaign)


def _provider_files(office: Office, data: bytes) -> None:
    with imaplib.IMAP4("127.0.0.1", office.imap.port) as client:
        client.login(office.user, PASSWORD)
        client.append("Gesendet", r"(\Seen)", None, data)  # type: ignore[arg-type]


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_what_is_due_is_filed_once_and_then_nothing_is(
    database: str,
    request: pytest.FixtureRequest,
    dovecot: DovecotServer,
    smtp_server: SmtpServer,
) -> None:
    house: House = request.getfixturevalue(f"{database}_house")
    office = Office(house, dovecot, smtp_server, dovecot.new_user())
    campaign = office.sent(45)
    assert _due(office) == []
    assert office.append_some(campaign, after=PATIENCE.total_seconds() - 1).outcomes == {}
    house.clock.sleep(1)
    assert _due(office) == [(house.actor.tenant_id, campaign)]
    done = office.append_some(campaign, after=0)
    assert (done.outcomes, done.more, done.held) == ({_O.APPENDED: 45}, False, None)
    assert sorted(office.copies) == sorted(message.data for message in smtp_server.messages)
    assert _due(office) == []
    assert office.append_some(campaign).outcomes == {}
    assert {job.append_worker for job in house.jobs(campaign)} == {None}


@pytest.mark.parametrize("way", ["up", "down"])
def test_through_dropped_connections_each_copy_is_filed_once(office: Office, way: str) -> None:
    with CuttingProxy(("127.0.0.1", office.imap.port)) as proxy:
        office.port = proxy.port
        # Some ten copies each; what a connection ends in the middle of is another each time.
        proxy.cut_up, proxy.cut_down = (4_500, None) if way == "up" else (None, 4_100)
        campaign = office.sent(100)
        outcomes = []
        while ImapStatus.PENDING in {job.imap_status for job in office.house.jobs(campaign)}:
            outcomes.append(office.append_some(campaign, after=3600))
            assert len(outcomes) < 50
        assert proxy.cuts >= 10
    assert set(office.imap_statuses(campaign)) == {"appended"}
    assert sorted(office.copies) == sorted(message.data for message in office.smtp.messages)
    assert sum(each.outcomes[_O.UNKNOWN] for each in outcomes) >= 1


def test_workers_at_once_file_each_copy_once(
    postgres_house: House, dovecot: DovecotServer, smtp_server: SmtpServer
) -> None:
    office = Office(postgres_house, dovecot, smtp_server, dovecot.new_user())
    campaign = office.sent(120)
    postgres_house.clock.sleep(30)
    filed: list[int] = []

    def work() -> None:
        filed.append(office.append_some(campaign, after=0).outcomes[_O.APPENDED])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(filed) == 120
    assert len(office.copies) == 120


def test_after_a_crash_between_filing_and_recording_there_is_one_copy(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = office.sent(3)
    office.house.clock.sleep(30)
    dead = office.house.journal()
    monkeypatch.setattr(file_copy, "failpoint", make_failpoint("after_append:raise"))
    with pytest.raises(FailpointReached):
        append_some(
            OpenFolders(office.box),
            office.house.actor.tenant_id,
            campaign,
            worker=dead.worker,
            stop=threading.Event(),
            seconds=60,
        )
    monkeypatch.setattr(file_copy, "failpoint", make_failpoint(""))
    dead.close(settled=False)
    # Whoever works on another machine waits for the lease, and no longer.
    assert office.append_some(campaign, after=0).outcomes == {}
    done = office.append_some(campaign, after=file_copy.LEASE.total_seconds() + 1)
    assert done.outcomes == {_O.ALREADY_THERE: 1, _O.APPENDED: 2}
    assert len(office.copies) == 3


def test_what_the_provider_files_itself_is_not_filed_again(office: Office) -> None:
    campaign = office.sent(4)
    # Within the patience of the workers; nobody looked before.
    for message in office.smtp.messages:
        _provider_files(office, message.data)
    assert office.append_some(campaign).outcomes == {_O.ALREADY_THERE: 4}
    assert set(office.imap_statuses(campaign)) == {"appended"}
    assert len(office.copies) == 4


def test_a_refused_login_holds_the_copies_back_and_fails_none(office: Office) -> None:
    office.password = "wr0ng"
    campaign = office.sent(3)
    waits = []
    for _ in range(3):
        done = office.append_some(campaign, after=30)
        row = _row(office, campaign)
        assert row.append_hold_reason == done.held
        assert done.held is not None
        assert "refused" in done.held
        assert "wr0ng" not in done.held
        assert (done.outcomes, done.more) == ({}, False)
        assert row.append_held_until is not None
        assert _due(office) == []
        # Held: nobody logs in before its time.
        assert office.append_some(campaign, after=0).held is None
        waits.append(row.append_held_until - office.house.clock.now())
        office.house.clock.sleep(waits[-1].total_seconds())
    assert waits == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    for job in office.house.jobs(campaign):
        assert (job.send_status, job.imap_status) == (SendStatus.SENT, ImapStatus.PENDING)
        assert (job.append_attempt_count, job.append_worker) == (0, None)
    # Somebody mends it; what works ends the hold.
    office.folder = ImapSentFolder(_with_password(office))
    assert _due(office) != []
    assert office.append_some(campaign, after=0).outcomes == {_O.APPENDED: 3}
    row = _row(office, campaign)
    assert (row.append_held_until, row.append_hold_reason, row.append_holds) == (None, None, 0)


def _with_password(office: Office) -> ServerAccess:
    return ServerAccess("127.0.0.1", office.imap.port, Security.PLAIN, office.user, PASSWORD)


def test_a_person_need_not_wait_for_the_end_of_a_hold(office: Office) -> None:
    office.password = "wr0ng"
    campaign = office.sent(1)
    assert office.append_some(campaign).held is not None
    office.folder = ImapSentFolder(_with_password(office))
    assert office.append(campaign).outcomes == {_O.APPENDED: 1}
    assert _row(office, campaign).append_held_until is None


class Moody:
    """A folder that does what it is told with each copy, and then takes everything."""

    def __init__(self, *moods: Callable[[], AppendOutcome]) -> None:
        self.moods = list(moods)
        self.asked = 0

    def folder(self) -> str:
        return "Sent"

    def contains(self, message_id: str) -> bool:
        return False

    def append(self, *_: object, may_append: Callable[[], bool]) -> AppendOutcome:
        self.asked += 1
        return self.moods.pop(0)() if self.moods else AppendOutcome.APPENDED

    def close(self) -> None:
        pass


def _refuses() -> AppendOutcome:
    raise SentFolderFailure("the copy was not taken: too large", refused=True)


def _is_lost() -> AppendOutcome:
    raise SentFolderFailure("the connection was lost", unknown=True)


def test_a_copy_that_is_refused_is_tried_again_and_given_up_after_ten_times(
    office: Office,
) -> None:
    campaign = office.sent(1)
    office.folder = folder = Moody(*[_refuses] * 10)
    waits = []
    while office.imap_statuses(campaign) == ["pending"]:
        assert office.append_some(campaign, after=0 if waits else 30).outcomes == {_O.FAILED: 1}
        (job,) = office.house.jobs(campaign)
        if job.append_due_at is not None:
            waits.append(job.append_due_at - office.house.clock.now())
            before = folder.asked
            office.append_some(campaign, after=waits[-1].total_seconds() - 1)
            assert folder.asked == before
            office.house.clock.sleep(1)
    assert office.imap_statuses(campaign) == ["failed"]
    assert folder.asked == 10
    assert waits[:3] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]
    assert waits == sorted(waits)
    (job,) = office.house.jobs(campaign)
    assert job.append_error == "the copy was not taken: too large"
    assert _due(office) == []


def test_an_old_copy_is_given_up_after_a_few_tries(office: Office) -> None:
    campaign = office.sent(1)
    office.folder = folder = Moody(*[_refuses] * 10)
    office.house.clock.sleep(49 * 3600)
    while office.imap_statuses(campaign) == ["pending"]:
        office.append_some(campaign, after=3600)
    assert (office.imap_statuses(campaign), folder.asked) == (["failed"], 3)


def test_one_bad_copy_does_not_keep_the_others_waiting(office: Office) -> None:
    campaign = office.sent(4)
    office.folder = Moody(_refuses)
    done = office.append_some(campaign)
    assert (done.outcomes, done.held) == ({_O.FAILED: 1, _O.APPENDED: 3}, None)
    assert office.imap_statuses(campaign) == ["pending", "appended", "appended", "appended"]


def test_three_failures_in_a_row_hold_the_rest_back(office: Office) -> None:
    campaign = office.sent(5)
    office.folder = folder = Moody(*[_is_lost] * 3)
    done = office.append_some(campaign)
    assert (done.outcomes, done.held) == ({_O.UNKNOWN: 3}, "the connection was lost")
    assert folder.asked == 3
    row = _row(office, campaign)
    assert row.append_held_until == office.house.clock.now() + timedelta(seconds=5)
    assert office.append_some(campaign, after=5).outcomes == {_O.APPENDED: 2}
    assert office.append_some(campaign, after=30).outcomes == {_O.APPENDED: 3}


def test_a_worker_that_was_frozen_past_its_lease_files_nothing(office: Office) -> None:
    campaign = office.sent(1)
    office.folder = recorder = Frozen(office.house)
    done = office.append_some(campaign)
    assert recorder.allowed[0] is False
    # Its own lease ran out, so it takes the copy anew, and now it may.
    assert (done.outcomes, recorder.allowed) == ({_O.APPENDED: 1}, [False, True])


class Frozen(Moody):
    """The worker stands still while it looks for the first copy."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self._house = house
        self.allowed: list[bool] = []

    def append(self, *_: object, may_append: Callable[[], bool]) -> AppendOutcome:
        if not self.allowed:
            self._house.clock.sleep(file_copy.LEASE.total_seconds() + 1)
        self.allowed.append(may_append())
        if not self.allowed[-1]:
            raise SentFolderFailure("too late")
        return AppendOutcome.APPENDED


def test_a_slow_server_loses_no_lease(office: Office) -> None:
    campaign = office.sent(12)

    def slowly() -> AppendOutcome:
        office.house.clock.sleep(25)
        others.append(office.append_some(campaign, after=0).outcomes.total())
        return AppendOutcome.APPENDED

    others: list[int] = []
    office.folder = folder = Moody(*[slowly] * 12)
    # Each copy takes 25 seconds, all of them five minutes; whoever looks meanwhile finds none.
    assert office.append_some(campaign).outcomes == {_O.APPENDED: 12}
    assert (folder.asked, set(others)) == (12, {0})


def test_what_is_left_when_the_time_is_over_goes_on_later(office: Office) -> None:
    campaign = office.sent(30)
    office.folder = folder = Moody(*[_slow(office.house)] * 30)
    done = office.append_some(campaign, seconds=10)
    assert (done.outcomes, done.more) == ({_O.APPENDED: 10}, True)
    assert folder.asked == 10
    assert {job.append_worker for job in office.house.jobs(campaign)} == {None}
    assert office.append_some(campaign, seconds=100).outcomes == {_O.APPENDED: 20}


def _slow(house: House) -> Callable[[], AppendOutcome]:
    def one_second() -> AppendOutcome:
        house.clock.sleep(1)
        return AppendOutcome.APPENDED

    return one_second


def test_connections_are_kept_for_the_next_call_and_closed_when_idle(office: Office) -> None:
    campaign = office.sent(2)
    house, opened = office.house, []

    class Counting(ImapSentFolder):
        def _connect(self) -> Any:
            opened.append(self)
            return super()._connect()

    office.folder = Counting(_with_password(office))
    folders = OpenFolders(office.box)
    journal = house.journal()
    for after in (30, 1):
        house.clock.sleep(after)
        house.change(campaign, 0, imap_status=ImapStatus.PENDING)
        append_some(
            folders,
            house.actor.tenant_id,
            campaign,
            worker=journal.worker,
            stop=threading.Event(),
            seconds=60,
        )
    assert len(opened) == 1
    folders.close_idle()
    assert opened[0]._client is not None
    house.clock.sleep(31)
    folders.close_idle()
    assert opened[0]._client is None
    journal.close(settled=True)


def test_nothing_is_due_where_no_copy_is_wanted(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    campaign = sqlite_house.queued(letter(smtp_server.port, 2))
    sqlite_house.send(campaign)
    sqlite_house.clock.sleep(60)
    with sqlite_house.sessions() as session:
        assert appending.due(session, sqlite_house.clock.now(), PATIENCE) == []


class _Bell:
    def __init__(self) -> None:
        self.rung: list[tuple[str, UUID]] = []

    def send(self, tenant: UUID, version: UUID) -> None:
        self.rung.append(("send", version))

    def append(self, tenant: UUID, campaign: UUID) -> None:
        self.rung.append(("append", campaign))

    def dispatch(self) -> None: ...
    def heard_send(self, version: UUID) -> None: ...
    def heard_append(self, campaign: UUID) -> None: ...


def test_a_dispatch_rings_for_copies_that_are_due(office: Office) -> None:
    campaign, house, bell = office.sent(2), office.house, _Bell()
    for after in (0, 30):
        house.clock.sleep(after)
        dispatch(house.outbox, Lanes(house.outbox), JournalFolder(house.journals), bell)
        assert bell.rung == ([("append", campaign)] if after else [])


def test_what_a_dead_worker_of_this_machine_had_in_hand_is_free_at_once(office: Office) -> None:
    campaign, house = office.sent(2), office.house
    house.clock.sleep(30)
    dead = house.journal()
    version, now = house.jobs(campaign)[0].version_id, house.clock.now()
    with house.sessions() as session:
        taken = appending.take_due(
            session,
            house.actor.tenant_id,
            version,
            patience=PATIENCE,
            by=Taker(dead.worker, now, now + file_copy.LEASE),
            limit=5,
        )
        session.commit()
    assert len(taken) == 2
    assert office.append_some(campaign, after=0).outcomes == {}
    dead.close(settled=False)
    dispatch(house.outbox, Lanes(house.outbox), JournalFolder(house.journals), _Bell())
    assert office.append_some(campaign, after=0).outcomes == {_O.APPENDED: 2}
