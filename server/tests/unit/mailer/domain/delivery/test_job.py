"""Every row of the table, everything that is not in it, and random walks through it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.mailer.domain.delivery.job import (
    MEANING,
    MOVES,
    OPEN,
    REACHED,
    SETTLED,
    Cause,
    Decision,
    Event,
    Move,
    SendStatus,
    allowed_events,
    mermaid,
    move,
    queueable,
    sources_of,
    target_of,
)
from app.mailer.domain.errors import IllegalMove
from app.mailer.domain.issues import EntryState

S, E = SendStatus, Event

#: Said again here by hand, so that a row changed by mistake is noticed.
EXPECTED = {
    (S.UNQUEUED, E.QUEUE): S.QUEUED,
    (S.CANCELLED, E.QUEUE): S.QUEUED,
    (S.QUEUED, E.CLAIM): S.CLAIMED,
    (S.DEFERRED, E.CLAIM): S.CLAIMED,
    (S.CLAIMED, E.RELEASE): S.QUEUED,
    (S.CLAIMED, E.EXPIRE_CLAIM): S.QUEUED,
    (S.CLAIMED, E.COMMIT): S.COMMITTING,
    (S.CLAIMED, E.REJECTED): S.FAILED,
    (S.CLAIMED, E.DEFERRED): S.DEFERRED,
    (S.CLAIMED, E.GIVE_UP): S.FAILED,
    (S.CLAIMED, E.CHANGED): S.FAILED,
    (S.COMMITTING, E.ACCEPTED): S.SENT,
    (S.COMMITTING, E.REJECTED): S.FAILED,
    (S.COMMITTING, E.DEFERRED): S.DEFERRED,
    (S.COMMITTING, E.GIVE_UP): S.FAILED,
    (S.COMMITTING, E.LOSE): S.IN_DOUBT,
    (S.IN_DOUBT, E.FIND_EVIDENCE): S.SENT,
    (S.IN_DOUBT, E.FIND_REFUSAL): S.FAILED,
    (S.DEFERRED, E.GIVE_UP): S.FAILED,
    (S.QUEUED, E.CANCEL): S.CANCELLED,
    (S.CLAIMED, E.CANCEL): S.CANCELLED,
    (S.DEFERRED, E.CANCEL): S.CANCELLED,
    (S.FAILED, E.RETRY): S.QUEUED,
    (S.IN_DOUBT, E.ASSUME_SENT): S.SENT,
    (S.IN_DOUBT, E.RESEND): S.QUEUED,
    (S.COMMITTING, E.NO_DOT): S.QUEUED,
    (S.IN_DOUBT, E.NO_DOT): S.QUEUED,
}


def test_the_table_is_the_intended_one_without_twins() -> None:
    assert {(row.source, row.event): row.target for row in MOVES} == EXPECTED
    assert len(MOVES) == len(EXPECTED)


@pytest.mark.parametrize("row", MOVES, ids=lambda row: f"{row.source}-{row.event}")
def test_each_row_moves(row: Move) -> None:
    assert move(row.source, row.event) is row.target
    assert row.source in sources_of(row.event)
    assert target_of(row.event) is row.target
    assert row.event in allowed_events(row.source, row.cause)


@pytest.mark.parametrize(
    ("source", "event"),
    [pair for pair in itertools.product(S, E) if pair not in EXPECTED],
)
def test_everything_else_is_illegal_and_says_what_is_legal(
    source: SendStatus, event: Event
) -> None:
    with pytest.raises(IllegalMove) as caught:
        move(source, event)
    assert source.value in caught.value.message
    for allowed in allowed_events(source):
        assert allowed.value in caught.value.hint
    assert caught.value.hint != "Allowed now: ."


def test_only_the_engine_sends_and_only_a_person_starts_stops_or_repeats() -> None:
    by_person = {row.event for row in MOVES if row.cause is Cause.PERSON}
    assert by_person == {E.QUEUE, E.CANCEL, E.RETRY, E.ASSUME_SENT, E.RESEND}
    assert not any(row.cause is Cause.ENGINE and row.event in by_person for row in MOVES)


def test_nothing_leaves_sent() -> None:
    assert allowed_events(S.SENT) == frozenset()


def test_no_way_from_committing_back_to_the_wire_without_an_answer_or_a_person() -> None:
    """`deferred` is the server's own "not now"; of `no_dot` the journal knows that none left."""
    answered = {E.DEFERRED, E.NO_DOT}
    seen, edge = set(), {S.COMMITTING}
    while edge:
        seen |= edge
        edge = {
            row.target
            for row in MOVES
            if row.source in edge and row.cause is Cause.ENGINE and row.event not in answered
        } - seen
    assert seen.isdisjoint({S.QUEUED, S.CLAIMED, S.DEFERRED, S.UNQUEUED})


def test_each_state_has_a_meaning_and_one_kind() -> None:
    assert set(MEANING) == set(S)
    assert all(sentence.endswith(".") for sentence in MEANING.values())
    assert OPEN | SETTLED | {S.UNQUEUED} == set(S)
    assert not OPEN & SETTLED
    assert set(S) - REACHED == {S.UNQUEUED, S.FAILED, S.CANCELLED}


@pytest.mark.parametrize(
    ("build", "decision", "with_warnings", "without"),
    [
        (EntryState.READY, None, True, True),
        (EntryState.READY, Decision.ACCEPT, True, True),
        (EntryState.READY, Decision.EXCLUDE, False, False),
        (EntryState.WARNING, None, True, False),
        (EntryState.WARNING, Decision.ACCEPT, True, False),
        (EntryState.WARNING, Decision.EXCLUDE, False, False),
        (EntryState.NEEDS_REVIEW, None, False, False),
        (EntryState.NEEDS_REVIEW, Decision.ACCEPT, True, True),
        (EntryState.NEEDS_REVIEW, Decision.EXCLUDE, False, False),
        *(
            (state, decision, False, False)
            for state in (EntryState.BLOCKED, EntryState.EXCLUDED, EntryState.INACTIVE)
            for decision in (None, Decision.ACCEPT, Decision.EXCLUDE)
        ),
    ],
)
def test_the_review_gate(
    build: EntryState, decision: Decision | None, with_warnings: bool, without: bool
) -> None:
    assert queueable(build, decision) is with_warnings
    assert queueable(build, decision, include_warnings=False) is without


def test_the_diagram_has_every_row() -> None:
    lines = mermaid().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> unqueued"]
    assert "    in_doubt --> queued: resend (person)" in lines
    assert "    committing --> sent: accepted" in lines
    assert len(lines) == 2 + len(MOVES)


class Walk(RuleBasedStateMachine):
    """A job driven by random events. The history is what the promises are about."""

    def __init__(self) -> None:
        super().__init__()
        self.status = S.UNQUEUED
        self.dots_unanswered = 0

    @rule(event=st.sampled_from(E))
    def anything(self, event: Event) -> None:
        before = self.status
        if (before, event) not in EXPECTED:
            with pytest.raises(IllegalMove):
                move(before, event)
            return
        self._go(event)

    @precondition(lambda self: bool(allowed_events(self.status)))
    @rule(data=st.data())
    def something_legal(self, data: st.DataObject) -> None:
        self._go(data.draw(st.sampled_from(sorted(allowed_events(self.status)))))

    def _go(self, event: Event) -> None:
        before, self.status = self.status, move(self.status, event)
        assert before is not S.SENT
        if event is E.COMMIT:
            assert self.dots_unanswered == 0, "a second dot while the first one is unknown"
            self.dots_unanswered = 1
        elif before in (S.COMMITTING, S.IN_DOUBT) and event is not E.LOSE:
            # Answered by the server, by evidence, or by a person.
            self.dots_unanswered = 0

    @invariant()
    def an_unanswered_dot_is_visible(self) -> None:
        assert (self.dots_unanswered == 1) == (self.status in (S.COMMITTING, S.IN_DOUBT))


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
