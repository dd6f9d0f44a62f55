"""Which files each letter gets, and the checks for the wrong letter in the wrong envelope."""

from __future__ import annotations

import os
from typing import Any

import pytest

from app.mailer.domain.issues import EntryState
from app.mailer.domain.letters.letter import Letter
from app.mailer.services.prepare import Prepared
from tests.integration.services.pipeline.desk import Desk, codes, document, entry, tiny_pdf


def campaign(*rules: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Three members with a number each; `rules` are for all."""
    return document(
        fields=[{"name": "number"}],
        attachments={"base_path": "files", "global": list(rules)},
        **{
            "entries": {
                "inline": [entry(n, values={"number": number}) for n, number in enumerate(NUMBERS)]
            },
            **parts,
        },
    )


NUMBERS = ("0042", "0043", "0421")
CARD = {"label": "Card", "file_filter": "${number}_*.pdf"}


def paths(letter: Letter) -> list[str]:
    return [chosen.file.path for chosen in letter.files]


def states(prepared: Prepared) -> list[str]:
    return [letter.state.value for letter in prepared.letters]


def test_each_gets_their_own(desk: Desk) -> None:
    for number in NUMBERS:
        desk.put(f"files/{number}_card.pdf")
    desk.put("files/terms.pdf")
    prepared = desk.prepare(campaign(CARD, {"file_filter": "terms.pdf"}))
    assert states(prepared) == ["ready"] * 3
    assert not prepared.issues
    for number, letter in zip(NUMBERS, prepared.letters, strict=True):
        assert paths(letter) == [f"{number}_card.pdf", "terms.pdf"]


def test_missing_ambiguous_unclaimed(desk: Desk) -> None:
    desk.put("files/0042_card.pdf")
    desk.put("files/0043_card.pdf")
    desk.put("files/0043_old.pdf")
    desk.put("files/9999_card.pdf")
    prepared = desk.prepare(campaign(CARD))
    assert states(prepared) == ["ready", "needs_review", "blocked"]
    _, ambiguous, missing = prepared.letters
    assert paths(ambiguous) == ["0043_card.pdf", "0043_old.pdf"]
    assert codes(missing.issues) == ["missing-attachment"]
    assert '"0421_*.pdf"' in missing.issues[0].message
    (issue,) = prepared.issues
    assert (issue.code, issue.entry) == ("unclaimed-file", None)
    assert '"9999_card.pdf"' in issue.message


@pytest.mark.parametrize(
    ("on_ambiguous", "state", "files"),
    [
        ("block", "blocked", []),
        ("review", "needs_review", ["0042_a.pdf", "0042_b.pdf"]),
        ("warn", "warning", []),
        ("all", "ready", ["0042_a.pdf", "0042_b.pdf"]),
        ("newest", "ready", ["0042_a.pdf"]),
    ],
)
def test_what_a_rule_says_of_several(
    desk: Desk, on_ambiguous: str, state: str, files: list[str]
) -> None:
    os.utime(desk.put("files/0042_a.pdf"), (2_000, 2_000))
    os.utime(desk.put("files/0042_b.pdf"), (1_000, 1_000))
    made = campaign({**CARD, "on_ambiguous": on_ambiguous})
    made["entries"]["inline"] = made["entries"]["inline"][:1]
    made["validation_policy"] = {"ambiguous_attachment": "exclude"}
    prepared = desk.prepare(made)
    assert states(prepared) == [state]
    if state != "blocked":
        assert paths(prepared.letters[0]) == files
    # What was looked at is not forgotten, even where nothing was attached.
    if on_ambiguous != "newest":
        assert not prepared.issues


@pytest.mark.parametrize("on_missing", ["block", "review", "warn", "ignore", "exclude"])
@pytest.mark.parametrize("required", [True, False])
def test_what_a_rule_says_of_none(desk: Desk, on_missing: str, required: bool) -> None:
    (desk.folder / "files").mkdir()
    made = campaign({**CARD, "on_missing": on_missing, "required": required})
    expected = {
        "block": "blocked",
        "review": "needs_review",
        "warn": "warning",
        "ignore": "ready",
        "exclude": "excluded",
    }
    assert states(desk.prepare(made)) == [expected[on_missing]] * 3


def test_a_file_that_two_take_as_their_own_is_told_on_both(desk: Desk) -> None:
    desk.put("files/card.pdf")
    made = campaign({"file_filter": "${number}.pdf"})
    for number, value in enumerate(("card", "card", "other")):
        made["entries"]["inline"][number]["values"]["number"] = value
    desk.put("files/other.pdf")
    prepared = desk.prepare(made)
    assert states(prepared) == ["needs_review", "needs_review", "ready"]
    assert '"e1"' in prepared.letters[0].issues[0].message
    assert '"e0"' in prepared.letters[1].issues[0].message


def test_a_file_of_a_rule_for_all_is_no_mix_up_but_an_entrys_own_rule_makes_it_one(
    desk: Desk,
) -> None:
    desk.put("files/terms.pdf")
    made = campaign({"file_filter": "terms.pdf"})
    assert states(desk.prepare(made)) == ["ready"] * 3
    made["attachments"]["global"] = []
    for each in made["entries"]["inline"][:2]:
        each["attachments"] = [{"file_filter": "terms.pdf"}]
    assert states(desk.prepare(made)) == ["needs_review", "needs_review", "ready"]


def test_an_inactive_entrys_files_are_not_forgotten_ones(desk: Desk) -> None:
    for number in NUMBERS:
        desk.put(f"files/{number}_card.pdf")
    made = campaign(CARD)
    made["entries"]["inline"][0]["active"] = False
    made["entries"]["inline"][0]["values"] = {"number": "0042"}
    prepared = desk.prepare(made)
    assert states(prepared) == ["inactive", "ready", "ready"]
    assert not prepared.issues
    assert not prepared.letters[0].issues


def test_files_that_the_campaign_uses_otherwise_are_not_forgotten(desk: Desk) -> None:
    desk.put("people.csv", "id;to;number\na;a@b.org;1\n")
    desk.put("letter.txt", "Hi")
    desk.put("img/logo.png")
    desk.put("1_card.pdf")
    made = campaign(CARD, entries={"source": {"path": "./people.csv"}})
    made["template"] = {
        "subject": "x",
        "text": {"path": "img/../letter.txt"},
        "html": '<img src="cid:logo">',
        "inline_images": [{"cid": "logo", "path": "img/logo.png"}],
    }
    made["attachments"]["base_path"] = "."
    assert not desk.prepare(made).issues


# ---------------------------------------------------------------- expected text


def test_the_wrong_letter_in_the_right_file(desk: Desk) -> None:
    desk.put("files/0042_card.pdf", tiny_pdf(["Member no. 0042"]))
    desk.put("files/0043_card.pdf", tiny_pdf(["Member no. 0042"]))
    desk.put("files/0421_card.pdf", tiny_pdf(["Member no. 10421"]))
    prepared = desk.prepare(campaign({**CARD, "expect_text": ["${number}"]}))
    assert states(prepared) == ["ready", "blocked", "blocked"]
    issue = prepared.letters[1].issues[0]
    assert issue.code == "unexpected-content"
    assert '"0043_card.pdf" lacks its expected text "0043"' in issue.message


def test_a_pdf_that_is_none_is_unexpected_and_other_files_are_not_looked_into(desk: Desk) -> None:
    desk.put("files/0042_card.pdf", b"<html>not found</html>")
    desk.put("files/0043_card.PDF", tiny_pdf(["0043"]))
    desk.put("files/0421_card.txt", b"x")
    made = campaign({**CARD, "file_filter": "${number}_*", "expect_text": ["${number}"]})
    prepared = desk.prepare(made)
    assert states(prepared) == ["blocked", "ready", "ready"]
    assert "not a PDF" in prepared.letters[0].issues[0].message


def test_an_empty_expected_value_is_never_found(desk: Desk) -> None:
    desk.put("files/card.pdf", tiny_pdf(["Hello"]))
    made = campaign({"file_filter": "card.pdf", "expect_text": ["${number}"]})
    made["validation_policy"] = {"missing_value": "ignore"}
    made["entries"]["inline"] = [entry(values={"number": ""})]
    (letter,) = desk.prepare(made).letters
    assert codes(letter.issues) == ["unexpected-content"]


def test_a_rule_for_all_reads_its_file_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put("files/terms.pdf", tiny_pdf(["Terms of 2026"]))
    read = []

    def text(data: bytes) -> str:
        read.append(data)
        return "Terms of 2026"

    made = campaign({"file_filter": "terms.pdf", "expect_text": ["Terms of 2026"]})
    assert states(desk.prepare(made, pdf_text=text)) == ["ready"] * 3
    assert len(read) == 1


# ---------------------------------------------------------------- own rules


def test_an_entrys_own_rule_with_a_placeholder_and_a_name(desk: Desk) -> None:
    desk.put("files/extra/0042.pdf")
    made = campaign()
    made["entries"]["inline"][0]["attachments"] = [
        {"base_dir": "extra", "file_filter": "${number}.pdf", "filename": "Extra ${number}"}
    ]
    letter = desk.prepare(made).letters[0]
    (chosen,) = letter.files
    assert (chosen.file.path, chosen.filename) == ("extra/0042.pdf", "Extra 0042.pdf")


def test_faults_in_an_entrys_own_rule_are_its_own(desk: Desk) -> None:
    (desk.folder / "files").mkdir()
    made = campaign()
    made["entries"]["inline"][0]["attachments"] = [
        {"file_filter": "${nubmer}.pdf"},
        {"file_filter": "../x.pdf"},
    ]
    prepared = desk.prepare(made)
    assert [(each.code, each.pointer, each.entry) for each in prepared.letters[0].issues] == [
        ("unknown-placeholder", "/entries/inline/0/attachments/0/file_filter", "e0"),
        ("path-outside-base", "/entries/inline/0/attachments/1", "e0"),
    ]
    assert prepared.letters[1].state is EntryState.READY


def test_names_match_however_the_umlaut_is_spelled(desk: Desk) -> None:
    desk.put("files/Mu\u0308ller_card.pdf")  # as a Mac writes it
    made = campaign(CARD)
    made["entries"]["inline"] = [entry(values={"number": "M\u00fcller"})]
    (letter,) = desk.prepare(made).letters
    assert letter.state is EntryState.READY


def test_without_rules_no_folder_is_needed(desk: Desk) -> None:
    prepared = desk.prepare(campaign())
    assert prepared.tree is None
    assert states(prepared) == ["ready"] * 3


@pytest.mark.parametrize("value", [".", "/", "./", "//", "/./"])
@pytest.mark.parametrize(
    "rule",
    [
        {"base_dir": "people/${number}", "file_filter": "*.pdf"},
        {"base_dir": "people", "file_filter": "${number}/*.pdf"},
        {"file_filter": "people/${number}*.pdf"},
    ],
)
def test_a_value_that_adds_nothing_to_a_path_never_opens_the_folder_of_all(
    desk: Desk, rule: dict[str, Any], value: str
) -> None:
    desk.put("files/people/a.pdf")
    made = campaign(
        {**rule, "allow_multiple": True}, entries={"inline": [entry(values={"number": value})]}
    )
    (letter,) = desk.prepare(made).letters
    assert not letter.files
    assert codes(letter.issues) == ["path-outside-base"]


def test_everybody_getting_the_same_files_is_told(desk: Desk) -> None:
    for number in range(7):
        desk.put(f"files/{number}.pdf")
    rule = {"label": "Card", "file_filter": "*.pdf", "allow_multiple": True}
    (issue,) = desk.prepare(campaign(rule)).issues
    assert (issue.code, issue.pointer) == ("same-files", "/attachments/global/0")
    assert 'Rule "Card": 3 entries get the same 7 files: "0.pdf"' in issue.message
    assert '"4.pdf", …' in issue.message
    alone = {"inline": [entry(values={"number": "1"})]}
    assert not desk.prepare(campaign(rule, entries=alone)).issues
