"""Letters in doubt are looked for in the Sent folder: what the provider filed was sent."""

from __future__ import annotations

import imaplib
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.access.actor import Actor, ActorKind
from app.db.models import AttemptOutcome, AuditEntry
from app.db.repositories import appending, doubts
from app.mailer.domain.delivery.filing import PATIENCE
from app.mailer.domain.delivery.job import Event, ImapStatus, SendStatus
from app.mailer.domain.errors import AccessDenied
from app.mailer.services.open_folders import OpenFolders
from app.mailer.services.reconcile import Looked, reconcile
from app.mailer.services.review import Selection, resolve
from tests.integration.services.sending.house import House, letter
from tests.integration.services.sending.office import Office
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.smtp import Act, SmtpServer
from tests.servers.smtp_script import KEEP_AND_DROP

StartSmtp = Callable[..., SmtpServer]


@pytest.fixture
def office(sqlite_house: House, dovecot: DovecotServer, start_smtp: StartSmtp) -> Office:
    """The answers to the first two letters are lost, although the server took them."""
    server = start_smtp(script={"DOT": [KEEP_AND_DROP, KEEP_AND_DROP]})
    return Office(sqlite_house, dovecot, server, dovecot.new_user())


def _doubtful(office: Office, count: int = 3, **parts: Any) -> UUID:
    campaign = office.house.queued(office.document(count, **parts))
    office.house.send(campaign)
    assert office.house.statuses(campaign)[:2] == ["in_doubt", "in_doubt"]
    return campaign


def _provider_files(office: Office, data: bytes, folder: str = "Gesendet") -> None:
    with imaplib.IMAP4("127.0.0.1", office.imap.port) as client:
        client.login(office.user, PASSWORD)
        client.append(folder, r"(\Seen)", None, data)  # type: ignore[arg-type]


def _look(office: Office, campaign: UUID, actor: Any = None, **options: Any) -> Looked:
    folders = OpenFolders(office.box)
    try:
        return reconcile(
            folders, actor or office.house.actor, campaign, stop=threading.Event(), **options
        )
    finally:
        folders.close_idle(-1)


def _entries(house: House) -> list[AuditEntry]:
    with house.sessions() as session:
        return list(
            session.scalars(
                select(AuditEntry).where(AuditEntry.action == f"job.{Event.FIND_EVIDENCE}")
            )
        )


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_what_is_there_was_sent_and_what_is_not_stays_in_doubt(
    database: str,
    request: pytest.FixtureRequest,
    dovecot: DovecotServer,
    start_smtp: StartSmtp,
) -> None:
    house: House = request.getfixturevalue(f"{database}_house")
    server = start_smtp(script={"DOT": [KEEP_AND_DROP, KEEP_AND_DROP]})
    office = Office(house, dovecot, server, dovecot.new_user())
    campaign = _doubtful(office)
    _provider_files(office, server.messages[0].data)
    before = house.clock.now()
    office.append_some(campaign, after=60)
    found, absent, sent = house.jobs(campaign)
    assert (found.send_status, found.imap_status) == (SendStatus.SENT, ImapStatus.APPENDED)
    assert found.sent_at is not None
    assert found.sent_at <= before
    assert "Gesendet" in (found.last_error or "")
    (attempt,) = house.attempts(found)
    assert attempt.outcome is AttemptOutcome.ACCEPTED
    assert (absent.send_status, absent.look_count) == (SendStatus.IN_DOUBT, 1)
    assert absent.looked_at == house.clock.now()
    (attempt,) = house.attempts(absent)
    assert attempt.outcome is AttemptOutcome.UNKNOWN
    assert sent.send_status is SendStatus.SENT
    (entry,) = _entries(house)
    assert entry.actor_kind == ActorKind.SYSTEM
    assert entry.details["entries"] == [found.entry_id]
    assert entry.details["folder"] == "Gesendet"
    assert entry.details["message_ids"] == [found.message_id]
    # One copy of each that was sent: the provider's, and ours.
    assert len(office.copies) == 2


def test_only_the_sent_folder_counts(office: Office) -> None:
    campaign = _doubtful(office, 2)
    for message in office.smtp.messages:
        _provider_files(office, message.data, "INBOX")
        _provider_files(office, message.data, "Drafts")
    office.append_some(campaign, after=60)
    assert office.house.statuses(campaign) == ["in_doubt", "in_doubt"]


def test_it_is_looked_for_four_times_and_then_left_to_people(office: Office) -> None:
    campaign = _doubtful(office, 2)
    looked_at = []
    for _ in range(60 * 24):
        office.house.clock.sleep(60)
        with office.house.sessions() as session:
            found = appending.due(session, office.house.clock.now(), PATIENCE)
        if found:
            office.append_some(campaign, after=0)
            looked_at.append(office.house.clock.now())
    begin = looked_at[0]
    assert [each - begin for each in looked_at] == [
        timedelta(0),
        timedelta(minutes=10),
        timedelta(hours=1, minutes=10),
        timedelta(hours=7, minutes=10),
    ]
    assert {job.look_count for job in office.house.jobs(campaign)} == {4}
    # People may look as often as they like.
    for message in office.smtp.messages:
        _provider_files(office, message.data)
    looked = _look(office, campaign)
    assert (sorted(looked.found), looked.absent, looked.in_doubt) == (["e0", "e1"], 0, 0)
    (entry,) = _entries(office.house)
    assert entry.actor_name == "Test"


def test_a_letter_that_is_sent_again_is_looked_for_anew(office: Office) -> None:
    campaign = _doubtful(office, 2)
    _look(office, campaign)
    house = office.house
    with house.sessions() as session:
        resolve(
            session,
            house.actor,
            campaign,
            version_id=None,
            selection=Selection(["e0"]),
            event=Event.RESEND,
            reason="Nothing came.",
            now=house.clock.now(),
            box=house.box,
        )
        session.commit()
    first, second = house.jobs(campaign)
    assert (first.look_count, first.looked_at, first.look_due_at) == (0, None, None)
    assert second.look_count == 1


def test_a_person_looks_at_as_many_as_asked_those_first_that_were_never_looked_for(
    office: Office,
) -> None:
    campaign = _doubtful(office, 2)
    assert _look(office, campaign, limit=1).absent == 1
    looked = _look(office, campaign, limit=1)
    assert (looked.absent, looked.in_doubt, looked.stopped) == (1, 2, None)
    assert [job.look_count for job in office.house.jobs(campaign)] == [1, 1]


def test_a_decision_meanwhile_wins(office: Office) -> None:
    campaign = _doubtful(office, 2)
    house, tenant = office.house, office.house.actor.tenant_id
    now = house.clock.now()
    with house.sessions() as session:
        found = doubts.page(session, tenant, campaign, due_at=None, looked_before=now, limit=5)
    # Queued and claimed again by now, so what was found is about another try.
    house.change(campaign, 0, fence=2)
    house.change(campaign, 1, send_status=SendStatus.QUEUED)
    with house.sessions() as session:
        assert doubts.prove(session, tenant, found, copy_is_wanted=True, now=now, words="") == []
        doubts.note_absent(session, tenant, found, now=now, next_at={e.id: now for e in found})
        session.commit()
    assert house.statuses(campaign) == ["in_doubt", "queued"]
    assert {job.look_count for job in house.jobs(campaign)} == {0}


def test_a_server_that_refuses_holds_the_looks_back_and_is_no_look(office: Office) -> None:
    office.password = "wr0ng"
    campaign = _doubtful(office, 2)
    done = office.append_some(campaign, after=60)
    assert done.held is not None
    assert "refused" in done.held
    with office.house.sessions() as session:
        assert appending.due(session, office.house.clock.now(), PATIENCE) == []
    looked = _look(office, campaign)
    assert looked.stopped is not None
    assert (looked.absent, looked.in_doubt) == (0, 2)
    assert {job.look_count for job in office.house.jobs(campaign)} == {0}


def test_without_an_imap_server_nobody_looks_and_workers_are_not_kept_awake(
    sqlite_house: House, start_smtp: StartSmtp, dovecot: DovecotServer
) -> None:
    server = start_smtp(script={"DOT": [Act(drop=True)]})
    campaign = sqlite_house.queued(letter(server.port))
    sqlite_house.send(campaign)
    office = Office(sqlite_house, dovecot, server, dovecot.new_user())
    assert office.append_some(campaign, after=60).held is None
    with sqlite_house.sessions() as session:
        assert appending.due(session, sqlite_house.clock.now(), PATIENCE) == []
    assert "IMAP" in (_look(office, campaign).stopped or "")
    (job,) = sqlite_house.jobs(campaign)
    assert (job.send_status, job.look_count) == (SendStatus.IN_DOUBT, 0)


def test_looking_needs_the_right_to_send(office: Office) -> None:
    campaign = _doubtful(office, 2)
    reader = Actor.system(office.house.actor.tenant_id, "Reader", ["campaign:read"])
    with pytest.raises(AccessDenied):
        _look(office, campaign, reader)
