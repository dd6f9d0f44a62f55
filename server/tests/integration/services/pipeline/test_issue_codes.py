"""Every issue code, caused by a campaign that has little else wrong with it."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl
import pytest

import app
from app.mailer.domain.campaign.shape import read_shape
from app.mailer.domain.codes import CODES, POLICY_DEFAULTS
from app.mailer.domain.issues import EntryState, Issue, Severity
from tests.integration.services.pipeline.desk import Desk, document, entry, tiny_pdf

B, R, W = Severity.BLOCK, Severity.REVIEW, Severity.WARN


@dataclass
class Case:
    """What causes a code, and what its issue has to say. `between` runs after the check."""

    code: str
    campaign: dict[str, Any] | str
    pointer: str
    severity: Severity = B
    entry: str | None = None
    says: str = ""
    files: dict[str, str | bytes] = field(default_factory=dict)
    before: Callable[[Desk], object] | None = None
    between: Callable[[Desk], object] | None = None


def texts(**parts: Any) -> dict[str, Any]:
    return {"subject": "Your card", "text": "Good day.", **parts}


def one(**parts: Any) -> dict[str, Any]:
    return {"inline": [entry(**parts)]}


def rule(file_filter: str = "card.pdf", **parts: Any) -> dict[str, Any]:
    return {"global": [{"file_filter": file_filter, **parts}]}


def with_a_hidden_row(path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["to"], ["ada@example.org"], ["eve@example.org"]):
        book.active.append(row)
    book.active.row_dimensions[3].hidden = True
    book.save(path)


NAME = [{"name": "name"}]
TABLE = {"source": {"path": "people.csv"}}
TWO = {"inline": [entry(0), entry(1)]}
SMTP = {"host": "mail.example.org", "username": "u", "password": "p", "security": "plain"}

CASES = [
    Case("invalid-json", '{"version": }', "", says="Line 1, column 13"),
    Case("duplicate-key", '{"version": "1.0", "version": "1.0"}', "/version", says="“version”"),
    Case("unknown-key", document(recipents={}), "/recipents", says="“recipents”"),
    Case("missing-key", document(campaign={"id": "cards"}), "/campaign/name", says="“name”"),
    Case("wrong-type", document(fields="name"), "/fields", says="“fields” must be a list"),
    Case("invalid-value", document(version="2.0"), "/version", says="“2.0”"),
    Case(
        "missing-file",
        document(template=texts(text={"path": "letter.txt"})),
        "/template/text/path",
        says="letter.txt",
    ),
    Case(
        "missing-folder",
        document(attachments={"base_path": "files", **rule()}),
        "/attachments/base_path",
        says="files",
    ),
    Case(
        "unreadable-file",
        document(template=texts(text={"path": "letter.txt"})),
        "/template/text/path",
        says="letter.txt has 40 MB",
        before=lambda desk: os.truncate(desk.put("letter.txt"), 40_000_000),
    ),
    Case(
        "wrong-encoding",
        document(template=texts(text={"path": "letter.txt", "encoding": "ascii"})),
        "/template/text/path",
        says="letter.txt, line 2: the byte 0xFC",
        files={"letter.txt": b"Hello\nM\xfcller"},
    ),
    Case(
        "bad-source",
        document(entries=TABLE),
        "people.csv",
        says="people.csv is empty",
        files={"people.csv": ""},
    ),
    Case(
        "unseen-rows",
        document(entries={"source": {"path": "people.xlsx"}}),
        "people.xlsx:3",
        W,
        says="Rows are hidden",
        before=lambda desk: with_a_hidden_row(desk.folder / "people.xlsx"),
    ),
    Case(
        "missing-column",
        document(fields=[{"name": "number", "required": True}], entries=TABLE),
        "people.csv",
        says="“number”",
        files={"people.csv": "to\nada@example.org\n"},
    ),
    Case("no-entries", document(entries={}), "/entries", W, says="no recipients"),
    Case(
        "duplicate-id",
        document(entries={"inline": [entry(0), entry(1, id="e0")]}),
        "/entries/inline/1",
        entry="e0",
        says="“e0”",
    ),
    Case(
        "bad-cell",
        document(fields=[{"name": "n", "type": "integer"}], entries=one(values={"n": "many"})),
        "/entries/inline/0/values/n",
        entry="e0",
        says="“many”",
    ),
    Case(
        "unknown-field",
        document(fields=NAME, entries=one(values={"nmae": "Ada"})),
        "/entries/inline/0/values/nmae",
        W,
        entry="e0",
        says="“nmae”",
    ),
    Case(
        "group-conflict",
        document(
            fields=[{"name": "house"}, *NAME],
            entries={"source": {"path": "people.csv", "group_by": "house"}},
        ),
        "people.csv:3",
        entry="e0",
        says="“Ada” and “Eve”",
        files={"people.csv": "id;to;house;name\ne0;a@b.org;1;Ada\ne0;a@b.org;1;Eve\n"},
    ),
    Case(
        "unknown-placeholder",
        document(fields=NAME, template=texts(text="Dear ${nmae}")),
        "/template/text",
        says="“${nmae}”",
    ),
    Case(
        "stray-placeholder",
        document(fields=NAME, entries=one(subject="Dear {{name}}")),
        "/entries/inline/0/subject",
        entry="e0",
        says="“{{name}}”",
    ),
    Case("bad-template", document(template=texts(text="Dear ${")), "/template/text", says="“${”"),
    Case(
        "broken-image",
        document(template=texts(html='<img src="cid:logo">')),
        "/template/html",
        W,
        says="“cid:logo”",
    ),
    Case(
        "missing-value",
        document(fields=NAME, template=texts(text="Dear ${name}")),
        "/entries/inline/0",
        entry="e0",
        says="“name” has no value, and the text uses it",
    ),
    Case(
        "header-injection",
        document(
            fields=NAME,
            template=texts(subject="For ${name}"),
            entries=one(values={"name": "Ada\r\nBcc: eve@example.org"}),
        ),
        "/entries/inline/0",
        entry="e0",
        says="a line break from the value of “name”",
    ),
    Case(
        "reserved-header",
        document(delivery={"headers": {"Subject": "x"}, "imap_append_sent": {"enabled": False}}),
        "/delivery/headers/Subject",
        says="“Subject”",
    ),
    Case(
        "invalid-recipient",
        document(entries=one(to=["ada"])),
        "/entries/inline/0/to/0",
        entry="e0",
        says="“ada”",
    ),
    Case(
        "invalid-sender",
        document(entries=one(**{"from": "office@"})),
        "/entries/inline/0/from",
        entry="e0",
        says="“office@”",
    ),
    Case(
        "no-recipient",
        document(entries=one(to=[])),
        "/entries/inline/0",
        entry="e0",
        says="Nobody",
    ),
    Case(
        "smtputf8-needed",
        document(entries=one(to=["jürgen@example.org"])),
        "/entries/inline/0",
        W,
        entry="e0",
        says="jürgen@example.org",
    ),
    Case(
        "shared-copy",
        document(recipients={"from": "a@example.org", "cc": ["eve@other.example"]}),
        "/recipients/cc/0",
        W,
        says="eve@other.example is outside example.org",
    ),
    Case(
        "duplicate-recipient",
        document(entries={"inline": [entry(0), entry(1, to=["P0@example.org"])]}),
        "/entries/inline/1",
        R,
        entry="e1",
        says="“e0”",
    ),
    Case(
        "missing-attachment",
        document(attachments=rule()),
        "/attachments/global/0",
        entry="e0",
        says="card.pdf",
    ),
    Case(
        "missing-optional-attachment",
        document(attachments=rule(required=False)),
        "/attachments/global/0",
        W,
        entry="e0",
        says="card.pdf",
    ),
    Case(
        "ambiguous-attachment",
        document(attachments=rule("*.pdf")),
        "/attachments/global/0",
        R,
        entry="e0",
        says='"a.pdf", "b.pdf"',
        files={"a.pdf": "x", "b.pdf": "x"},
    ),
    Case(
        "unclaimed-file",
        document(attachments=rule("a.pdf")),
        "/attachments/base_path",
        W,
        says='"b.pdf"',
        files={"a.pdf": "x", "b.pdf": "x"},
    ),
    Case(
        "shared-file",
        document(
            fields=NAME,
            entries={"inline": [entry(n, values={"name": "card"}) for n in (0, 1)]},
            attachments=rule("${name}.pdf"),
        ),
        "/entries/inline/1",
        R,
        entry="e1",
        says='"card.pdf" is also taken by "e0"',
        files={"card.pdf": "x"},
    ),
    Case(
        "same-files",
        document(entries=TWO, attachments=rule("*.pdf", allow_multiple=True)),
        "/attachments/global/0",
        W,
        says='2 entries get the same 2 files: "a.pdf", "b.pdf"',
        files={"a.pdf": "x", "b.pdf": "x"},
    ),
    Case(
        "unexpected-content",
        document(attachments=rule(expect_text=["4711"])),
        "/attachments/global/0",
        entry="e0",
        says='"card.pdf" lacks its expected text "4711"',
        files={"card.pdf": tiny_pdf(["Number 4712"])},
    ),
    Case(
        "empty-file",
        document(attachments=rule()),
        "/attachments/global/0",
        R,
        entry="e0",
        says='"card.pdf"',
        files={"card.pdf": ""},
    ),
    Case(
        "too-large",
        document(
            attachments=rule(),
            delivery={"max_message_bytes": 5_000, "imap_append_sent": {"enabled": False}},
        ),
        "/entries/inline/0",
        entry="e0",
        says="5,000 bytes are allowed",
        files={"card.pdf": b"x" * 5_000},
    ),
    Case(
        "path-outside-base",
        document(
            fields=NAME,
            entries=one(values={"name": ".."}),
            attachments=rule(base_dir="cards/${name}"),
        ),
        "/attachments/global/0",
        entry="e0",
        says='"cards/.."',
    ),
    Case(
        "unsafe-file",
        document(attachments=rule()),
        "/attachments/global/0",
        entry="e0",
        says='"card.pdf"',
        before=lambda desk: (desk.folder / "card.pdf").symlink_to(desk.put("real.pdf")),
    ),
    Case(
        "changed-file",
        document(attachments=rule()),
        "/entries/inline/0",
        entry="e0",
        says='"card.pdf" was changed',
        files={"card.pdf": "before"},
        between=lambda desk: desk.put("card.pdf", "behind the back"),
    ),
    Case(
        "plain-password",
        document(server={"smtp": SMTP}),
        "/server/smtp/security",
        W,
        says="mail.example.org",
    ),
]


def issues_of(desk: Desk, case: Case) -> list[Issue]:
    """Everything that is found on the way from the file's text to the frozen letters."""
    for name, data in case.files.items():
        desk.put(name, data)
    if case.before is not None:
        case.before(desk)
    text = case.campaign if isinstance(case.campaign, str) else json.dumps(case.campaign)
    campaign, issues = read_shape(text)
    if campaign is None:
        return issues
    assert isinstance(case.campaign, dict)
    prepared = desk.prepare(case.campaign)
    if case.between is not None:
        case.between(desk)
    if not prepared.blocked:
        desk.build(prepared)
    return (
        issues + prepared.issues + [each for letter in prepared.letters for each in letter.issues]
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_a_code_and_what_its_issue_says(desk: Desk, case: Case) -> None:
    found = issues_of(desk, case)
    (issue,) = [each for each in found if each.code == case.code and each.pointer == case.pointer]
    assert (issue.severity, issue.entry) == (case.severity, case.entry)
    assert issue.severity is CODES[case.code].severity
    assert case.says in issue.message
    assert issue.message.rstrip()[-1] in ".:"
    assert issue.hint
    # Nothing else is wrong, but for what comes with it.
    company = {each.code for each in found} - {case.code}
    assert company <= COMPANY.get(case.code, set())


#: What cannot be wrong alone.
COMPANY = {
    "duplicate-key": {"missing-key"},
    "unsafe-file": {"unclaimed-file"},  # the file that the link leads to
    "invalid-recipient": {"no-recipient"},
}


#: What a file alone cannot be at fault for: each is caused where the database is, in another test.
OF_STORED_CAMPAIGNS = {
    "already-sent",
    "jinja-not-allowed",
    "path-outside-roots",
    "unknown-account",
    "sender-not-allowed",
    "private-host",
}


def test_every_code_has_a_case() -> None:
    assert [case.code for case in CASES] == [c for c in CODES if c not in OF_STORED_CAMPAIGNS]


MAKERS = {"Issue", "FileFault", "Problem", "add", "_add", "_fail", "_issue", "_constant"}


def test_the_program_makes_no_issue_of_another_code() -> None:
    """By its source: what is made of a literal code. Others are looked up in `CODES` anyway."""
    made = set()
    for path in Path(app.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            for argument in node.args[:2] if name in MAKERS else ():
                if (
                    isinstance(argument, ast.Constant)
                    and isinstance(argument.value, str)
                    and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", argument.value)
                ):
                    made.add(argument.value)
    assert made
    assert made <= set(CODES)


# ---------------------------------------------------------------- policies

BY_POLICY = {CODES[case.code].policy: case for case in CASES if CODES[case.code].policy}
#: These say something about no one entry.
OF_THE_CAMPAIGN = {"unclaimed_file", "shared_copy"}
STATES = {
    "block": EntryState.BLOCKED,
    "review": EntryState.NEEDS_REVIEW,
    "warn": EntryState.WARNING,
    "ignore": EntryState.READY,
    "exclude": EntryState.EXCLUDED,
}
#: A header with a line break is never let pass.
OFFERED = {"header_injection": ("block", "review", "exclude")}


def with_policy(desk: Desk, key: str, effect: str) -> tuple[list[Issue], set[EntryState]]:
    case = BY_POLICY[key]
    assert isinstance(case.campaign, dict)
    for name, data in case.files.items():
        desk.put(name, data)
    prepared = desk.prepare({**case.campaign, "validation_policy": {key: effect}})
    states = {letter.state for letter in prepared.letters if codes_of(letter.issues, case.code)}
    if effect == "ignore":
        states = {letter.state for letter in prepared.letters}
    found = prepared.issues + [each for letter in prepared.letters for each in letter.issues]
    return [each for each in found if each.code == case.code], states


def codes_of(issues: list[Issue], code: str) -> bool:
    return any(issue.code == code for issue in issues)


def test_every_policy_has_a_case() -> None:
    stored = {CODES[code].policy for code in OF_STORED_CAMPAIGNS} - {None}
    assert set(BY_POLICY) == set(POLICY_DEFAULTS) - stored


@pytest.mark.parametrize(
    ("key", "effect"),
    [
        (key, effect)
        for key in BY_POLICY
        if key not in OF_THE_CAMPAIGN
        for effect in OFFERED.get(key, tuple(STATES))
    ],
)
def test_a_policy_changes_what_a_finding_does(desk: Desk, key: str, effect: str) -> None:
    issues, states = with_policy(desk, key, effect)
    if key == "invalid_recipient":  # then nobody is left, which is a finding of its own
        return
    assert states == {STATES[effect]}
    assert {issue.severity.value for issue in issues} == ({effect} if effect != "ignore" else set())


@pytest.mark.parametrize("effect", STATES)
def test_the_policy_for_an_invalid_recipient_where_another_is_left(desk: Desk, effect: str) -> None:
    prepared = desk.prepare(
        document(
            entries=one(to=["ada"], cc=["eve@example.org"]),
            validation_policy={"invalid_recipient": effect},
        )
    )
    assert prepared.letters[0].state == STATES[effect]


@pytest.mark.parametrize("key", sorted(OF_THE_CAMPAIGN))
@pytest.mark.parametrize("effect", STATES)
def test_a_policy_for_what_concerns_the_campaign(desk: Desk, key: str, effect: str) -> None:
    case = BY_POLICY[key]
    assert isinstance(case.campaign, dict)
    for name, data in case.files.items():
        desk.put(name, data)
    prepared = desk.prepare({**case.campaign, "validation_policy": {key: effect}})
    found = [issue.severity.value for issue in prepared.issues if issue.code == case.code]
    assert found == ([] if effect == "ignore" else [effect])
    assert prepared.blocked == (effect == "block")
    assert prepared.has_findings == (effect in ("block", "review"))


@pytest.mark.parametrize(("effect", "state"), list(STATES.items()))
def test_a_copy_for_an_outsider_is_asked_about_in_each_letter(
    desk: Desk, effect: str, state: EntryState
) -> None:
    shared = BY_POLICY["shared_copy"].campaign
    assert isinstance(shared, dict)
    prepared = desk.prepare({**shared, "validation_policy": {"shared_copy": effect}})
    wanted = state if effect in ("review", "exclude") else EntryState.READY
    assert prepared.letters[0].state == wanted


@pytest.mark.parametrize("effect", STATES)
@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("mailbox", {"entries": one(to=["${name}@example.org"])}),
        ("mailbox's name", {"entries": one(to=["${name} <ada@example.org>"])}),
        ("pattern", {"attachments": rule("${name}*.pdf")}),
        ("own pattern", {"entries": one(attachments=[{"file_filter": "${name}*.pdf"}])}),
        ("folder", {"attachments": rule("*.pdf", base_dir="cards/${name}")}),
        ("zip password", {"attachments": {"zip": {"enabled": True, "password": "${name}"}}}),
        ("zip name", {"attachments": {"zip": {"enabled": True, "filename": "${name}.zip"}}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_empty_value_blocks_where_it_would_change_who_gets_what(
    desk: Desk, place: str, parts: dict[str, Any], effect: str
) -> None:
    """An empty number must never turn `${name}*.pdf` into `*.pdf`, whatever the policy is."""
    desk.put("a.pdf")
    desk.put("cards/b.pdf")
    prepared = desk.prepare(
        document(
            fields=NAME,
            validation_policy={
                "missing_value": effect,
                "missing_recipient": "ignore",
                "unclaimed_file": "ignore",
            },
            **parts,
        )
    )
    (letter,) = prepared.letters
    assert letter.state is EntryState.BLOCKED
    assert not letter.files
    (issue,) = letter.issues
    assert (issue.code, issue.severity) == ("missing-value", Severity.BLOCK)
    assert "“name”" in issue.message
    assert desk.build(prepared) == [(letter, None)]
