from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.access.scopes import Scope
from app.db.models import (
    AppendAttemptOutcome,
    AttemptOutcome,
    ImapAppendAttempt,
    MailAccount,
    SendAttempt,
)
from app.db.repositories import issues
from app.db.repositories.jobs import NewAttachment, NewJob
from app.db.session import reading
from app.mailer.domain.delivery.job import Decision, ImapStatus, SendStatus
from app.mailer.domain.errors import AccessDenied, NotFound
from app.mailer.domain.issues import EntryState, Issue, Severity
from app.mailer.domain.report import JOB_COLUMNS
from app.mailer.services.report import RECENT_FAILURES, campaign_report, job_rows
from tests.integration.services.reporting.conftest import CONFIG, NOW, Desk

Make = Callable[..., NewJob]
BUILT = {"size": 1000, "sha256": "a" * 64}


def report_of(
    desk: Desk, version_id: UUID | None = None, *, include_jobs: bool = False
) -> dict[str, Any]:
    with desk.sessions() as session:
        return campaign_report(
            session,
            desk.actor(Scope.CAMPAIGN_READ),
            desk.campaign_id,
            version_id=version_id,
            include_jobs=include_jobs,
            now=NOW,
        )


def rows_of(desk: Desk, version_id: UUID) -> list[dict[str, Any]]:
    with desk.sessions() as session:
        return list(
            job_rows(
                session,
                desk.actor(Scope.CAMPAIGN_READ),
                desk.campaign_id,
                version_id=version_id,
            )
        )


def attempt(desk: Desk, job: NewJob, number: int, **values: object) -> None:
    with desk.sessions() as session:
        own: dict[str, Any] = {"tenant_id": desk.tenant_id, "job_id": job.id, "worker": "w"}
        session.add(
            SendAttempt(**(own | {"number": number, "fence": number, "claimed_at": NOW} | values))
        )
        session.commit()


def test_every_number_of_a_campaign_under_way(desk: Desk, new_job: Make) -> None:
    states = [
        EntryState.READY,
        EntryState.WARNING,
        EntryState.NEEDS_REVIEW,
        EntryState.BLOCKED,
        EntryState.EXCLUDED,
        EntryState.INACTIVE,
    ]
    new = [new_job(n, build_status=state) for n, state in enumerate(states)]
    new += [new_job(n, **BUILT) for n in range(6, 12)]
    new[2] = new_job(
        2,
        build_status=EntryState.NEEDS_REVIEW,
        issues=[
            Issue("shared-file", Severity.REVIEW, "/a", "m"),
            Issue("empty-file", Severity.WARN, "/a", "m"),
        ],
    )
    version_id = desk.add_version(*new)
    with desk.sessions() as session:
        found = [Issue("empty-file", Severity.WARN, "/a", "m")]
        issues.replace_for_version(session, desk.tenant_id, version_id, found)
        session.commit()
    due = NOW + timedelta(minutes=5)
    desk.change(version_id, ["e6"], send_status=SendStatus.SENT, imap_status=ImapStatus.PENDING)
    desk.change(version_id, ["e7"], send_status=SendStatus.QUEUED, due_at=due)
    desk.change(version_id, ["e8"], send_status=SendStatus.DEFERRED, due_at=NOW)
    desk.change(version_id, ["e9"], send_status=SendStatus.FAILED, due_at=NOW - timedelta(days=1))
    desk.change(version_id, ["e10"], send_status=SendStatus.IN_DOUBT, message_id="<x@y>")
    desk.change(version_id, ["e11"], decision=Decision.EXCLUDE)
    attempt(desk, new[6], 1, outcome=AttemptOutcome.ACCEPTED)
    attempt(desk, new[8], 1, outcome=AttemptOutcome.DEFERRED)
    attempt(desk, new[8], 2)

    report = report_of(desk)
    assert report["generated_at"] == NOW.isoformat()
    assert report["campaign"]["external_id"] == "spring"
    assert report["campaign"]["version_id"] == str(version_id)
    assert report["campaign"]["version_number"] == 1
    assert report["campaign"]["mode"] == "send"
    assert report["campaign"]["built_at"] == NOW.isoformat()
    assert report["cards"] == {
        "total": 12,
        "needs_attention": 4,
        "ready_to_send": 2,
        "needs_review": 1,
        "blocked": 1,
        "left_out": 3,
        "sent_before": 0,
        "waiting": 2,
        "sent": 1,
        "failed": 1,
        "in_doubt": 1,
        "cancelled": 0,
    }
    assert report["build"] == {
        "inactive": 1,
        "excluded": 1,
        "blocked": 1,
        "needs_review": 1,
        "warning": 1,
        "ready": 7,
    }
    assert report["send"]["deferred"] == 1
    assert report["send"]["unqueued"] == 7
    assert set(report["send"]) == {status.value for status in SendStatus}
    assert report["imap"] == {"not_requested": 11, "pending": 1, "appended": 0, "failed": 0}
    assert report["review"] == {"undecided": 1, "accepted": 0, "excluded": 1}
    assert [(each["code"], each["severity"], each["count"]) for each in report["issues"]] == [
        ("empty-file", "warn", 2),
        ("shared-file", "review", 1),
    ]
    assert report["issues"][0]["meaning"]
    assert report["send_attempts"] == {
        "total": 3,
        "accepted": 1,
        "rejected": 0,
        "deferred": 1,
        "unknown": 0,
        "abandoned": 0,
        "running": 1,
    }
    assert report["in_doubt"]["count"] == 1
    assert "may or may not" in report["in_doubt"]["explanation"]
    assert [each["message_id"] for each in report["in_doubt"]["jobs"]] == ["<x@y>"]
    assert report["rate_limit"] == {
        "messages_per_minute": 10,
        "concurrency": 2,
        "remaining": 2,
        "estimated_seconds": 6,
        "estimated_finish_at": (NOW + timedelta(seconds=6)).isoformat(),
        "estimated_seconds_with_ready": 18,
    }
    assert report["next_due_at"] == NOW.isoformat()
    assert "jobs" not in report
    assert json.loads(json.dumps(report)) == report


@pytest.mark.parametrize(
    ("own", "limits", "per_minute", "concurrency"),
    [
        ({}, {"per_minute": 20}, 20, 1),
        ({"messages_per_minute": 10, "concurrency": 4}, {"per_minute": 20}, 10, 4),
        ({"messages_per_minute": 10, "concurrency": 4}, {"concurrency": 2}, 10, 2),
        ({"messages_per_minute": 10}, {"per_hour": 60, "concurrency": 9}, 1, 1),
    ],
)
def test_the_lower_limit_of_the_campaign_and_its_account_counts(
    desk: Desk,
    new_job: Make,
    own: dict[str, Any],
    limits: dict[str, Any],
    per_minute: float,
    concurrency: int,
) -> None:
    with desk.sessions() as session:
        session.add(
            MailAccount(
                tenant_id=desk.tenant_id,
                name="office",
                from_addresses=[],
                created_at=NOW,
                updated_at=NOW,
                **limits,
            )
        )
        session.commit()
    parts = {"server": {"account": "office"}, "delivery": {"rate_limit": own}}
    version_id = desk.add_version(*(new_job(n) for n in range(3)), config=CONFIG | parts)
    desk.change(version_id, ["e0", "e1", "e2"], send_status=SendStatus.QUEUED)
    said = report_of(desk)["rate_limit"]
    assert (said["messages_per_minute"], said["concurrency"]) == (per_minute, concurrency)
    assert said["estimated_seconds"] == round(2 * 60 / per_minute)


@pytest.mark.parametrize("server", ["?", {"account": 7}, {"account": "nobody"}, {"account": "\0"}])
def test_an_account_that_is_not_there_limits_nothing(desk: Desk, server: object) -> None:
    desk.add_version(config=CONFIG | {"server": server})
    assert report_of(desk)["rate_limit"]["messages_per_minute"] == 10


def test_an_empty_version_has_every_key(desk: Desk) -> None:
    desk.add_version(config=CONFIG | {"delivery": {"rate_limit": {"messages_per_minute": "?"}}})
    report = report_of(desk, include_jobs=True)
    assert report["cards"]["total"] == 0
    assert set(report["send"].values()) == {0}
    assert report["attachments"] == {
        "messages_with_attachments": 0,
        "files": 0,
        "bytes": 0,
        "distinct_files": 0,
        "in_archives": 0,
    }
    assert report["append_attempts"]["total"] == 0
    assert report["rate_limit"]["messages_per_minute"] is None
    assert report["next_due_at"] is None
    assert report["recent_failures"] == report["issues"] == report["jobs"] == []


def test_attachments_are_counted_as_recipients_see_them(desk: Desk, new_job: Make) -> None:
    def file(name: str, size: int, sha256: str, archive: str | None = None) -> NewAttachment:
        return NewAttachment("r", name, name, "application/pdf", size, sha256, archive)

    shared = file("rules.pdf", 100, "shared")
    version_id = desk.add_version(
        new_job(0, attachments=[shared, file("a.pdf", 10, "a")]),
        new_job(1, attachments=[shared]),
        new_job(2, attachments=[file("b.zip", 50, "z"), file("b.pdf", 70, "b", "b.zip")]),
        new_job(3),
    )
    assert report_of(desk)["attachments"] == {
        "messages_with_attachments": 3,
        "files": 4,
        "bytes": 260,
        "distinct_files": 3,
        "in_archives": 1,
    }
    assert rows_of(desk, version_id)[2]["attachments"] == ["b.zip", "b.zip/b.pdf"]


def test_what_an_earlier_version_sent_is_not_ready(desk: Desk, new_job: Make) -> None:
    first = desk.add_version(new_job(0), new_job(1))
    desk.change(first, ["e0"], send_status=SendStatus.SENT)
    desk.change(first, ["e1"], send_status=SendStatus.FAILED)
    desk.add_version(new_job(0), new_job(1))
    report = report_of(desk)
    assert report["cards"]["sent_before"] == 1
    assert report["cards"]["ready_to_send"] == 1
    assert [
        (each["number"], each["total"], each["sent"], each["failed"], each["in_doubt"])
        for each in report["versions"]
    ] == [(2, 2, 0, 0, 0), (1, 2, 1, 1, 0)]
    assert report_of(desk, first)["campaign"]["version_number"] == 1

    test = CONFIG | {"campaign": CONFIG["campaign"] | {"mode": "test"}}
    desk.add_version(new_job(0), new_job(1), config=test)
    assert report_of(desk)["cards"]["ready_to_send"] == 2


def test_the_latest_failures_are_listed(desk: Desk, new_job: Make) -> None:
    new = [new_job(n, to_display=f"p{n}@example.org") for n in range(25)]
    version_id = desk.add_version(*new)
    names = [job.entry_id for job in new]
    desk.change(
        version_id,
        names[:24],
        send_status=SendStatus.FAILED,
        last_code=550,
        last_reply="5.1.1 no such user",
    )
    desk.change(version_id, names[:1], send_status=SendStatus.DEFERRED, last_error="no answer")
    for number, job in enumerate(new[1:24]):
        at = NOW + timedelta(minutes=number)
        attempt(desk, job, 1, replied_at=at, outcome=AttemptOutcome.REJECTED)
    attempt(desk, new[0], 1, replied_at=NOW - timedelta(days=1))
    attempt(desk, new[0], 2, claimed_at=NOW + timedelta(days=1))
    failures = report_of(desk)["recent_failures"]
    assert [each["entry"] for each in failures] == ["e0"] + [f"e{n}" for n in range(23, 4, -1)]
    assert len(failures) == RECENT_FAILURES
    assert failures[0]["at"] == (NOW + timedelta(days=1)).isoformat()
    assert failures[0]["error"] == "no answer"
    assert failures[1] == {
        "entry": "e23",
        "to": "p23@example.org",
        "send_status": "failed",
        "code": 550,
        "reply": "5.1.1 no such user",
        "error": None,
        "message_id": None,
        "attempts": 0,
        "look_count": 0,
        "looked_at": None,
        "at": (NOW + timedelta(minutes=22)).isoformat(),
    }


def test_a_failure_without_any_attempt_is_listed_too(desk: Desk, new_job: Make) -> None:
    version_id = desk.add_version(new_job(0))
    desk.change(version_id, ["e0"], send_status=SendStatus.FAILED, claimed_at=NOW)
    assert [each["at"] for each in report_of(desk)["recent_failures"]] == [NOW.isoformat()]


def test_tries_to_file_copies_are_counted(desk: Desk, new_job: Make) -> None:
    job = new_job(0)
    desk.add_version(job)
    with desk.sessions() as session:
        for number, outcome in enumerate((AppendAttemptOutcome.FAILED, None)):
            session.add(
                ImapAppendAttempt(
                    tenant_id=desk.tenant_id,
                    job_id=job.id,
                    number=number,
                    worker="w",
                    started_at=NOW,
                    outcome=outcome,
                )
            )
        session.commit()
    assert report_of(desk)["append_attempts"] == {
        "total": 2,
        "appended": 0,
        "already_there": 0,
        "failed": 1,
        "unknown": 0,
        "running": 1,
    }


def test_job_rows_say_everything(desk: Desk, new_job: Make) -> None:
    version_id = desk.add_version(
        new_job(
            0,
            to_display="Ada <ada@example.org>",
            subject="Hi",
            message_id="<x@y>",
            issues=[
                Issue("empty-file", Severity.REVIEW, "/a", "m"),
                Issue("empty-file", Severity.REVIEW, "/b", "m"),
            ],
            **BUILT,
        ),
        new_job(1),
    )
    desk.change(
        version_id,
        ["e0"],
        decision=Decision.ACCEPT,
        decided_by="Bob",
        decided_at=NOW,
        decision_reason="looked",
        send_status=SendStatus.SENT,
        queued_at=NOW,
        sent_at=NOW,
        attempt_count=2,
        last_code=250,
        last_reply="ok",
    )
    first, second = rows_of(desk, version_id)
    assert tuple(first) == tuple(second) == JOB_COLUMNS
    assert first == {
        "entry_id": "e0",
        "pointer": "/entries/inline/0",
        "to": "Ada <ada@example.org>",
        "subject": "Hi",
        "build_status": "ready",
        "decision": "accept",
        "decided_by": "Bob",
        "decided_at": NOW.isoformat(),
        "decision_reason": "looked",
        "send_status": "sent",
        "imap_status": "not_requested",
        "attempts": 2,
        "last_code": 250,
        "last_reply": "ok",
        "last_error": None,
        "queued_at": NOW.isoformat(),
        "sent_at": NOW.isoformat(),
        "message_id": "<x@y>",
        "size": 1000,
        "sha256": "a" * 64,
        "attachments": [],
        "issues": ["empty-file"],
    }
    assert second["decided_at"] is None
    assert report_of(desk, include_jobs=True)["jobs"] == [first, second]


def test_the_number_of_statements_does_not_grow(
    desk: Desk, new_job: Make, statements: Callable[[], Any]
) -> None:
    def job(number: int) -> NewJob:
        return new_job(number, issues=[Issue("empty-file", Severity.REVIEW, "/a", "m")])

    counts = []
    for size in (2, 1100):
        version_id = desk.add_version(*(job(n) for n in range(size)))
        desk.change(version_id, ["e0", "e1"], send_status=SendStatus.FAILED)
        with statements() as seen:
            report_of(desk, version_id)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 12
    with statements() as seen:
        rows = rows_of(desk, version_id)
    assert [row["entry_id"] for row in rows] == [f"e{n}" for n in range(1100)]
    assert len(seen) <= 2 + 3 * 3 + 1


def test_a_reading_session_is_enough(desk: Desk, new_job: Make, engine: Any) -> None:
    desk.add_version(new_job(0))
    with reading(engine)() as session:
        report = campaign_report(
            session,
            desk.actor(),
            desk.campaign_id,
            version_id=None,
            include_jobs=True,
            now=NOW,
        )
    assert len(report["jobs"]) == 1


def test_others_see_nothing(desk: Desk, new_job: Make, stranger: Desk) -> None:
    version_id = desk.add_version(new_job(0))
    with desk.sessions() as session:
        for actor, error in (
            (desk.actor(Scope.REPORTS_SEND), AccessDenied),
            (stranger.actor(), NotFound),
        ):
            with pytest.raises(error):
                campaign_report(
                    session,
                    actor,
                    desk.campaign_id,
                    version_id=version_id,
                    include_jobs=False,
                    now=NOW,
                )
            # Asked for, not iterated: the refusal does not wait for the first row.
            with pytest.raises(error):
                job_rows(session, actor, desk.campaign_id, version_id=version_id)
        with pytest.raises(NotFound):
            job_rows(session, desk.actor(), desk.campaign_id, version_id=uuid4())
