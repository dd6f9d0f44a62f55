"""The example campaign: what it shows, and that its files are what `make_example.py` makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.mailer.adapters.campaign_files import DiskCampaignFiles
from app.mailer.adapters.pdf_text import pdf_text
from app.mailer.domain.issues import EntryState
from app.mailer.domain.letters.letter import Letter
from app.mailer.services.prepare import Prepared, prepare, read_campaign

_ROOT = Path(__file__).parents[3]
_EXAMPLES = _ROOT / "server/app/mailer/examples"
_BY_HAND = {"campaign.json", "letter/letter.txt", "letter/letter.html", ".gitattributes"}

#: Each member: the state, and the codes of what was found.
_EXPECTED = {
    "0007": ("ready", []),
    "0012": ("ready", []),
    "0023": ("ready", []),
    "0038": ("ready", []),
    "0041": ("ready", []),
    "0056": ("warning", ["shared-copy"]),
    "0061": ("needs_review", ["ambiguous-attachment"]),
    "0074": ("needs_review", ["duplicate-recipient"]),
    "0075": ("needs_review", ["duplicate-recipient"]),
    "0088": ("blocked", ["unexpected-content"]),
    "0093": ("excluded", ["missing-attachment"]),
    "0104": ("inactive", []),
}


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    path = _EXAMPLES / "campaign.json"
    return prepare(
        read_campaign(path.read_bytes()),
        DiskCampaignFiles(_EXAMPLES, path),
        pdf_text=pdf_text,
        progress=lambda _phase, _done, _total: None,
    )


@pytest.fixture(scope="module")
def letters(prepared: Prepared) -> dict[str, Letter]:
    return {letter.id: letter for letter in prepared.letters}


def test_each_member_is_in_the_state_that_the_example_is_to_show(prepared: Prepared) -> None:
    found = {
        letter.id: (letter.state.value, [issue.code for issue in letter.issues])
        for letter in prepared.letters
    }
    assert found == _EXPECTED
    assert list(found) == list(_EXPECTED)  # in the order of the table


def test_all_six_states_occur(prepared: Prepared) -> None:
    assert prepared.summary() == {
        "inactive": 1,
        "excluded": 1,
        "blocked": 1,
        "needs_review": 3,
        "warning": 1,
        "ready": 5,
    }
    assert set(prepared.summary()) == {state.value for state in EntryState}


def test_the_only_issue_of_the_campaign_is_the_file_that_nobody_takes(prepared: Prepared) -> None:
    assert [(issue.code, issue.severity.value) for issue in prepared.issues] == [
        ("unclaimed-file", "warn")
    ]
    assert "0140_Neumann_Paul.pdf" in prepared.issues[0].message


def test_both_statements_of_the_ambiguous_member_are_shown_to_the_reviewer(
    letters: dict[str, Letter],
) -> None:
    assert [chosen.file.path for chosen in letters["0061"].files] == [
        "statements/2026/0061_Grünwald_Ute.pdf",
        "statements/2026/0061_Grünwald_Ute_neu.pdf",
        "Satzung.pdf",
    ]


def test_the_wrong_name_inside_a_statement_is_named(letters: dict[str, Letter]) -> None:
    (issue,) = letters["0088"].issues
    assert "0088_Vogel_Martin.pdf" in issue.message
    assert '"Martin Vogel"' in issue.message


def test_everyone_else_gets_their_own_statement_and_the_statutes(
    letters: dict[str, Letter],
) -> None:
    for number, letter in letters.items():
        if letter.state is EntryState.READY:
            own, statutes = (chosen.file.path for chosen in letter.files)
            assert own.startswith(f"statements/2026/{number}_")
            assert statutes == "Satzung.pdf"


def test_names_and_domains_may_be_of_any_language(letters: dict[str, Letter]) -> None:
    assert letters["0023"].entry.values["first_name"] == "Þóra"
    assert letters["0038"].wanted.to[0].address == "claudia@xn--khler-jua.example.org"


def test_some_want_an_encrypted_archive(letters: dict[str, Letter]) -> None:
    passwords = {
        number: letter.entry.values["zip_password"]
        for number, letter in letters.items()
        if letter.entry.values["encrypted"] == "ja"
    }
    assert set(passwords) == {"0012", "0023", "0041"}
    assert len(set(passwords.values())) == 3
    assert all(password.isascii() and len(password) > 12 for password in passwords.values())


def test_the_table_is_what_german_excel_writes() -> None:
    data = (_EXAMPLES / "members.csv").read_bytes()
    text = data.decode("cp1252")
    with pytest.raises(UnicodeDecodeError):
        data.decode("utf-8")
    lines = text.split("\r\n")
    assert lines[0].startswith("Mitgliedsnr.;Anrede;Vorname;Nachname;E-Mail;Anschrift;")
    assert lines[-1] == ""
    assert len(lines) == 1 + 12 + 1  # header, members, and the end of the last line
    assert lines[1].startswith("0007;")
    assert '"Lindenallee 4\n04177 Leipzig"' in lines[1]
    assert "\r" not in "".join(lines)


def test_the_script_makes_the_committed_files_byte_for_byte(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, _ROOT / "scripts/make_example.py", tmp_path], check=True, timeout=60
    )
    made = _contents(tmp_path)
    committed = _contents(_EXAMPLES)
    assert set(committed) - set(made) == _BY_HAND
    for path, data in made.items():
        assert committed.get(path) == data, path


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
