from __future__ import annotations

from itertools import combinations

import pytest

from app.mailer.domain.issues import EntryState, Issue, Severity, state_of

#: Gravest first, as the states.
ORDER = (
    (Severity.EXCLUDE, EntryState.EXCLUDED),
    (Severity.BLOCK, EntryState.BLOCKED),
    (Severity.REVIEW, EntryState.NEEDS_REVIEW),
    (Severity.WARN, EntryState.WARNING),
    (Severity.IGNORE, EntryState.READY),
)


def issue(severity: Severity) -> Issue:
    return Issue("too-large", severity, "/entries/inline/0", "Too large.", "Less.", "e0")


def test_without_issues_an_entry_is_ready() -> None:
    assert state_of([]) is EntryState.READY


@pytest.mark.parametrize(("graver", "milder"), list(combinations(ORDER, 2)))
def test_the_gravest_issue_decides(
    graver: tuple[Severity, EntryState], milder: tuple[Severity, EntryState]
) -> None:
    for pair in ([graver[0], milder[0]], [milder[0], graver[0]]):
        assert state_of(map(issue, pair)) is graver[1]


def test_inactive_beats_everything() -> None:
    assert state_of(map(issue, Severity), active=False) is EntryState.INACTIVE


def test_the_states_stand_gravest_first() -> None:
    assert list(EntryState) == [EntryState.INACTIVE, *(state for _, state in ORDER)]


def test_as_a_program_reads_it() -> None:
    assert issue(Severity.BLOCK).with_severity(Severity.WARN).as_dict() == {
        "code": "too-large",
        "severity": "warn",
        "pointer": "/entries/inline/0",
        "entry": "e0",
        "message": "Too large.",
        "hint": "Less.",
    }
