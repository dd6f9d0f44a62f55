from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from app.db.models import (
    CampaignVersion,
    ImapAppendAttempt,
    Job,
    JobAttachment,
    JobIssue,
    JobMessage,
    SendAttempt,
    Tenant,
)
from app.db.repositories import issues, jobs
from app.db.repositories.jobs import NewAttachment, NewJob
from app.mailer.domain.delivery.job import Decision, ImapStatus, SendStatus
from app.mailer.domain.errors import Conflict, NotFound
from app.mailer.domain.issues import EntryState, Issue, Severity
from tests.integration.db.conftest import NOW

Make = Callable[..., NewJob]


@pytest.fixture
def store(session: Session, version: CampaignVersion) -> Callable[..., int]:
    def add(*new: NewJob) -> int:
        stored = jobs.add_all(session, version.tenant_id, version.campaign_id, version.id, new)
        session.commit()
        return stored

    return add


def test_a_job_comes_back_as_it_was_stored(
    session: Session, version: CampaignVersion, store: Callable[..., int], new_job: Make
) -> None:
    date = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
    issue = Issue("empty-file", Severity.REVIEW, "/a", "Ünïcode „x“\t\\N", "Hint", "e0")
    attachment = NewAttachment("Letter", "a/b.pdf", "b.pdf", "application/pdf", 5_000_000_000, "f")
    job = new_job(
        0,
        build_status=EntryState.NEEDS_REVIEW,
        recipients=("ä@example.org", "b@example.org"),
        to_display='"Ada; Lovelace" <ada@example.org>',
        subject="Grüße\\ and\ttabs\nand lines",
        envelope_from="a@example.org",
        message_id="<x@y>",
        message_date=date,
        needs_smtputf8=True,
        size=5_000_000_000,
        sha256="a" * 64,
        frame=bytes(range(256)),
        imap_status=ImapStatus.PENDING,
        issues=[issue],
        attachments=[attachment],
    )
    assert store(job) == 1
    found = jobs.get(session, version.tenant_id, job.id)
    for name in NewJob.__dataclass_fields__:
        if name not in ("frame", "issues", "attachments", "recipients"):
            assert getattr(found, name) == getattr(job, name), name
    assert found.recipients == list(job.recipients)
    assert found.message_date == date
    assert found.send_status is SendStatus.UNQUEUED
    assert (found.attempt_count, found.fence, found.append_attempt_count) == (0, 0, 0)
    assert found.tenant_id == version.tenant_id
    assert session.scalars(select(JobMessage.frame)).one() == job.frame
    (stored_issue,) = issues.of_jobs(session, version.tenant_id, [job.id])[job.id]
    assert stored_issue.message == issue.message
    assert stored_issue.severity is Severity.REVIEW
    (stored_file,) = jobs.attachments_of(session, version.tenant_id, [job.id])[job.id]
    assert (stored_file.path, stored_file.size) == ("a/b.pdf", 5_000_000_000)


def test_many_jobs_are_taken_from_a_generator(
    session: Session, version: CampaignVersion, new_job: Make
) -> None:
    alive = 0

    def source() -> Iterator[NewJob]:
        nonlocal alive
        for position in range(2500):
            alive += 1
            yield new_job(position, frame=b"x" if position % 2 else None)

    stored = jobs.add_all(session, version.tenant_id, version.campaign_id, version.id, source())
    assert stored == alive == 2500
    assert jobs.counts(session, version.tenant_id, version.id).total == 2500
    assert session.scalar(select(func.count()).select_from(JobMessage)) == 1250


@pytest.mark.parametrize("same", ["position", "entry_id"])
def test_an_entry_is_in_a_version_once(
    session: Session, version: CampaignVersion, new_job: Make, same: str
) -> None:
    first = new_job(0)
    second = replace(new_job(1), **{same: getattr(first, same)})  # type: ignore[arg-type]
    with pytest.raises(Exception, match=f"uq_jobs_version_id_{same}|jobs.{same}"):
        jobs.add_all(session, version.tenant_id, version.campaign_id, version.id, [first, second])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("send_status", "sending"),
        ("imap_status", "lost"),
        ("build_status", "perfect"),
        ("decision", "maybe"),
    ],
)
def test_the_database_refuses_bad_states(
    session: Session, store: Callable[..., int], new_job: Make, column: str, value: str
) -> None:
    store(new_job(0))
    with pytest.raises(IntegrityError, match=f"ck_jobs_{column}"):
        session.execute(text(f"UPDATE jobs SET {column} = :value"), {"value": value})


def test_the_models_refuse_bad_states(
    session: Session, store: Callable[..., int], new_job: Make
) -> None:
    store(new_job(0))
    with pytest.raises(SQLAlchemyError):
        session.execute(update(Job).values(send_status="sending"))


def test_pages_follow_the_position(
    session: Session, version: CampaignVersion, store: Callable[..., int], new_job: Make
) -> None:
    store(
        *(
            new_job(n, build_status=EntryState.WARNING if n % 2 else EntryState.READY)
            for n in range(5)
        )
    )
    tenant_id = version.tenant_id
    first = jobs.page(session, tenant_id, version.id, limit=2)
    assert [job.position for job in first] == [0, 1]
    rest = jobs.page(session, tenant_id, version.id, after=first[-1].position)
    assert [job.position for job in rest] == [2, 3, 4]
    odd = jobs.page(session, tenant_id, version.id, build_status=[EntryState.WARNING])
    assert [job.position for job in odd] == [1, 3]
    assert jobs.page(session, tenant_id, version.id, send_status=[SendStatus.SENT]) == []
    assert len(jobs.page(session, tenant_id, version.id, imap_status=list(ImapStatus))) == 5


def test_counts(
    session: Session, version: CampaignVersion, store: Callable[..., int], new_job: Make
) -> None:
    new = [new_job(n, build_status=EntryState.NEEDS_REVIEW) for n in range(3)]
    store(*new, new_job(3), new_job(4, build_status=EntryState.BLOCKED))
    tenant_id = version.tenant_id
    decide(session, tenant_id, [new[0].id], Decision.ACCEPT)
    session.execute(update(Job).where(Job.position == 3).values(send_status=SendStatus.SENT))
    counts = jobs.counts(session, tenant_id, version.id)
    assert counts.total == 5
    assert counts.build == Counter(needs_review=3, ready=1, blocked=1)
    assert counts.send == Counter(unqueued=4, sent=1)
    assert counts.imap == Counter(not_requested=5)
    assert counts.decision == Counter(accept=1)
    assert counts.undecided == 2


def decide(session: Session, tenant_id: UUID, ids: list[UUID], decision: Decision) -> set[UUID]:
    return set(
        jobs.decide(
            session,
            tenant_id,
            ids,
            decision,
            among=[EntryState.NEEDS_REVIEW],
            reason="looked at it",
            by="Ada",
            now=NOW,
        )
    )


def test_a_decision_is_recorded_where_it_may_be(
    session: Session, version: CampaignVersion, store: Callable[..., int], new_job: Make
) -> None:
    review, sent = (new_job(n, build_status=EntryState.NEEDS_REVIEW) for n in range(2))
    blocked = new_job(2, build_status=EntryState.BLOCKED)
    store(review, sent, blocked)
    session.execute(update(Job).where(Job.id == sent.id).values(send_status=SendStatus.SENT))
    ids = [review.id, sent.id, blocked.id, uuid4()]
    assert decide(session, uuid4(), ids, Decision.ACCEPT) == set()
    assert decide(session, version.tenant_id, ids, Decision.ACCEPT) == {review.id}
    job = jobs.get(session, version.tenant_id, review.id)
    assert job.decision is Decision.ACCEPT
    assert (job.decision_reason, job.decided_by, job.decided_at) == ("looked at it", "Ada", NOW)
    undecided = jobs.page(session, version.tenant_id, version.id, undecided=True)
    assert [job.position for job in undecided] == [1, 2]


def test_a_version_that_was_never_queued_can_be_emptied(
    session: Session, version: CampaignVersion, store: Callable[..., int], new_job: Make
) -> None:
    store(new_job(0), new_job(1))
    assert jobs.delete_unqueued(session, version.tenant_id, version.id) == 2
    assert jobs.delete_unqueued(session, version.tenant_id, version.id) == 0


@pytest.mark.parametrize("was_queued", [True, False])
def test_what_was_queued_is_never_forgotten(
    session: Session,
    version: CampaignVersion,
    store: Callable[..., int],
    new_job: Make,
    was_queued: bool,
) -> None:
    store(new_job(0), new_job(1))
    values = {"queued_at": NOW} if was_queued else {"send_status": SendStatus.CANCELLED}
    session.execute(update(Job).where(Job.position == 1).values(**values))
    session.commit()
    with pytest.raises(Conflict, match="cannot be built again"):
        jobs.delete_unqueued(session, version.tenant_id, version.id)
    session.rollback()
    assert jobs.counts(session, version.tenant_id, version.id).total == 2


def test_another_tenant_sees_none_of_it(
    session: Session,
    version: CampaignVersion,
    other_tenant: Tenant,
    store: Callable[..., int],
    new_job: Make,
) -> None:
    issue = Issue("empty-file", Severity.WARN, "/a", "m")
    job = new_job(0, issues=[issue], attachments=[NewAttachment("r", "p", "f", "t", 1, "s")])
    store(job)
    tenant_id = other_tenant.id
    for look in (
        lambda: jobs.get(session, tenant_id, job.id),
        lambda: jobs.get_by_entry(session, tenant_id, version.id, "e0"),
    ):
        with pytest.raises(NotFound):
            look()
    assert jobs.page(session, tenant_id, version.id) == []
    assert jobs.counts(session, tenant_id, version.id).total == 0
    assert jobs.attachments_of(session, tenant_id, [job.id]) == {job.id: []}
    assert issues.of_jobs(session, tenant_id, [job.id]) == {job.id: []}
    assert list(issues.of_version(session, tenant_id, version.id)) == []
    with pytest.raises(NotFound):
        jobs.get_by_entry(session, version.tenant_id, version.id, "unknown")


def test_deleting_a_version_takes_its_jobs_along(
    session: Session, version: CampaignVersion, store: Callable[..., int], new_job: Make
) -> None:
    job = new_job(
        0,
        frame=b"x",
        issues=[Issue("empty-file", Severity.WARN, "/a", "m")],
        attachments=[NewAttachment("r", "p", "f", "t", 1, "s")],
    )
    store(job)
    own = {"tenant_id": version.tenant_id, "job_id": job.id, "number": 1, "worker": "w"}
    session.add(SendAttempt(**own, fence=1, claimed_at=NOW))
    session.add(ImapAppendAttempt(**own, started_at=NOW))
    session.commit()
    session.delete(version)
    session.commit()
    for model in (Job, JobMessage, JobIssue, JobAttachment, SendAttempt, ImapAppendAttempt):
        assert session.scalar(select(func.count()).select_from(model)) == 0, model


def test_an_attempt_has_its_number_once(
    session: Session, version: CampaignVersion, store: Callable[..., int], new_job: Make
) -> None:
    job = new_job(0)
    store(job)
    for fence in (1, 2):
        session.add(
            SendAttempt(
                tenant_id=version.tenant_id,
                job_id=job.id,
                number=1,
                fence=fence,
                worker="w",
                claimed_at=NOW,
            )
        )
    with pytest.raises(IntegrityError, match=r"send_attempts"):
        session.flush()


def test_issues_of_a_version_come_in_order(
    session: Session, version: CampaignVersion, store: Callable[..., int], new_job: Make
) -> None:
    def issue(code: str) -> Issue:
        return Issue(code, Severity.WARN, "/a", "m")

    store(
        new_job(1, issues=[issue("c"), issue("d")]),
        new_job(0, issues=[issue("b")]),
    )
    tenant_id = version.tenant_id
    issues.replace_for_version(session, tenant_id, version.id, [issue("old")])
    issues.replace_for_version(session, tenant_id, version.id, [issue("a"), issue("d")])
    found = [row.code for row in issues.of_version(session, tenant_id, version.id)]
    assert found == ["a", "d", "b", "c", "d"]
    assert issues.counts_by_code(session, tenant_id, version.id) == Counter(a=1, b=1, c=1, d=2)
    issues.replace_for_version(session, tenant_id, version.id, [])
    assert issues.counts_by_code(session, tenant_id, version.id) == Counter(b=1, c=1, d=1)
