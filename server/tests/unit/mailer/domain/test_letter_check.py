from __future__ import annotations

from typing import Any

import pytest

from app.mailer.domain.entries import Entry
from app.mailer.domain.issues import EntryState, Severity
from app.mailer.domain.letter import Letter
from app.mailer.domain.letter_check import check_letter

from .letters import checked, compiled

FIELDS = [{"name": "name"}, {"name": "size", "type": "integer"}]
ADA = {"id": "a", "to": ["ada@example.org"]}


def told(letter: Letter) -> list[tuple[str, str]]:
    return [(issue.code, issue.pointer) for issue in letter.issues]


def test_a_sound_letter() -> None:
    (letter,) = checked(ADA)
    assert letter.state is EntryState.READY
    assert letter.buildable
    assert letter.sender is not None
    assert letter.sender.display == "Office <office@example.org>"
    assert letter.envelope == ("ada@example.org",)


def test_an_inactive_entry_is_not_looked_at() -> None:
    (letter,) = checked({"active": False, "to": ["nonsense"]})
    assert (letter.state, letter.issues, letter.envelope) == (EntryState.INACTIVE, [], ())
    assert not letter.buildable


@pytest.mark.parametrize(
    ("entry", "parts", "expected"),
    [
        ({"to": ["x"]}, {}, [("invalid-recipient", "/to/0"), ("no-recipient", "")]),
        ({"to": ["a@b.org"], "cc": ["b@c.org", "x"]}, {}, [("invalid-recipient", "/cc/1")]),
        ({"to": ["a@b.org"], "reply_to": ["x"]}, {}, [("invalid-sender", "/reply_to/0")]),
        ({"to": ["a@b.org"], "from": "x"}, {}, [("invalid-sender", "/from")]),
        ({"to": ["a@b.org", "c@b.org"]}, {}, [("shared-copy", "")]),
        ({"to": ["ü@b.org"]}, {}, [("smtputf8-needed", "")]),
        ({"to": ["a\nb <a@b.org>"]}, {}, [("header-injection", "/to/0"), ("no-recipient", "")]),
        ({"to": ["${nmae}@b.org"]}, {}, [("unknown-placeholder", "/to/0"), ("no-recipient", "")]),
        ({"to": ["a@b.org"], "subject": "${"}, {}, [("bad-template", "/subject")]),
        (
            {"to": ["a@b.org"], "subject": "x\ny"},
            {},
            [("header-injection", "")],
        ),
        (
            {"to": ["a@b.org"], "values": {"size": "x", "nmae": 1}},
            {},
            [("unknown-field", "/values/nmae"), ("bad-cell", "/values/size")],
        ),
    ],
)
def test_faults_of_an_entry_and_their_places(
    entry: dict[str, Any], parts: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    (letter,) = checked(entry, fields=FIELDS, **parts)
    assert told(letter) == [(code, f"/entries/inline/0{place}") for code, place in expected]
    assert all(issue.entry == letter.id for issue in letter.issues)
    assert all(issue.message and issue.hint for issue in letter.issues)


def test_no_sender_at_all() -> None:
    (letter,) = checked(ADA, recipients={})
    assert told(letter) == [("invalid-sender", "/recipients/from")]


def test_an_entrys_own_sender_will_do() -> None:
    (letter,) = checked({**ADA, "from": "own@example.org"}, recipients={})
    assert letter.state is EntryState.READY


def test_a_fault_of_the_campaign_is_not_told_again_for_each_entry() -> None:
    (letter,) = checked(
        ADA,
        recipients={"from": "office@", "cc": ["x"]},
        template={"subject": "${x}", "text": "${"},
        delivery={"headers": {"X-A": "${x}"}},
    )
    assert told(letter) == []


def test_one_empty_value_is_told_once_with_all_its_places() -> None:
    (letter,) = checked(
        ADA,
        fields=FIELDS,
        template={"subject": "${name}", "text": "${name} ${name}", "html": "${name}"},
        delivery={"headers": {"X-A": "${name}"}},
    )
    (issue,) = letter.issues
    assert issue.message == (
        "“name” has no value, and the subject, the text, the HTML and the header X-A use it."
    )


def test_a_required_value_is_told_where_it_is_missing_and_not_again() -> None:
    (letter,) = checked(
        ADA,
        fields=[{"name": "name", "required": True}],
        template={"subject": "${name}", "text": "x"},
    )
    assert told(letter) == [("missing-value", "/entries/inline/0/values/name")]


def test_an_empty_value_in_a_mailbox_blocks_whatever_the_policy_is() -> None:
    (letter,) = checked(
        {"id": "a", "to": ["a@b.org", "${name} <c@b.org>"]},
        fields=FIELDS,
        validation_policy={"missing_value": "ignore"},
    )
    (issue,) = letter.issues
    assert (issue.code, issue.severity, issue.pointer) == (
        "missing-value",
        Severity.BLOCK,
        "/entries/inline/0/to/1",
    )


def test_what_a_line_break_comes_from_is_named() -> None:
    (letter,) = checked(
        {**ADA, "values": {"name": "x\ny"}},
        fields=FIELDS,
        template={"subject": "${name}", "text": "${name}"},
        delivery={"headers": {"X-A": "${name}"}},
    )
    assert [issue.message for issue in letter.issues] == [
        "The subject would hold a line break from the value of “name”.",
        "The header X-A would hold a line break from the value of “name”.",
    ]


def test_a_conditional_text_that_fails_for_one_entry_fails_for_it_alone() -> None:
    letters = checked(
        {**ADA, "values": {"size": 0}},
        {"id": "b", "to": ["b@example.org"], "values": {"size": 2}},
        fields=FIELDS,
        template={"engine": "jinja2", "subject": "x", "text": "{{ 10 // local.size }}"},
    )
    assert [letter.state for letter in letters] == [EntryState.BLOCKED, EntryState.READY]
    assert told(letters[0]) == [("bad-template", "/template/text")]


@pytest.mark.parametrize(("only_if", "blocked"), [(True, True), (False, False)])
def test_an_archives_empty_password_blocks_where_there_is_an_archive(
    only_if: bool, blocked: bool
) -> None:
    (letter,) = checked(
        {**ADA, "values": {"zip": only_if}},
        fields=[{"name": "zip", "type": "boolean"}, {"name": "pin", "type": "secret"}],
        attachments={"zip": {"enabled": True, "only_if": "zip", "password": "${pin}"}},
        validation_policy={"missing_value": "ignore"},
    )
    assert (letter.state is EntryState.BLOCKED) == blocked


def test_cells_of_a_table_are_values_and_no_placeholder_works_in_them() -> None:

    campaign = compiled(fields=FIELDS)
    entry = Entry("a", "people.csv:2", to=("${name}@example.org",), values={"name": "eve"})
    letter = check_letter(campaign, entry)
    assert letter.envelope == ("${name}@example.org",)
