"""Live figures of a campaign whose rows change, on SQLite and on Postgres."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from app.db.models import AttemptOutcome, Campaign, CampaignVersion, Job, MailAccount, SendAttempt
from app.db.repositories import campaigns
from app.db.session import reading
from app.mailer.adapters.limiter_memory import MemoryLimiter
from app.mailer.domain.delivery.figures import Figures
from app.mailer.domain.delivery.job import ImapStatus, SendStatus
from app.mailer.domain.errors import AccessDenied, NotFound
from app.mailer.ports import Allowance, LimiterAway, Security, Standing
from app.mailer.services.live import LiveBoard
from tests.integration.services.reporting.conftest import CONFIG, NOW, Desk, new_job
from tests.integration.services.sending.house import HandClock

__all__ = ["new_job"]

SECOND = timedelta(seconds=1)
Watch = Callable[[], AbstractContextManager[list[str]]]


class Limits(MemoryLimiter):
    """A limiter whose standing is what the test says, or that is away."""

    away: str | None = None
    wait: float = 0.0
    asked: Sequence[Allowance] = ()

    def standing(self, allowances: Sequence[Allowance]) -> Sequence[Standing]:
        self.asked = allowances
        if self.away:
            raise LimiterAway(self.away)
        return [
            Standing(each.key, each.per_minute, 0.5, self.wait, 3, 40, 2) for each in allowances
        ]


@dataclass
class Stand:
    """A board to watch one campaign by, its clock, and what changes the rows."""

    desk: Desk
    engine: Engine
    clock: HandClock = field(default_factory=HandClock)
    shared: bool = True

    def __post_init__(self) -> None:
        self.limits = Limits(self.clock)
        self.board = self.fresh()

    def fresh(self) -> LiveBoard:
        """What another process has."""
        return LiveBoard(
            reading(self.engine), self.limits, self.clock, limits_are_shared=self.shared
        )

    def look(self, after: float = 1.0) -> Figures:
        self.clock.sleep(after)
        return self.board.figures(self.desk.actor("campaign:read"), self.desk.campaign_id)

    def version(self, new: Callable[..., Any], count: int, **parts: Any) -> UUID:
        return self.desk.add_version(*(new(n) for n in range(count)), config={**CONFIG, **parts})

    def jobs(self, version: UUID, first: int, count: int, **values: Any) -> None:
        """`count` jobs from position `first` on stand like this now."""
        self.desk.change(version, [f"e{n}" for n in range(first, first + count)], **values)

    def queue(self, version: UUID, count: int, due: datetime | None = None) -> None:
        now = self.clock.now()
        values = {"send_status": SendStatus.QUEUED, "queued_at": now, "due_at": due or now}
        self.jobs(version, 0, count, **values)

    def send(self, version: UUID, first: int, count: int) -> None:
        now = self.clock.now()
        self.jobs(version, first, count, send_status=SendStatus.SENT, sent_at=now, claimed_at=now)

    def campaign(self, **values: Any) -> None:
        self._change(update(Campaign).where(Campaign.id == self.desk.campaign_id).values(**values))

    def change(self, version: UUID, **values: Any) -> None:
        self._change(update(CampaignVersion).where(CampaignVersion.id == version).values(**values))

    def _change(self, statement: Any) -> None:
        with self.desk.sessions() as session:
            session.execute(statement)
            session.commit()


@pytest.fixture
def stand(desk: Desk, engine: Engine) -> Stand:
    return Stand(desk, engine)


def test_counts_are_of_all_built_versions_and_of_the_newest(
    stand: Stand, new_job: Callable[..., Any]
) -> None:
    old, new = stand.version(new_job, 5), stand.version(new_job, 3)
    stand.change(stand.version(new_job, 7), built_at=None)
    stand.queue(old, 5)
    stand.send(old, 0, 3)
    stand.queue(new, 2)
    for _ in range(3):
        found = stand.look()
        assert {state: n for state, n in found.letters.items() if n} == {
            "unqueued": 1,
            "queued": 4,
            "sent": 3,
        }
        assert (found.sent, found.remaining) == (3, 4)
        assert found.newest is not None
        assert (found.newest.id, found.newest.number) == (new, 2)
        assert (found.newest.letters["queued"], found.newest.letters["sent"]) == (2, 0)


def test_counts_follow_every_change(stand: Stand, new_job: Callable[..., Any]) -> None:
    """The most frequent state is not counted but worked out, and it becomes another one."""
    version = stand.version(new_job, 10)
    stand.queue(version, 10)
    states = list(SendStatus)
    for step in range(10):
        stand.jobs(version, step, 1, send_status=states[step % len(states)], imap_status="appended")
        found = stand.look()
        rows = stand.desk.jobs(version).values()
        expected = {each.value: 0 for each in states}
        for job in rows:
            expected[job.send_status.value] += 1
        assert dict(found.letters) == expected
        assert found.copies == {"pending": 0, "appended": step + 1, "failed": 0}


def test_a_rebuilt_version_is_counted_anew(stand: Stand, new_job: Callable[..., Any]) -> None:
    version = stand.version(new_job, 4)
    assert stand.look().letters["unqueued"] == 4
    with stand.desk.sessions() as session:
        session.query(Job).filter(Job.version_id == version, Job.position > 1).delete()
        session.commit()
    stand.change(version, build_id=UUID(int=7))
    assert stand.look().letters["unqueued"] == 2


def test_the_pace_of_seconds_and_of_the_minute(stand: Stand, new_job: Callable[..., Any]) -> None:
    version = stand.version(new_job, 100, delivery={})
    stand.queue(version, 100)
    assert stand.look().state == "starting"
    for second in range(20):
        stand.send(version, second * 2, 2)
        found = stand.look()
    assert found.per_second_10 == pytest.approx(2.0)
    assert found.state == "sending"
    assert (found.expected_from, found.expected_end) == (
        "pace",
        (found.at + 30 * SECOND).replace(microsecond=0),
    )
    # Another process tells the same from the times of the letters.
    stand.board = stand.fresh()
    other = stand.look(0)
    assert other.per_second_10 == pytest.approx(2.0, abs=0.3)
    assert other.state == "sending"
    for _ in range(11):
        found = stand.look()
    assert (found.per_second_10, found.state) == (0.0, "sending")


def test_many_watchers_share_one_look(
    stand: Stand, new_job: Callable[..., Any], statements: Watch
) -> None:
    stand.queue(stand.version(new_job, 3), 3)
    stand.look()
    with statements() as seen:
        first = stand.look()
        alone = len(seen)
        for _ in range(50):
            assert stand.look(0.01) is first
        assert len(seen) == alone
    assert alone <= 8, seen
    assert stand.look(1).at > first.at


def test_no_worker_is_told_within_half_a_minute(stand: Stand, new_job: Callable[..., Any]) -> None:
    version = stand.version(new_job, 3, delivery={})
    stand.queue(version, 3)
    assert stand.look(29).state == "starting"
    found = stand.look(2)
    assert found.state == "no_worker"
    assert "No worker seems to run" in found.text
    assert found.no_end_reason == found.text
    now = stand.clock.now()
    stand.jobs(version, 0, 1, send_status=SendStatus.CLAIMED, claimed_at=now)
    assert stand.look().state == "sending"
    # Its worker died.
    assert stand.look(40).state == "no_worker"


def test_a_worker_whose_letters_are_all_put_off_is_no_missing_one(
    stand: Stand, new_job: Callable[..., Any]
) -> None:
    version = stand.version(new_job, 40, delivery={})
    stand.queue(version, 40)
    stand.clock.sleep(60)
    for position in range(4):
        now = stand.clock.now()
        stand.jobs(
            version,
            position,
            1,
            send_status=SendStatus.DEFERRED,
            claimed_at=now,
            due_at=now + 600 * SECOND,
        )
        assert stand.look(20).state == "sending"
    stand.jobs(version, 4, 36, send_status=SendStatus.SENT)
    found = stand.look()
    assert found.state == "retrying"
    assert found.until == found.next_due_at


def test_what_keeps_letters_back_is_told_with_who_and_why(
    stand: Stand, new_job: Callable[..., Any]
) -> None:
    version = stand.version(new_job, 60)
    stand.queue(version, 60)
    now = stand.clock.now()
    stand.change(version, starts_at=now + 600 * SECOND)
    found = stand.look()
    assert (found.state, found.until) == ("planned", now + 600 * SECOND)
    # Ten a minute, from the start on.
    assert found.expected_end == now + 960 * SECOND
    assert found.expected_from == "limits"
    stand.campaign(held_until=now + 120 * SECOND, hold_reason="mail.example.org: refused.")
    found = stand.look()
    assert (found.state, found.until) == ("held", now + 120 * SECOND)
    assert "mail.example.org: refused." in found.text
    stand.limits.away = "Redis at 127.0.0.1:6379 does not answer."
    found = stand.look()
    assert found.state == "limits_away"
    assert "Redis at 127.0.0.1:6379 does not answer." in found.text
    assert (found.expected_end, found.no_end_reason) == (None, found.text)
    stand.campaign(paused_at=now, paused_by="Ada", pause_reason="a wrong date")
    found = stand.look()
    assert found.state == "paused"
    assert "paused by Ada" in found.text
    assert "a wrong date" in found.text
    assert found.expected_end is None


def test_the_end_of_a_pause_gives_workers_their_time(
    stand: Stand, new_job: Callable[..., Any]
) -> None:
    stand.queue(stand.version(new_job, 3, delivery={}), 3)
    stand.campaign(paused_at=stand.clock.now(), paused_by="Ada")
    assert stand.look(3600).state == "paused"
    stand.campaign(paused_at=None, paused_by=None)
    assert stand.look().state == "starting"
    assert stand.look(31).state == "no_worker"


def test_the_window_and_the_limit_tell_when_it_goes_on(
    stand: Stand, new_job: Callable[..., Any]
) -> None:
    evening = {"send_window": {"from": "20:00", "to": "21:00"}}
    version = stand.version(new_job, 3, delivery=evening)
    stand.queue(version, 3)
    found = stand.look()
    assert found.state == "window_closed"
    assert found.until is not None
    assert f"{found.until:%H:%M}" == "20:00"
    stand.limits.wait = 40.0
    stand.queue(stand.version(new_job, 3, delivery={}), 3)
    found = stand.look()
    assert found.state == "waiting_for_limit"
    assert found.until == found.at + 40 * SECOND


def test_limits_show_what_is_allowed_and_how_they_stand(
    stand: Stand, new_job: Callable[..., Any]
) -> None:
    with stand.desk.sessions() as session:
        session.add(
            MailAccount(
                tenant_id=stand.desk.tenant_id,
                name="Office",
                smtp_host="mail.example.org",
                smtp_port=25,
                smtp_security=Security.PLAIN,
                from_addresses=[],
                per_minute=60.0,
                per_hour=100,
                per_day=1000,
                revision=1,
                created_at=NOW,
                updated_at=NOW,
            )
        )
        session.commit()
    version = stand.version(new_job, 3, server={"account": "Office"})
    stand.queue(version, 3)
    account, own = stand.look().limits
    assert (account.of, account.name, account.per_hour, account.this_hour) == (
        "account",
        "Office",
        100,
        3,
    )
    assert (account.per_day, account.today, account.share, account.connections) == (
        1000,
        40,
        0.5,
        2,
    )
    assert (own.of, own.per_minute) == ("campaign", 10.0)
    # A limiter that forgot what was sent asks whoever comes first, and that may be who watches.
    with stand.desk.sessions() as session:
        account_id = session.scalar(select(MailAccount.id))
    stand.change(version, account_id=account_id)
    stand.send(version, 0, 2)
    assert sum(count for _, count in stand.limits.asked[0].sent_before()) == 2
    # The sender's limits are in another process: what they do there nobody here can say.
    stand.shared = False
    stand.board = stand.fresh()
    account, own = stand.look().limits
    assert (account.per_hour, own.per_minute) == (100, 10.0)
    assert {account.this_hour, account.connections, account.share, own.wait_seconds} == {None}


def test_the_last_errors_come_last_first(stand: Stand, new_job: Callable[..., Any]) -> None:
    version = stand.version(new_job, 30)
    stand.queue(version, 30)
    assert stand.look().errors == []
    begin = stand.clock.now()
    for position in range(12):
        stand.jobs(
            version,
            position,
            1,
            send_status=SendStatus.FAILED if position % 2 else SendStatus.DEFERRED,
            claimed_at=begin + position * SECOND,
            last_code=550,
            last_reply=f"5.1.1 nobody {position}",
        )
    stand.jobs(
        version,
        20,
        1,
        send_status=SendStatus.IN_DOUBT,
        claimed_at=begin + 100 * SECOND,
        last_error="The connection broke.",
    )
    _answer(stand, stand.desk.jobs(version)["e20"], begin + 130 * SECOND)
    errors = stand.look().errors
    assert [each.entry for each in errors] == ["e20", *(f"e{n}" for n in range(11, 2, -1))]
    assert (errors[0].at, errors[0].text) == (begin + 130 * SECOND, "The connection broke.")
    assert (errors[1].code, errors[1].text) == (550, "5.1.1 nobody 11")
    assert (errors[1].send_status, errors[1].version_number) == ("failed", 1)


def _answer(stand: Stand, job: Job, at: datetime) -> None:
    with stand.desk.sessions() as session:
        session.add(
            SendAttempt(
                tenant_id=stand.desk.tenant_id,
                job_id=job.id,
                number=1,
                fence=1,
                worker="w",
                claimed_at=job.claimed_at,
                replied_at=at,
                outcome=AttemptOutcome.UNKNOWN,
            )
        )
        session.commit()


def test_it_is_over_once_letters_and_copies_are_settled(
    stand: Stand, new_job: Callable[..., Any]
) -> None:
    version = stand.version(new_job, 3)
    assert (stand.look().state, stand.look().is_over) == ("idle", True)
    stand.queue(version, 3)
    assert not stand.look().is_over
    stand.send(version, 0, 2)
    stand.jobs(version, 2, 1, send_status=SendStatus.IN_DOUBT)
    stand.jobs(version, 0, 1, imap_status=ImapStatus.PENDING)
    found = stand.look()
    assert (found.state, found.is_over, found.in_doubt) == ("filing_copies", False, 1)
    stand.jobs(version, 0, 1, imap_status=ImapStatus.APPENDED)
    found = stand.look()
    assert (found.state, found.is_over, found.expected_end) == ("done", True, None)
    assert found.no_end_reason is None


def test_a_campaign_without_a_version_is_idle(stand: Stand) -> None:
    found = stand.look()
    assert (found.state, found.newest, [*found.limits, *found.errors]) == ("idle", None, [])


def test_nothing_changed_is_told_from_something_changed(
    stand: Stand, new_job: Callable[..., Any]
) -> None:
    version = stand.version(new_job, 3)
    stand.queue(version, 3, due=stand.clock.now() + 3600 * SECOND)
    first, second = stand.look(), stand.look()
    assert first != second
    assert first.still == second.still
    stand.send(version, 0, 1)
    assert stand.look().still != second.still


def test_another_tenants_campaign_is_not_there(
    stand: Stand, stranger: Desk, new_job: Callable[..., Any]
) -> None:
    stand.queue(stand.version(new_job, 3), 3)
    stand.look()
    with pytest.raises(NotFound):
        stand.board.figures(stranger.actor("campaign:read"), stand.desk.campaign_id)
    with pytest.raises(AccessDenied):
        stand.board.figures(stand.desk.actor("files:read"), stand.desk.campaign_id)
    with stand.desk.sessions() as session:
        _remove(session, stand.desk)
    with pytest.raises(NotFound):
        stand.look()


def _remove(session: Session, desk: Desk) -> None:
    session.delete(campaigns.get(session, desk.tenant_id, desk.campaign_id))
    session.commit()
