"""A worker's turn: what it sends, what it leaves, and what holds a campaign back afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.db.models import AuditEntry, Campaign, WorkflowState
from app.db.repositories import attempts
from app.mailer.adapters.journal import JournalFolder
from app.mailer.domain.delivery.breaker import LONGEST_HOLDS, hold_for
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.ports import Allowance, LimiterAway
from app.mailer.services.lane import Cause
from app.mailer.services.run import Run
from app.mailer.services.send_some import CONNECTIONS, Lanes, Sender, SomeSent
from tests.integration.services.sending.house import House, letter, people, recipients
from tests.integration.services.sending.test_dispatch import change, look, version_of
from tests.servers.network import free_ports
from tests.servers.smtp import Act, SmtpServer

StartSmtp = Callable[..., SmtpServer]


def turn(
    house: House, campaign: UUID, stop: threading.Event | None = None, seconds: float = 60
) -> SomeSent:
    sender = Sender(house.outbox, Lanes(house.outbox), JournalFolder(house.journals))
    return sender.send_some(
        house.actor.tenant_id,
        version_of(house, campaign).id,
        stop=stop or threading.Event(),
        seconds=seconds,
        on_start=lambda _tenant, _version: house_rings.append(1),
    )


house_rings: list[int] = []


@pytest.fixture(autouse=True)
def _no_rings() -> None:
    house_rings.clear()


def stored(house: House, campaign: UUID) -> Campaign:
    with house.sessions() as session:
        found = session.get(Campaign, campaign)
    assert found is not None
    return found


def journals(house: House) -> list[Any]:
    return list((house.journals / str(house.actor.tenant_id)).iterdir())


@pytest.mark.parametrize("window", [1, 8])
def test_everything_due_is_sent_and_the_version_is_under_way(
    house: House, smtp_server: SmtpServer, window: int
) -> None:
    house.window = window
    campaign = house.queued(letter(smtp_server.port, 30))
    assert turn(house, campaign) == SomeSent({SendStatus.SENT: 30}, None, more=False)  # type: ignore[arg-type]
    assert recipients(smtp_server) == people(30)
    assert version_of(house, campaign).workflow_state is WorkflowState.SENDING
    assert [len(house.attempts(job)) for job in house.jobs(campaign)] == [1] * 30
    assert journals(house) == []


def test_a_server_that_is_away_holds_the_campaign_longer_each_time(house: House) -> None:
    (port,) = free_ports(1)
    campaign = house.queued(letter(port, 2))
    for number in range(3):
        done = turn(house, campaign)
        assert done.stopped is not None
        found = stored(house, campaign)
        assert (found.holds, found.hold_reason) == (number + 1, done.stopped)
        assert found.held_until is not None
        wait = (found.held_until - house.clock.now()).total_seconds()
        assert wait == pytest.approx(hold_for(number), abs=0.01)
    change(house, campaign, holds=LONGEST_HOLDS)
    turn(house, campaign)
    found = stored(house, campaign)
    assert (found.paused_by, found.holds, found.held_until) == ("MultiMailer", 0, None)
    assert str(port) in (found.pause_reason or "")


def test_a_letter_that_gets_through_ends_the_holds(house: House, smtp_server: SmtpServer) -> None:
    campaign = house.queued(letter(smtp_server.port, 2))
    change(house, campaign, holds=3, held_until=house.clock.now(), hold_reason="It was away.")
    turn(house, campaign)
    found = stored(house, campaign)
    assert (found.holds, found.held_until, found.hold_reason) == (0, None, None)


def test_a_refused_login_pauses_the_campaign_and_says_why(
    house: House, start_smtp: StartSmtp
) -> None:
    server = start_smtp(users={"office": "right"})
    document = letter(server.port, 3)
    document["server"]["smtp"] |= {"username": "office", "password": "wr0ng"}
    campaign = house.queued(document)
    turn(house, campaign)
    found = stored(house, campaign)
    assert found.paused_by == "MultiMailer"
    assert "office" in (found.pause_reason or "")
    assert "wr0ng" not in (found.pause_reason or "")
    assert house.statuses(campaign) == ["queued"] * 3
    assert turn(house, campaign) == SomeSent()


@pytest.mark.parametrize("window", [1, 8])
@pytest.mark.parametrize(("step", "refused"), [("MAIL", 3), ("DATA", 10), ("DOT", 10)])
def test_a_server_that_refuses_one_after_the_other_pauses_the_campaign(
    sqlite_house: House, start_smtp: StartSmtp, step: str, refused: int, window: int
) -> None:
    house = sqlite_house
    house.window = window
    server = start_smtp(script={step: ["550 5.7.1 not from here"] * 30})
    campaign = house.queued(letter(server.port, 20))
    turn(house, campaign)
    assert house.statuses(campaign) == ["failed"] * refused + ["queued"] * (20 - refused)
    found = stored(house, campaign)
    assert found.paused_by == "MultiMailer"
    assert "not from here" in (found.pause_reason or "")


def test_bad_addresses_fail_alone(sqlite_house: House, start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"RCPT": ["550 5.1.1 unknown"] * 15})
    campaign = sqlite_house.queued(letter(server.port, 18))
    turn(sqlite_house, campaign)
    assert sqlite_house.statuses(campaign) == ["failed"] * 15 + ["sent"] * 3
    assert stored(sqlite_house, campaign).paused_at is None


def test_without_limits_nothing_is_sent_and_no_try_is_counted(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    class Away(type(sqlite_house.limiter)):  # type: ignore[misc]
        def reserve(self, allowances: object, patience: float) -> float:
            raise LimiterAway("Redis at 127.0.0.1:1 does not answer.")

    campaign = sqlite_house.queued(
        letter(smtp_server.port, 3, delivery={"rate_limit": {"messages_per_minute": 60}})
    )
    sqlite_house.limiter = Away(sqlite_house.clock)
    done = turn(sqlite_house, campaign)
    assert "Redis" in (done.stopped or "")
    assert sqlite_house.statuses(campaign) == ["queued"] * 3
    assert smtp_server.messages == []


def test_no_more_connections_than_are_free(house: House, smtp_server: SmtpServer) -> None:
    campaign = house.queued(
        letter(smtp_server.port, 2, delivery={"rate_limit": {"concurrency": 2}})
    )
    key = f"campaign:{campaign}"
    assert house.limiter.enter(key, "somebody", 2, 2) == 2
    assert turn(house, campaign) == SomeSent()
    assert house.statuses(campaign) == ["queued"] * 2
    house.limiter.leave(key, "somebody")
    assert turn(house, campaign).outcomes == {SendStatus.SENT: 2}
    # And it gave them back.
    assert [each.connections for each in house.limiter.standing([Allowance(key)])] == [0]


@pytest.mark.parametrize(("concurrency", "rings"), [(CONNECTIONS, 0), (CONNECTIONS + 1, 1)])
def test_another_process_is_rung_for_where_one_has_too_few_connections(
    sqlite_house: House, smtp_server: SmtpServer, concurrency: int, rings: int
) -> None:
    limit = {"rate_limit": {"concurrency": concurrency}}
    campaign = sqlite_house.queued(letter(smtp_server.port, 2, delivery=limit))
    turn(sqlite_house, campaign)
    assert len(house_rings) == rings


@pytest.mark.parametrize("window", [1, 8])
def test_a_stop_finishes_the_letter_in_hand_and_gives_the_others_back(
    house: House, start_smtp: StartSmtp, window: int
) -> None:
    house.window = window
    stop, go_on = threading.Event(), threading.Event()
    server = start_smtp(script={"DOT": [None, Act(until=go_on)]})
    campaign = house.queued(letter(server.port, 20))
    done: list[SomeSent] = []
    thread = threading.Thread(target=lambda: done.append(turn(house, campaign, stop)))
    thread.start()
    while len(server.messages) < 1 or server.log.count("DATA") < 2:
        assert thread.is_alive()
    stop.set()
    go_on.set()
    thread.join()
    assert done[0].outcomes == {SendStatus.SENT: 2}
    assert house.statuses(campaign) == ["sent"] * 2 + ["queued"] * 18
    assert {job.attempt_count for job in house.jobs(campaign)[2:]} == {0}
    assert all(not house.attempts(job) for job in house.jobs(campaign)[2:])
    assert recipients(server) == people(2)


def test_a_turn_ends_with_its_time_and_says_that_more_is_due(
    sqlite_house: House, smtp_server: SmtpServer
) -> None:
    limit = {"rate_limit": {"messages_per_minute": 60}}
    campaign = sqlite_house.queued(letter(smtp_server.port, 9, delivery=limit))
    done = turn(sqlite_house, campaign, seconds=2.5)
    assert done.more
    assert 2 <= done.outcomes[SendStatus.SENT] <= 4


def test_what_the_database_did_not_hear_is_found_in_the_journal(
    house: House, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away with a window of answers on the way to it."""

    def away(*_: object, **__: object) -> bool:
        raise OperationalError("", {}, Exception("the server closed the connection"))

    house.window = 8
    campaign = house.queued(letter(smtp_server.port, 6))
    monkeypatch.setattr(attempts, "record_accepted", away)
    done = turn(house, campaign)
    assert "database" in (done.stopped or "")
    assert house.statuses(campaign)[:4] == ["committing"] * 4
    monkeypatch.undo()
    assert look(house)[0].recovered.replayed == 4
    turn(house, campaign)
    assert house.statuses(campaign) == ["sent"] * 6
    assert recipients(smtp_server) == people(6)


def test_all_audit_entries_name_the_program(house: House, start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"MAIL": ["535 5.7.8 no"] * 3})
    campaign = house.queued(letter(server.port, 2))
    turn(house, campaign)
    with house.sessions() as session:
        entry = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "campaign.paused")
        ).one()
    assert entry.actor_name == "MultiMailer"


def test_a_fault_of_the_server_hides_none_of_the_database(
    house: House, start_smtp: StartSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection ends for the server, another cannot record: the journal has to stay."""
    go_on = threading.Event()
    server = start_smtp(script={"DOT": [Act(until=go_on)]})
    house.window = 8
    campaign = house.queued(letter(server.port, 4))
    original = attempts.record_accepted

    def away(*_: object, **__: object) -> bool:
        raise OperationalError("", {}, Exception("the server closed the connection"))

    monkeypatch.setattr(attempts, "record_accepted", away)
    monkeypatch.setattr(
        Run, "_halt", lambda run, _cause, reason, hint="": _first(run, reason, hint)
    )
    go_on.set()
    turn(house, campaign)
    monkeypatch.setattr(attempts, "record_accepted", original)
    assert look(house)[0].recovered.replayed == 4
    assert house.statuses(campaign) == ["sent"] * 4


def _first(run: Run, reason: str, hint: str) -> None:
    """As if another connection had ended the run before, for the server's sake."""
    run.tally.cause, run.tally.stopped, run.tally.hint = Cause.SERVER, reason, hint
    run.end()
