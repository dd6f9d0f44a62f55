from __future__ import annotations

from typing import Any

import pytest

from app.mailer.domain.entries.entry import Entry
from app.mailer.domain.issues import EntryState, Severity
from app.mailer.domain.letters.check import check_letter
from app.mailer.domain.letters.letter import Letter

from .making import checked, compiled

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


@pytest.mark.parametrize(
    ("entry", "parts", "left"),
    [
        ({"to": []}, {"bcc": ["archive@example.org"]}, True),
        ({"to": []}, {"cc": ["boss@example.org"]}, True),
        ({}, {"bcc": ["archive@example.org"]}, True),
        ({"to": [], "cc": ["eve@example.org"]}, {"bcc": ["archive@example.org"]}, False),
        ({"to": [], "bcc": ["eve@example.org"]}, {}, False),
        ({}, {"to": ["all@example.org"]}, False),
    ],
)
def test_a_copy_for_everybody_is_no_recipient(
    entry: dict[str, Any], parts: dict[str, Any], left: bool
) -> None:
    """An empty address cell must not turn a letter into a copy for the archive alone."""
    (letter,) = checked(entry, recipients={"from": "office@example.org", **parts})
    assert [code for code, _ in told(letter)] == (["no-recipient"] if left else [])
    if left:
        assert letter.state is EntryState.BLOCKED
        assert "but the copies" in letter.issues[0].message


def test_who_has_a_wrong_address_is_not_left_out_with_those_who_have_none() -> None:
    policy = {"missing_recipient": "exclude"}
    wrong, empty, broken = checked(
        {"to": ["ada@@example.org"]},
        {"to": []},
        {"to": ["a\nb <a@example.org>"]},
        validation_policy=policy,
    )
    assert wrong.state is broken.state is EntryState.BLOCKED
    assert empty.state is EntryState.EXCLUDED
    (ignored,) = checked({"to": ["x"]}, validation_policy={**policy, "invalid_recipient": "ignore"})
    assert ignored.state is EntryState.EXCLUDED


def test_what_cannot_be_read_is_not_left_out_with_what_is_empty() -> None:
    wrong, empty = checked(
        {**ADA, "values": {"size": "x"}},
        ADA,
        fields=FIELDS,
        template={"subject": "x", "text": "${size}"},
        validation_policy={"missing_value": "exclude"},
    )
    assert (wrong.state, told(wrong)[0][0]) == (EntryState.BLOCKED, "bad-cell")
    assert len(wrong.issues) == 1
    assert empty.state is EntryState.EXCLUDED


def test_an_empty_cell_of_a_group_is_told_with_how_many_there_are() -> None:
    campaign = compiled(
        fields=FIELDS,
        template={
            "engine": "jinja2",
            "subject": "x",
            "text": "{% for row in rows %}{{ row.name }}{% endfor %}",
        },
    )
    rows = ({"name": "Ada"}, {"name": ""}, {"name": "Eve"})
    entry = Entry("a", "people.csv:2", to=("a@b.org",), values=rows[0], rows=rows)
    (issue,) = check_letter(campaign, entry).issues
    assert issue.code == "missing-value"
    assert "“name” has no value in 1 of the group's 3 rows, and the text uses it" in issue.message


@pytest.mark.parametrize(
    ("parts", "own", "pointer"),
    [
        ({"template": {"subject": "x", "text": " \n"}}, {}, "/template/text"),
        (
            {
                "template": {
                    "engine": "jinja2",
                    "subject": "{% if local.name %}{% endif %}",
                    "text": "x",
                }
            },
            {},
            "/template/subject",
        ),
        ({}, {"subject": ""}, "/entries/inline/0/subject"),
    ],
)
def test_a_text_that_comes_out_empty_blocks(
    parts: dict[str, Any], own: dict[str, Any], pointer: str
) -> None:
    (letter,) = checked({**ADA, **own}, fields=FIELDS, **parts)
    assert told(letter) == [("bad-template", pointer)]
    assert "comes out empty" in letter.issues[0].message


def test_a_text_that_is_empty_for_want_of_a_value_is_the_values_fault() -> None:
    template = {"subject": "x", "text": "${name}"}
    (letter,) = checked(ADA, fields=FIELDS, template=template)
    assert [code for code, _ in told(letter)] == ["missing-value"]
    (letter,) = checked(
        ADA, fields=FIELDS, template=template, validation_policy={"missing_value": "ignore"}
    )
    assert letter.issues == []


def test_a_stray_placeholder_in_what_an_entry_brings() -> None:
    (letter,) = checked(
        {
            "id": "a",
            "to": ["ada@example.org"],
            "subject": "Dear «Name»",
            "values": {"name": "Ada"},
        },
        fields=FIELDS,
    )
    assert told(letter) == [("stray-placeholder", "/entries/inline/0/subject")]
