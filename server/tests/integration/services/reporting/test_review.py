from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from app.access.scopes import Scope
from app.db.models import WorkflowState
from app.db.repositories import decisions
from app.db.repositories.jobs import NewAttachment, NewJob
from app.mailer.adapters.secret_box import AesSecretBox
from app.mailer.domain.delivery.job import Decision, Event, ImapStatus, SendStatus
from app.mailer.domain.delivery.review import Refused
from app.mailer.domain.errors import AccessDenied, Conflict, MailerError, NotFound
from app.mailer.domain.issues import EntryState, Issue, Severity
from app.mailer.services.open_reviews import ReviewPage, open_reviews
from app.mailer.services.review import Selection, Settled, decide, resolve
from tests.integration.services.reporting.conftest import CONFIG, NOW, Desk

Make = Callable[..., NewJob]
LATER = NOW + timedelta(hours=1)
BOX = AesSecretBox(bytes(32))
COPIES = CONFIG | {
    "server": {"imap": {"host": "imap.example.org", "enabled": True}},
    "delivery": {"imap_append_sent": {"enabled": True}},
}


def issue(code: str, severity: Severity = Severity.REVIEW) -> Issue:
    return Issue(code, severity, "/a", f"{code} here", "mend it")


def reviews(desk: Desk, **values: Any) -> ReviewPage:
    with desk.sessions() as session:
        given: dict[str, Any] = {"version_id": None} | values
        return open_reviews(session, desk.actor(Scope.CAMPAIGN_READ), desk.campaign_id, **given)


def say(
    desk: Desk,
    decision: Decision,
    entry_ids: Sequence[str] | None = None,
    *,
    code: str | None = None,
    reason: str = " looked at it ",
) -> Settled:
    with desk.sessions() as session:
        settled = decide(
            session,
            desk.actor(Scope.CAMPAIGN_APPROVE),
            desk.campaign_id,
            version_id=None,
            selection=Selection(entry_ids, code),
            decision=decision,
            reason=reason,
            now=LATER,
        )
        session.commit()
        return settled


def settle(
    desk: Desk, event: Event, entry_ids: Sequence[str] | None = None, reason: str = "asked them"
) -> Settled:
    with desk.sessions() as session:
        settled = resolve(
            session,
            desk.actor(Scope.CAMPAIGN_SEND),
            desk.campaign_id,
            version_id=None,
            selection=Selection(entry_ids),
            event=event,
            reason=reason,
            now=LATER,
            box=BOX,
        )
        session.commit()
        return settled


@pytest.fixture
def review(desk: Desk, new_job: Make) -> UUID:
    """Entries e0 to e2 need a review, e3 is ready, e4 has a warning, e5 is blocked."""
    states = [EntryState.NEEDS_REVIEW] * 3
    states += [EntryState.READY, EntryState.WARNING, EntryState.BLOCKED]
    found = {
        0: [issue("shared-file")],
        1: [issue("shared-file"), issue("empty-file")],
        2: [issue("empty-file"), issue("shared-copy", Severity.WARN)],
    }
    return desk.add_version(
        *(
            new_job(
                n,
                build_status=state,
                issues=found.get(n, ()),
                attachments=[NewAttachment("r", "p/a.pdf", "a.pdf", "application/pdf", 3, "f")],
            )
            for n, state in enumerate(states)
        )
    )


# -- what needs a decision


def test_open_reviews_come_in_pages_with_all_that_is_needed(desk: Desk, review: UUID) -> None:
    first = reviews(desk, limit=2)
    assert (first.version_id, first.version_number, first.undecided) == (review, 1, 3)
    assert [each["entry_id"] for each in first.reviews] == ["e0", "e1"]
    assert first.next_after == 1
    assert [each["code"] for each in first.reviews[1]["issues"]] == ["shared-file", "empty-file"]
    assert first.reviews[0]["issues"][0] == {
        "code": "shared-file",
        "severity": "review",
        "pointer": "/a",
        "message": "shared-file here",
        "hint": "mend it",
    }
    assert first.reviews[0]["attachments"][0]["path"] == "p/a.pdf"
    rest = reviews(desk, limit=2, after=first.next_after)
    assert [each["entry_id"] for each in rest.reviews] == ["e2"]
    assert rest.next_after is None
    say(desk, Decision.ACCEPT, ["e1"])
    assert [each["entry_id"] for each in reviews(desk).reviews] == ["e0", "e2"]
    assert reviews(desk).undecided == 2


# -- decisions


def test_a_decision_is_kept_with_who_when_and_why(desk: Desk, review: UUID) -> None:
    settled = say(desk, Decision.ACCEPT, ["e1", "e0", "e1"])
    assert set(settled.entries) == {"e0", "e1"}
    assert settled.left == {}
    found = desk.jobs(review)
    for name in ("e0", "e1"):
        job = found[name]
        assert job.decision is Decision.ACCEPT
        assert (job.decided_by, job.decided_at) == ("Ada", LATER)
        assert job.decision_reason == "looked at it"
    assert found["e2"].decision is None
    (entry,) = desk.audit()
    assert (entry.action, entry.object_type) == ("job.accepted", "campaign")
    assert (entry.object_id, entry.actor_name, entry.at) == (str(desk.campaign_id), "Ada", LATER)
    assert entry.details["version_id"] == str(review)
    assert set(entry.details["entries"]) == {"e0", "e1"}
    assert (entry.details["count"], entry.details["reason"]) == (2, "looked at it")


def test_ready_entries_can_be_excluded_and_taken_back(desk: Desk, review: UUID) -> None:
    say(desk, Decision.EXCLUDE, ["e0", "e3", "e4"])
    assert {desk.jobs(review)[name].decision for name in ("e0", "e3", "e4")} == {Decision.EXCLUDE}
    say(desk, Decision.ACCEPT, ["e3"])
    assert desk.jobs(review)["e3"].decision is Decision.ACCEPT
    assert [entry.action for entry in desk.audit()] == ["job.accepted", "job.excluded"]


def test_all_or_nothing_and_every_reason_is_named(desk: Desk, review: UUID) -> None:
    desk.change(review, ["e4"], send_status=SendStatus.QUEUED)
    with pytest.raises(Refused) as refused:
        say(desk, Decision.ACCEPT, ["e0", "e3", "e4", "e5", "nobody"])
    assert set(refused.value.refused) == {"e3", "e4", "e5", "nobody"}
    assert "e5 (it is blocked" in refused.value.message
    assert "nobody (version 1 has no such entry)" in refused.value.message
    assert "e4 (it is queued already)" in refused.value.message
    assert "e3 (it is ready and needs no decision)" in refused.value.message
    assert {job.decision for job in desk.jobs(review).values()} == {None}
    assert desk.audit() == []


def test_all_that_is_undecided(desk: Desk, review: UUID) -> None:
    say(desk, Decision.EXCLUDE, ["e1"])
    settled = say(desk, Decision.ACCEPT)
    assert settled.entries == ("e0", "e2")
    found = desk.jobs(review)
    assert found["e1"].decision is Decision.EXCLUDE
    assert found["e5"].decision is found["e3"].decision is None
    nothing = say(desk, Decision.ACCEPT)
    assert nothing.entries == ()
    assert len(desk.audit()) == 2


def test_accepting_one_question_does_not_answer_another(desk: Desk, review: UUID) -> None:
    settled = say(desk, Decision.ACCEPT, code="shared-file")
    assert settled.entries == ("e0",)
    assert settled.left == {"e1": "it has other questions than shared-file"}
    assert desk.jobs(review)["e1"].decision is None
    excluded = say(desk, Decision.EXCLUDE, code="shared-file")
    assert excluded.entries == ("e1",)
    # A warning beside it is no question.
    assert say(desk, Decision.ACCEPT, code="empty-file").entries == ("e2",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"entry_ids": ["e0"], "reason": " \n"}, "needs a reason"),
        ({"entry_ids": []}, "No entry was named"),
        ({"code": "shared-fil"}, "no issue code 'shared-fil'"),
        ({"code": "shared-file", "entry_ids": ["e0"]}, "not by both"),
    ],
)
def test_a_careless_decision_is_refused(
    desk: Desk, review: UUID, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(MailerError, match=message):
        say(desk, Decision.ACCEPT, **values)
    assert desk.audit() == []


def test_nothing_half_done_when_the_jobs_change_meanwhile(
    desk: Desk, review: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = decisions.standing_of

    def look_then_queue(session: Session, *rest: Any) -> Any:
        found = look(session, *rest)
        (job_id, _) = found["e0"]
        decisions.move(session, desk.tenant_id, [job_id], Event.QUEUE, {})
        return found

    monkeypatch.setattr(decisions, "standing_of", look_then_queue)
    with desk.sessions() as session:
        with pytest.raises(Conflict, match="meanwhile"):
            decide(
                session,
                desk.actor(),
                desk.campaign_id,
                version_id=None,
                selection=Selection(["e0", "e1"]),
                decision=Decision.ACCEPT,
                reason="x",
                now=NOW,
            )
        # Even where somebody goes on and commits.
        session.commit()
    assert desk.jobs(review)["e1"].decision is None


def test_decisions_need_the_scope_and_the_tenant(desk: Desk, review: UUID, stranger: Desk) -> None:
    for who, scope, error in (
        (desk, Scope.CAMPAIGN_SEND, AccessDenied),
        (stranger, Scope.CAMPAIGN_APPROVE, NotFound),
    ):
        with desk.sessions() as session, pytest.raises(error):
            decide(
                session,
                who.actor(scope),
                desk.campaign_id,
                version_id=None,
                selection=Selection(),
                decision=Decision.ACCEPT,
                reason="x",
                now=NOW,
            )
    with pytest.raises(NotFound):
        reviews(stranger)


def test_two_who_decide_at_once_both_count(desk: Desk, review: UUID) -> None:
    threads = [
        threading.Thread(target=say, args=(desk, decision, [name]))
        for name, decision in (("e0", Decision.ACCEPT), ("e1", Decision.EXCLUDE))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = desk.jobs(review)
    assert found["e0"].decision is Decision.ACCEPT
    assert found["e1"].decision is Decision.EXCLUDE
    assert sorted(entry.sequence for entry in desk.audit()) == [1, 2]


# -- messages that were queued


@pytest.fixture
def sending(desk: Desk, new_job: Make) -> UUID:
    """One entry in every send status, named after it."""
    version_id = desk.add_version(
        *(new_job(n, entry_id=status.value) for n, status in enumerate(SendStatus)), config=COPIES
    )
    for status in SendStatus:
        desk.change(
            version_id,
            [status.value],
            send_status=status,
            attempt_count=5,
            last_code=451,
            last_reply="no",
            last_error="lost",
            due_at=NOW,
            queued_at=NOW,
        )
    desk.change(version_id, ["claimed"], worker="w", lease_until=LATER)
    return version_id


@pytest.mark.parametrize(("event", "name"), [(Event.RETRY, "failed"), (Event.RESEND, "in_doubt")])
def test_again_means_at_once_and_with_all_tries(
    desk: Desk, sending: UUID, event: Event, name: str
) -> None:
    settled = settle(desk, event, [name])
    assert settled.entries == (name,)
    job = desk.jobs(sending)[name]
    assert job.send_status is SendStatus.QUEUED
    assert (job.due_at, job.queued_at, job.attempt_count) == (LATER, LATER, 0)
    assert (job.last_code, job.last_reply, job.last_error) == (None, None, None)
    assert desk.version(sending).workflow_state is WorkflowState.QUEUED
    (entry,) = desk.audit()
    assert entry.action == f"job.{event.value}"
    assert entry.details["entries"] == [name]
    assert entry.details["reason"] == "asked them"


@pytest.mark.parametrize(
    ("config", "imap"), [(COPIES, ImapStatus.PENDING), (CONFIG, ImapStatus.NOT_REQUESTED)]
)
def test_taken_as_sent(desk: Desk, new_job: Make, config: Any, imap: ImapStatus) -> None:
    version_id = desk.add_version(new_job(0), new_job(1), config=config)
    desk.change(version_id, ["e0"], send_status=SendStatus.IN_DOUBT, due_at=NOW)
    settle(desk, Event.ASSUME_SENT, ["e0"])
    job = desk.jobs(version_id)["e0"]
    assert job.send_status is SendStatus.SENT
    assert (job.sent_at, job.imap_status, job.due_at) == (LATER, imap, None)
    assert job.last_error == "Taken as sent by Ada: asked them"
    assert [entry.action for entry in desk.audit()] == ["job.assume_sent"]


def test_cancelling_everything_takes_what_has_not_left(desk: Desk, sending: UUID) -> None:
    settled = settle(desk, Event.CANCEL)
    assert settled.entries == ("queued", "claimed", "deferred")
    found = desk.jobs(sending)
    for name in settled.entries:
        assert found[name].send_status is SendStatus.CANCELLED
        assert (found[name].worker, found[name].lease_until, found[name].due_at) == (None,) * 3
    assert found["committing"].send_status is SendStatus.COMMITTING
    # One is on its way still, so the version is not done.
    assert desk.version(sending).workflow_state is WorkflowState.QUEUED


@pytest.mark.parametrize(
    ("sent", "state"), [(True, WorkflowState.COMPLETED), (False, WorkflowState.CANCELLED)]
)
def test_cancelling_the_last_one_ends_the_version(
    desk: Desk, new_job: Make, sent: bool, state: WorkflowState
) -> None:
    version_id = desk.add_version(new_job(0), new_job(1))
    desk.change(version_id, ["e0"], send_status=SendStatus.QUEUED)
    if sent:
        desk.change(version_id, ["e1"], send_status=SendStatus.SENT)
    settle(desk, Event.CANCEL, ["e0"])
    assert desk.version(version_id).workflow_state is state


def test_a_move_is_for_all_named_or_for_none(desk: Desk, sending: UUID) -> None:
    with pytest.raises(Refused) as refused:
        settle(desk, Event.RETRY, ["failed", "in_doubt", "sent", "nobody"])
    assert set(refused.value.refused) == {"in_doubt", "sent", "nobody"}
    assert "in_doubt (it is in doubt; possible now: assume_sent, resend)" in str(refused.value)
    assert desk.jobs(sending)["failed"].send_status is SendStatus.FAILED
    assert desk.audit() == []


def test_what_another_version_sent_is_not_tried_again(desk: Desk, new_job: Make) -> None:
    first = desk.add_version(new_job(0), new_job(1))
    desk.change(first, ["e0"], send_status=SendStatus.SENT)
    second = desk.add_version(new_job(0), new_job(1))
    desk.change(second, ["e0", "e1"], send_status=SendStatus.FAILED)
    with pytest.raises(Refused, match="another version"):
        settle(desk, Event.RETRY, ["e0", "e1"])
    settled = settle(desk, Event.RETRY)
    assert settled.entries == ("e1",)
    assert set(settled.left) == {"e0"}
    assert desk.jobs(second)["e0"].send_status is SendStatus.FAILED


@pytest.mark.parametrize("named", [True, False])
def test_a_faster_sender_wins(
    desk: Desk, new_job: Make, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    version_id = desk.add_version(new_job(0), new_job(1))
    desk.change(version_id, ["e0", "e1"], send_status=SendStatus.CLAIMED)
    for look in ("standing_of", "standing_for"):
        original = getattr(decisions, look)

        def look_then_commit(session: Session, *rest: Any, original: Any = original) -> Any:
            found = original(session, *rest)
            decisions.move(session, desk.tenant_id, [found["e0"][0]], Event.COMMIT, {})
            return found

        monkeypatch.setattr(decisions, look, look_then_commit)
    if named:
        with pytest.raises(Refused, match="the sender was faster"):
            settle(desk, Event.CANCEL, ["e0", "e1"])
        assert desk.jobs(version_id)["e1"].send_status is SendStatus.CLAIMED
    else:
        settled = settle(desk, Event.CANCEL)
        assert settled.entries == ("e1",)
        assert settled.left == {"e0": "the sender was faster; look again"}


def test_many_are_settled_at_once(desk: Desk, new_job: Make) -> None:
    version_id = desk.add_version(*(new_job(n) for n in range(1100)))
    names = [f"e{n}" for n in range(1100)]
    desk.change(version_id, names, send_status=SendStatus.FAILED)
    assert settle(desk, Event.RETRY, names).entries == tuple(names)
    assert {job.send_status for job in desk.jobs(version_id).values()} == {SendStatus.QUEUED}


@pytest.mark.parametrize("event", [Event.QUEUE, Event.ACCEPTED, Event.CLAIM])
def test_what_the_engine_does_nobody_does_by_hand(desk: Desk, sending: UUID, event: Event) -> None:
    with pytest.raises(MailerError, match="by hand"):
        settle(desk, event, ["queued"])


def test_a_move_needs_a_reason_and_the_scope(desk: Desk, sending: UUID) -> None:
    with pytest.raises(MailerError, match="needs a reason"):
        settle(desk, Event.CANCEL, ["queued"], reason=" ")
    with desk.sessions() as session, pytest.raises(AccessDenied):
        resolve(
            session,
            desk.actor(Scope.CAMPAIGN_APPROVE),
            desk.campaign_id,
            version_id=None,
            selection=Selection(["queued"]),
            event=Event.CANCEL,
            reason="x",
            now=NOW,
            box=BOX,
        )
