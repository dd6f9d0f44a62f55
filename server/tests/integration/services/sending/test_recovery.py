"""What an interrupted run left is taken up by the next, however often that is interrupted too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from app.db.models import AttemptOutcome, Job
from app.db.repositories import attempts, delivery, leases
from app.db.repositories.delivery import Claimed
from app.failpoints import FailpointReached, make_failpoint
from app.mailer.adapters.journal import FileJournal
from app.mailer.domain.delivery.job import ImapStatus, SendStatus
from app.mailer.domain.delivery.retry import RetryPolicy
from app.mailer.ports import JournalRecord, Stage
from app.mailer.services import recovery
from app.mailer.services.lane import LEASE
from app.mailer.services.recovery import Recovered, recover
from tests.integration.services.sending.house import START, House, letter


class Terms:
    retry = RetryPolicy()
    append_sent = True


class Worker:
    """A run of another process, taken to a point and left there."""

    def __init__(self, house: House, campaign: UUID) -> None:
        self.house = house
        self.journal = house.journal()
        self._campaign = campaign
        self._version = house.jobs(campaign)[0].version_id

    def claim(self, limit: int) -> Sequence[Claimed]:
        now = self.house.clock.now()
        with self.house.sessions() as session:
            claimed = delivery.claim(
                session,
                self.house.actor.tenant_id,
                self._version,
                worker=self.journal.worker,
                now=now,
                lease_until=now + LEASE,
                limit=limit,
            )
            session.commit()
        return claimed

    def commit(self, job: Claimed, *, dot: bool = True) -> bool:
        """Past the point of no return; with `dot` it may have left."""
        with self.house.sessions() as session:
            won = attempts.commit_to_send(
                session,
                self.house.actor.tenant_id,
                self._campaign,
                [job],
                worker=self.journal.worker,
                lease_until=self.house.clock.now() + LEASE,
            )
            session.commit()
        if won and dot:
            self.journal.dot(job.id, job.fence)
        return bool(won)

    def hear(self, job: Claimed, code: int, text: str = "said the server") -> None:
        self.journal.check()
        self.journal.record(JournalRecord(job.id, job.fence, code, text, self.house.clock.now()))

    def die(self) -> None:
        self.journal.close(settled=False)


def _recover(house: House) -> Recovered:
    own = house.journal()
    try:
        return recover(
            house.sessions,
            house.actor.tenant_id,
            journal=own,
            clock=house.clock,
            terms_of=lambda _session, _version: Terms(),
        )
    finally:
        own.close(settled=True)


def _journals(house: House) -> int:
    return len(list((house.journals / str(house.actor.tenant_id)).iterdir()))


def _only(jobs: Sequence[Job]) -> Job:
    (job,) = jobs
    return job


def test_what_was_only_claimed_is_queued_again_at_once(house: House) -> None:
    campaign = house.queued(letter(25, 3))
    worker = Worker(house, campaign)
    worker.claim(2)
    worker.die()
    assert _recover(house) == Recovered(queued=2)
    assert house.statuses(campaign) == ["queued"] * 3
    for job in house.jobs(campaign)[:2]:
        (attempt,) = house.attempts(job)
        assert (attempt.outcome, attempt.number) == (AttemptOutcome.ABANDONED, 1)
        assert (attempt.worker, attempt.fence) == (worker.journal.worker, 1)
        # It never came to the dot, so no try is lost.
        assert (job.attempt_count, job.worker, job.lease_until) == (0, None, None)
    assert _journals(house) == 0
    assert _recover(house) == Recovered()


def test_a_dot_without_an_answer_is_in_doubt(house: House) -> None:
    campaign = house.queued(letter(25))
    worker = Worker(house, campaign)
    (job,) = worker.claim(1)
    assert worker.commit(job)
    worker.die()
    assert _recover(house) == Recovered(in_doubt=1)
    row = _only(house.jobs(campaign))
    assert (row.send_status, row.attempt_count) == (SendStatus.IN_DOUBT, 1)
    assert row.last_error == "The sender stopped before the server's answer was known."
    (attempt,) = house.attempts(row)
    assert attempt.outcome is AttemptOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("code", "text", "status", "outcome"),
    [
        (250, "2.0.0 ok", SendStatus.SENT, AttemptOutcome.ACCEPTED),
        (451, "4.3.0 later", SendStatus.DEFERRED, AttemptOutcome.DEFERRED),
        (554, "5.7.1 no", SendStatus.FAILED, AttemptOutcome.REJECTED),
        (535, "5.7.8 account closed", SendStatus.DEFERRED, AttemptOutcome.DEFERRED),
        (554, "5.4.5 daily limit", SendStatus.DEFERRED, AttemptOutcome.DEFERRED),
        (354, "what?", SendStatus.IN_DOUBT, AttemptOutcome.UNKNOWN),
    ],
)
def test_a_journalled_answer_is_replayed(
    sqlite_house: House, code: int, text: str, status: SendStatus, outcome: AttemptOutcome
) -> None:
    house = sqlite_house
    campaign = house.queued(letter(25))
    worker = Worker(house, campaign)
    (job,) = worker.claim(1)
    worker.commit(job)
    worker.hear(job, code, text)
    worker.die()
    house.clock.sleep(5)
    assert _recover(house) == Recovered(replayed=1)
    row = _only(house.jobs(campaign))
    assert (row.send_status, row.last_code, row.last_reply) == (status, code, text)
    (attempt,) = house.attempts(row)
    assert (attempt.outcome, attempt.code, attempt.reply) == (outcome, code, text)
    assert attempt.replied_at == START
    assert row.sent_at == (START if status is SendStatus.SENT else None)
    assert (row.imap_status is ImapStatus.PENDING) == (status is SendStatus.SENT)
    if status is SendStatus.DEFERRED:
        assert row.due_at == START + timedelta(seconds=60)
    assert _journals(house) == 0


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (250, SendStatus.SENT),
        (554, SendStatus.FAILED),
        (451, SendStatus.FAILED),
        (354, SendStatus.IN_DOUBT),
    ],
)
def test_an_answer_found_later_settles_a_doubt(
    sqlite_house: House, code: int, status: SendStatus
) -> None:
    house = sqlite_house
    campaign = house.queued(letter(25))
    worker = Worker(house, campaign)
    (job,) = worker.claim(1)
    worker.commit(job)
    house.clock.sleep(LEASE.total_seconds() + 1)
    assert _recover(house) == Recovered(in_doubt=1)
    worker.hear(job, code)
    worker.die()
    assert _recover(house) == Recovered(replayed=int(status is not SendStatus.IN_DOUBT))
    row = _only(house.jobs(campaign))
    assert row.send_status is status
    assert row.due_at is None


def test_the_living_keep_what_they_hold_until_their_lease_ends(house: House) -> None:
    campaign = house.queued(letter(25, 2))
    worker = Worker(house, campaign)
    first, second = worker.claim(2)
    worker.commit(first)
    house.clock.sleep(LEASE.total_seconds())
    assert _recover(house) == Recovered()
    house.clock.sleep(1)
    assert _recover(house) == Recovered(queued=1, in_doubt=1)
    # Frozen and awake again: its fence still fits, but the job is not claimed any more.
    assert not worker.commit(second)
    worker.die()


def test_a_fence_that_is_outdated_commits_nothing_and_releases_nothing(house: House) -> None:
    campaign = house.queued(letter(25))
    frozen = Worker(house, campaign)
    (old,) = frozen.claim(1)
    house.clock.sleep(LEASE.total_seconds() + 1)
    _recover(house)
    (new,) = frozen.claim(1)  # by another thread of the same process
    assert (old.fence, new.fence) == (1, 2)
    assert not frozen.commit(old)
    with house.sessions() as session:
        assert leases.release(session, house.actor.tenant_id, [old], frozen.journal.worker) == 0
        session.commit()
    assert frozen.commit(new)
    frozen.hear(old, 250)
    frozen.die()
    # An answer to an older try says nothing about this one.
    assert _recover(house) == Recovered(in_doubt=1)


def test_a_record_of_an_unknown_or_settled_job_changes_nothing(house: House) -> None:
    campaign = house.queued(letter(25))
    worker = Worker(house, campaign)
    (job,) = worker.claim(1)
    worker.journal.record(JournalRecord(uuid4(), 1, 250, "ok", START))
    house.change(campaign, send_status=SendStatus.SENT)
    worker.hear(job, 554)
    worker.die()
    assert _recover(house) == Recovered()
    assert house.statuses(campaign) == ["sent"]


def test_another_tenants_jobs_are_not_touched(sqlite_house: House) -> None:
    house = sqlite_house
    campaign = house.queued(letter(25))
    worker = Worker(house, campaign)
    (job,) = worker.claim(1)
    worker.commit(job)
    worker.hear(job, 250)
    stranger = FileJournal(house.folder / "strangers")
    (house.journals / str(house.actor.tenant_id)).rename(house.folder / "moved")
    worker.die()
    for path in (house.folder / "moved").iterdir():
        path.rename(house.folder / "strangers" / path.name)
    house.clock.sleep(LEASE.total_seconds() + 1)
    assert (
        recover(
            house.sessions,
            uuid4(),
            journal=stranger,
            clock=house.clock,
            terms_of=lambda _session, _version: Terms(),
        )
        == Recovered()
    )
    stranger.close(settled=True)
    assert house.statuses(campaign) == ["committing"]


@pytest.mark.parametrize(
    "place", ["recover_before_replay", "recover_before_expire", "recover_before_discard"]
)
def test_an_interrupted_recovery_is_done_again(
    sqlite_house: House, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    house = sqlite_house
    campaign = house.queued(letter(25, 3))
    worker = Worker(house, campaign)
    first, second, _ = worker.claim(3)
    worker.commit(first)
    worker.hear(first, 250)
    worker.commit(second)
    worker.die()
    monkeypatch.setattr(recovery, "failpoint", make_failpoint(f"{place}:raise"))
    with pytest.raises(FailpointReached):
        _recover(house)
    assert _journals(house) == 1
    _recover(house)
    assert house.statuses(campaign) == ["sent", "in_doubt", "queued"]
    assert [len(house.attempts(job)) for job in house.jobs(campaign)] == [1, 1, 1]
    assert _journals(house) == 0


def test_terms_are_asked_only_for_answers_that_are_news(sqlite_house: House) -> None:
    house = sqlite_house
    campaign = house.queued(letter(25, 2))
    worker = Worker(house, campaign)
    first, second = worker.claim(2)
    for job in (first, second):
        worker.commit(job)
        worker.hear(job, 250)
    house.change(campaign, 0, send_status=SendStatus.SENT)
    worker.die()
    asked: list[UUID] = []

    def terms_of(_session: Session, version: UUID) -> Terms:
        asked.append(version)
        return Terms()

    own = house.journal()
    assert recover(
        house.sessions,
        house.actor.tenant_id,
        journal=own,
        clock=house.clock,
        terms_of=terms_of,
    ) == Recovered(replayed=1)
    own.close(settled=True)
    assert asked == [second.version_id]


def test_a_nul_in_a_servers_words_is_stored(house: House) -> None:
    campaign = house.queued(letter(25))
    worker = Worker(house, campaign)
    (job,) = worker.claim(1)
    worker.commit(job)
    worker.hear(job, 250, "o\0k")
    worker.die()
    _recover(house)
    assert _only(house.jobs(campaign)).last_reply == "o�k"
    assert house.attempts(_only(house.jobs(campaign)))[0].stage is Stage.DOT
