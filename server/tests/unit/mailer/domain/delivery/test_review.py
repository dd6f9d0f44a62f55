from __future__ import annotations

import itertools

import pytest

from app.mailer.domain.delivery.job import (
    Cause,
    Decision,
    Event,
    SendStatus,
    allowed_events,
    queueable,
)
from app.mailer.domain.delivery.review import (
    PERSONS_EVENTS,
    Refused,
    Standing,
    allowed_actions,
    why_not_decided,
    why_not_moved,
    why_not_queued,
)
from app.mailer.domain.issues import EntryState


def job(
    build: EntryState = EntryState.NEEDS_REVIEW,
    send: SendStatus = SendStatus.UNQUEUED,
    decision: Decision | None = None,
    *,
    sent_elsewhere: bool = False,
) -> Standing:
    return Standing("e1", build, decision, send, sent_elsewhere)


@pytest.mark.parametrize(
    ("build", "accept", "exclude"),
    [
        (EntryState.NEEDS_REVIEW, True, True),
        (EntryState.READY, False, True),
        (EntryState.WARNING, False, True),
        (EntryState.BLOCKED, False, False),
        (EntryState.EXCLUDED, False, False),
        (EntryState.INACTIVE, False, False),
    ],
)
def test_who_may_be_accepted_or_excluded(build: EntryState, accept: bool, exclude: bool) -> None:
    assert (why_not_decided(job(build), Decision.ACCEPT) is None) is accept
    assert (why_not_decided(job(build), Decision.EXCLUDE) is None) is exclude


def test_nobody_can_make_a_blocked_entry_queueable() -> None:
    for build, before, decision in itertools.product(EntryState, (None, *Decision), Decision):
        if why_not_decided(job(build, decision=before), decision) is None:
            assert queueable(build, decision) is (decision is Decision.ACCEPT)
    assert "blocked" in str(why_not_decided(job(EntryState.BLOCKED), Decision.ACCEPT))


def test_an_exclusion_can_be_taken_back() -> None:
    excluded = job(EntryState.READY, decision=Decision.EXCLUDE)
    assert why_not_decided(excluded, Decision.ACCEPT) is None


def test_what_is_blocked_is_left_out_already() -> None:
    blocked = job(EntryState.BLOCKED)
    assert why_not_decided(blocked, Decision.EXCLUDE) == "it is blocked, so it is left out already"
    assert "nobody can accept that" in str(why_not_decided(blocked, Decision.ACCEPT))


@pytest.mark.parametrize("send", SendStatus)
def test_decisions_come_before_queueing(send: SendStatus) -> None:
    early = send in (SendStatus.UNQUEUED, SendStatus.CANCELLED)
    assert (why_not_decided(job(send=send), Decision.EXCLUDE) is None) is early


@pytest.mark.parametrize("event", PERSONS_EVENTS)
def test_moves_are_those_of_the_table(event: Event) -> None:
    for send in SendStatus:
        allowed = event in allowed_events(send, Cause.PERSON)
        assert (why_not_moved(job(send=send), event) is None) is allowed
    assert "possible now: assume_sent, resend" in str(
        why_not_moved(job(send=SendStatus.IN_DOUBT), Event.RETRY)
    )


def test_what_another_version_sent_is_not_sent_again() -> None:
    for event, send in ((Event.RETRY, SendStatus.FAILED), (Event.RESEND, SendStatus.IN_DOUBT)):
        assert "another version" in str(why_not_moved(job(send=send, sent_elsewhere=True), event))
    in_doubt = job(send=SendStatus.IN_DOUBT, sent_elsewhere=True)
    assert why_not_moved(in_doubt, Event.ASSUME_SENT) is None


def test_a_refusal_names_every_entry_with_its_reason() -> None:
    refused = Refused("accepted", {"a": "it is blocked", "b": "it is ready", "c": "it is blocked"})
    assert refused.message == (
        "Nothing was done: these entries cannot be accepted: a, c (it is blocked); b (it is ready)."
    )
    assert refused.refused == {"a": "it is blocked", "b": "it is ready", "c": "it is blocked"}


@pytest.mark.parametrize(
    ("standing", "actions"),
    [
        (job(), {Decision.ACCEPT, Decision.EXCLUDE}),
        (job(decision=Decision.ACCEPT), {Decision.EXCLUDE}),
        (job(EntryState.READY), {Decision.EXCLUDE}),
        (job(EntryState.READY, decision=Decision.EXCLUDE), {Decision.ACCEPT}),
        (job(EntryState.BLOCKED), set()),
        (job(EntryState.READY, SendStatus.QUEUED), {Event.CANCEL}),
        (job(EntryState.READY, SendStatus.FAILED), {Event.RETRY}),
        (job(EntryState.READY, SendStatus.FAILED, sent_elsewhere=True), set()),
        (job(EntryState.READY, SendStatus.IN_DOUBT), {Event.ASSUME_SENT, Event.RESEND}),
        (
            job(EntryState.READY, SendStatus.IN_DOUBT, sent_elsewhere=True),
            {Event.ASSUME_SENT},
        ),
        (job(EntryState.READY, SendStatus.COMMITTING), set()),
        (job(EntryState.READY, SendStatus.SENT), set()),
    ],
)
def test_what_can_be_done_now(standing: Standing, actions: set[Decision | Event]) -> None:
    assert set(allowed_actions(standing)) == actions


def test_what_is_offered_is_never_refused() -> None:
    for build, send, decision, elsewhere in itertools.product(
        EntryState, SendStatus, [None, *Decision], [False, True]
    ):
        standing = job(build, send, decision, sent_elsewhere=elsewhere)
        for action in allowed_actions(standing):
            why = (
                why_not_decided(standing, action)
                if isinstance(action, Decision)
                else why_not_moved(standing, action)
            )
            assert why is None


@pytest.mark.parametrize(
    ("standing", "why"),
    [
        (job(EntryState.READY), None),
        (job(EntryState.READY, SendStatus.CANCELLED), None),
        (job(EntryState.NEEDS_REVIEW, decision=Decision.ACCEPT), None),
        (job(EntryState.WARNING), "it has warnings, and those are left out"),
        (job(EntryState.NEEDS_REVIEW), "it needs a decision"),
        (job(EntryState.BLOCKED), "it is blocked"),
        (job(EntryState.EXCLUDED), "it is excluded"),
        (job(EntryState.INACTIVE), "it is inactive"),
        (job(EntryState.READY, decision=Decision.EXCLUDE), "somebody excluded it"),
        (job(EntryState.READY, SendStatus.IN_DOUBT), "it is in doubt already"),
        (job(EntryState.READY, SendStatus.QUEUED), "it is queued already"),
        (
            job(EntryState.READY, sent_elsewhere=True),
            "another version of this campaign sent it, or is sending it",
        ),
    ],
)
def test_why_a_message_is_not_queued(standing: Standing, why: str | None) -> None:
    assert why_not_queued(standing, include_warnings=False) == why


def test_what_may_be_queued_and_what_may_not_has_its_reason() -> None:
    for build, decision, strict in itertools.product(EntryState, (None, *Decision), (False, True)):
        why = why_not_queued(job(build, decision=decision), include_warnings=not strict)
        assert (why is None) == queueable(build, decision, include_warnings=not strict)
