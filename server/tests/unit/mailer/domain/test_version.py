"""The table of a version's life."""

from __future__ import annotations

import pytest

from app.mailer.domain.delivery.job import Cause
from app.mailer.domain.errors import IllegalMove
from app.mailer.domain.version import (
    MEANING,
    MOVES,
    VersionEvent,
    WorkflowState,
    allowed_events,
    mermaid,
    move,
    sources_of,
    unarchived_by,
)

S, E = WorkflowState, VersionEvent


def test_every_state_has_a_meaning_and_a_way_in() -> None:
    assert set(MEANING) == set(S)
    assert {row.target for row in MOVES} == set(S)


def test_each_move_stands_once_and_every_event_somewhere() -> None:
    assert len({(row.source, row.event) for row in MOVES}) == len(MOVES)
    assert {row.event for row in MOVES} == set(E)


@pytest.mark.parametrize("source", S)
@pytest.mark.parametrize("event", E)
def test_what_the_table_does_not_have_is_refused(source: S, event: E) -> None:
    rows = [row.target for row in MOVES if (row.source, row.event) == (source, event)]
    if rows:
        assert [move(source, event)] == rows
        assert source in sources_of(event)
        assert event in allowed_events(source)
    else:
        with pytest.raises(IllegalMove) as refused:
            move(source, event)
        assert source.value.replace("_", " ") in refused.value.message
        assert source not in sources_of(event)


def test_a_refusal_names_what_a_person_can_do() -> None:
    with pytest.raises(IllegalMove) as refused:
        move(S.ARCHIVED, E.SAVE)
    assert refused.value.hint == "Possible now: unarchive."
    with pytest.raises(IllegalMove) as refused:
        move(S.SENDING, E.BUILD)
    assert refused.value.hint == "Possible now: approve, cancel, queue, withdraw."


def test_nobody_writes_in_what_was_built() -> None:
    assert sources_of(E.SAVE) == {S.EDITING}


def test_nothing_is_built_again_once_it_was_queued() -> None:
    released = {S.QUEUED, S.SENDING, S.COMPLETED, S.CANCELLED}
    assert not sources_of(E.BUILD) & released
    assert not {row.target for row in MOVES if row.event is E.BUILD} - {S.BUILT}


def test_a_yes_ends_with_the_build_that_it_was_about() -> None:
    for event in (E.BUILD, E.WITHDRAW, E.LAPSE):
        assert move(S.APPROVED, event) is S.BUILT
    assert not any(row.target is S.APPROVED for row in MOVES if row.event is not E.APPROVE)


def test_what_waits_to_be_sent_is_not_put_away() -> None:
    assert sources_of(E.ARCHIVE) == set(S) - {S.QUEUED, S.SENDING, S.ARCHIVED}
    assert {event.value.partition("_")[0] for event in allowed_events(S.ARCHIVED)} == {"unarchive"}


@pytest.mark.parametrize(
    ("built", "queued", "all_cancelled", "state"),
    [
        (False, False, True, S.EDITING),
        (True, False, True, S.BUILT),
        (True, True, False, S.COMPLETED),
        (True, True, True, S.CANCELLED),
    ],
)
def test_where_a_version_goes_from_the_archive(
    built: bool, queued: bool, all_cancelled: bool, state: S
) -> None:
    event = unarchived_by(built=built, queued=queued, all_cancelled=all_cancelled)
    assert move(S.ARCHIVED, event) is state


def test_the_engine_alone_sends() -> None:
    for event in (E.SEND, E.COMPLETE):
        assert {row.cause for row in MOVES if row.event is event} == {Cause.ENGINE}
    assert E.SEND not in allowed_events(S.QUEUED, Cause.PERSON)


def test_the_picture_has_every_move_to_another_state() -> None:
    lines = mermaid().splitlines()
    assert len(lines) == 2 + sum(row.source is not row.target for row in MOVES)
    assert "    approved --> built: lapse" in lines
    assert "    editing --> under_review: publish (person)" in lines
