"""From a campaign file to checked letters: who gets them, and what is said about each."""

from __future__ import annotations

from typing import Any

import pytest

from app.mailer.domain.campaign.shape import read_partly_of
from app.mailer.domain.errors import CampaignInvalid
from app.mailer.domain.files.index import FileIndex
from app.mailer.domain.issues import EntryState, Severity
from app.mailer.services.prepare import prepare_part, read_campaign
from tests.integration.services.pipeline.desk import Desk, codes, document, entry

NAME = [{"name": "name"}]
#: As Excel in Germany writes it.
EXCEL = "Nr;E-Mail;Vorname;Aktiv\r\n0042;Jürgen <j@example.org>;Jürgen;ja\r\n0043;;Eve;nein\r\n"


def addresses(desk: Desk, **parts: Any) -> dict[str, list[str]]:
    """The lists of the one letter."""
    (letter,) = desk.prepare(document(**parts)).letters
    names = ("reply_to", "to", "cc", "bcc")
    return {name: [box.address for box in getattr(letter.lists, name)] for name in names}


GLOBAL = {
    "from": "office@example.org",
    **{name: [f"{name}@example.org"] for name in ("reply_to", "to", "cc", "bcc")},
}


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("name", ["reply_to", "to", "cc", "bcc"])
@pytest.mark.parametrize("own", [None, [], ["own@example.org"]])
def test_the_combine_flags(desk: Desk, name: str, flag: bool, own: list[str] | None) -> None:
    made = {"id": "e0"} if own is None else {"id": "e0", name: own}
    found = addresses(
        desk,
        recipients={**GLOBAL, "combine": {name: flag}},
        entries={"inline": [made]},
    )
    everybody = [f"{name}@example.org"]
    if own is None:
        assert found[name] == everybody
    else:
        assert found[name] == (everybody + own if flag else own)
    for other in {"reply_to", "to", "cc", "bcc"} - {name}:
        assert found[other] == [f"{other}@example.org"]


def test_the_flags_that_hold_where_nothing_is_said(desk: Desk) -> None:
    own = {name: [f"own-{name}@example.org"] for name in ("reply_to", "to", "cc", "bcc")}
    found = addresses(desk, recipients=GLOBAL, entries={"inline": [{"id": "e0", **own}]})
    assert found["to"] == ["own-to@example.org"]
    for name in ("reply_to", "cc", "bcc"):
        assert found[name] == [f"{name}@example.org", f"own-{name}@example.org"]


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("own", [None, [], [{"file_filter": "own.pdf"}]])
def test_the_flag_for_attachments(desk: Desk, flag: bool, own: list[Any] | None) -> None:
    desk.put("all.pdf")
    desk.put("own.pdf")
    parts = {} if own is None else {"attachments": own}
    (letter,) = desk.prepare(
        document(
            recipients={"from": "a@example.org", "combine": {"attachments": flag}},
            attachments={"global": [{"file_filter": "all.pdf"}]},
            entries={"inline": [entry(**parts)]},
        )
    ).letters
    everybody = ["all.pdf"]
    wanted = [rule["file_filter"] for rule in own or []]
    expected = everybody if own is None else everybody + wanted if flag else wanted
    assert [chosen.file.path for chosen in letter.files] == expected


def test_one_address_occurs_once_and_to_beats_cc_beats_bcc(desk: Desk) -> None:
    found = addresses(
        desk,
        entries={
            "inline": [
                {
                    "to": ["Ada@example.org"],
                    "cc": ["ada@EXAMPLE.org", "b@example.org"],
                    "bcc": ["B@example.org", "c@example.org"],
                }
            ]
        },
    )
    assert found["to"] == ["Ada@example.org"]
    assert found["cc"] == ["b@example.org"]
    assert found["bcc"] == ["c@example.org"]


def test_a_table_as_excel_writes_it(desk: Desk) -> None:
    desk.put("people.csv", EXCEL.encode("cp1252"))
    prepared = desk.prepare(
        document(
            fields=[
                {"name": "number", "label": "Nr", "required": True},
                {"name": "first", "label": "Vorname"},
            ],
            entries={
                "inline": [entry(9, values={"number": "9"})],
                "source": {
                    "path": "people.csv",
                    "mapping": {"active": "Aktiv", "id": "Nr"},
                },
            },
            template={"subject": "No. ${number}", "text": "Dear ${first}"},
            validation_policy={"missing_value": "warn"},
        )
    )
    assert not prepared.issues
    states = {letter.id: letter.state for letter in prepared.letters}
    assert states == {
        "0042": EntryState.READY,
        "0043": EntryState.INACTIVE,
        "e9": EntryState.WARNING,
    }
    first = prepared.letters[0]
    assert first.lists.to[0].display == "Jürgen <j@example.org>"
    assert first.entry.values == {"number": "0042", "first": "Jürgen"}
    assert prepared.summary() == {
        "inactive": 1,
        "excluded": 0,
        "blocked": 0,
        "needs_review": 0,
        "warning": 1,
        "ready": 1,
    }
    assert not prepared.has_findings


def test_a_source_of_no_known_kind_is_said_once(desk: Desk) -> None:
    desk.put("people.dat", EXCEL)
    prepared = desk.prepare(document(entries={"source": {"path": "people.dat"}}))
    (issue,) = prepared.issues
    assert (issue.code, issue.pointer) == ("missing-key", "/entries/source/type")
    assert prepared.blocked


def test_faults_of_a_table_stop_the_campaign_and_those_of_a_row_its_entry(desk: Desk) -> None:
    desk.put("people.csv", "id;to;n\na;a@b.org;1\nb;b@b.org;many\n")
    made = document(
        fields=[{"name": "n", "type": "integer"}], entries={"source": {"path": "people.csv"}}
    )
    prepared = desk.prepare(made)
    assert not prepared.issues
    (issue,) = prepared.letters[1].issues
    assert (issue.code, issue.pointer, issue.entry) == ("bad-cell", "people.csv:3", "b")
    assert prepared.has_findings
    made["entries"]["source"]["mapping"] = {"id": "Nummer"}
    prepared = desk.prepare(made)
    assert [(issue.code, issue.pointer) for issue in prepared.issues] == [
        ("missing-column", "/entries/source/mapping/id")
    ]
    assert prepared.blocked


def test_all_faults_are_told_in_one_pass(desk: Desk) -> None:
    prepared = desk.prepare(
        document(
            fields=NAME,
            recipients={"from": "office@", "cc": ["eve"]},
            template={"subject": "${nmae}", "text": {"path": "letter.txt"}, "html": "${"},
            entries={"inline": [entry(to=["ada"], values={"nmae": 1})]},
            attachments={"base_path": "files", "global": [{"file_filter": "${"}]},
            delivery={
                "imap_append_sent": {"enabled": False},
                "headers": {"Bcc": "x"},
                "send_window": {
                    "days": ["mon"],
                    "from": "08:00",
                    "to": "17:00",
                    "timezone": "Europe/Berlyn",
                },
            },
        )
    )
    found = {issue.pointer: issue.code for issue in prepared.issues}
    assert found == {
        "/recipients/from": "invalid-sender",
        "/recipients/cc/0": "invalid-recipient",
        "/template/subject": "unknown-placeholder",
        "/template/text/path": "missing-file",
        "/template/html": "bad-template",
        "/attachments/base_path": "missing-folder",
        "/attachments/global/0/file_filter": "bad-template",
        "/delivery/headers/Bcc": "reserved-header",
        "/delivery/send_window/timezone": "invalid-value",
    }
    assert codes(prepared.letters[0].issues) == [
        "unknown-field",
        "invalid-recipient",
        "no-recipient",
    ]
    assert "Europe/Berlin" in next(
        issue.hint for issue in prepared.issues if issue.pointer.endswith("timezone")
    )


def test_an_unreadable_file_says_everything_that_is_wrong_in_it() -> None:
    with pytest.raises(CampaignInvalid) as caught:
        read_campaign(b'{"version": "2.0", "campaign": {"id": "X"}, "x-note": 1, "entires": {}}')
    assert {issue.code for issue in caught.value.issues} == {
        "invalid-value",
        "missing-key",
        "unknown-key",
    }


def test_an_unknown_key_hides_nothing(desk: Desk) -> None:
    made = document(
        template={"subject": "Hi ${x}", "text": "{{y}}", "txet": "z"},
        entries={"source": {"path": "nothere.csv"}, "inline": [entry(to=["nobody"])]},
    )
    del made["campaign"]
    with pytest.raises(CampaignInvalid) as caught:
        prepare_part(*read_partly_of(made), desk.prepare_read)
    assert [issue.code for issue in caught.value.issues] == [
        "missing-key",
        "unknown-key",
        "unknown-placeholder",
        "stray-placeholder",
        "missing-file",
        "invalid-recipient",
        "no-recipient",
    ]


def test_the_policy_holds_for_missing_values_of_the_campaign_too(desk: Desk) -> None:
    made = document(
        fields=[{"name": "year", "scope": "global", "required": True}],
        template={"subject": "x", "text": "In ${year}"},
    )
    assert desk.prepare(made).blocked
    made["validation_policy"] = {"missing_value": "warn"}
    prepared = desk.prepare(made)
    assert {issue.severity for issue in prepared.issues} == {Severity.WARN}
    assert prepared.letters[0].state is EntryState.WARNING


def test_duplicate_recipients_are_told_on_both(desk: Desk) -> None:
    prepared = desk.prepare(
        document(
            entries={
                "inline": [
                    entry(0),
                    entry(1, to=["P0@example.org"]),
                    entry(2, to=["p0@example.org"], active=False),
                    entry(3),
                    entry(4, cc=["p0@example.org"]),
                ]
            }
        )
    )
    assert [letter.state.value for letter in prepared.letters] == [
        "needs_review",
        "needs_review",
        "inactive",
        "ready",
        "ready",
    ]
    assert "“e1”" in prepared.letters[0].issues[0].message
    assert "“e0”" in prepared.letters[1].issues[0].message


def test_mode_test_reaches_the_test_recipients_alone(desk: Desk) -> None:
    made = document(
        campaign={"id": "cards", "name": "Cards", "mode": "test"},
        server={"account": "office"},
        recipients={**GLOBAL},
        entries={"inline": [entry(cc=["own@example.org"])]},
        delivery={"test_recipients": ["Me <me@example.org>"]},
    )
    (letter,) = desk.prepare(made).letters
    assert letter.envelope == ("me@example.org",)
    assert [box.address for box in letter.wanted.to] == ["p0@example.org"]
    made["delivery"]["test_recipients"] = ["me"]
    prepared = desk.prepare(made)
    assert [(each.code, each.pointer) for each in prepared.issues] == [
        ("invalid-recipient", "/delivery/test_recipients/0")
    ]


def test_international_addresses(desk: Desk) -> None:
    prepared = desk.prepare(
        document(entries={"inline": [entry(to=["Ü <ada@büro.example>"]), entry(1, to=["ü@b.org"])]})
    )
    domain, local = prepared.letters
    assert domain.envelope == ("ada@xn--bro-hoa.example",)
    assert domain.state is EntryState.READY
    assert codes(local.issues) == ["smtputf8-needed"]


@pytest.mark.parametrize("address", ["=?utf-8?q?a?=@example.org", "a=?b@example.org"])
def test_an_address_that_readers_would_decode_is_refused(desk: Desk, address: str) -> None:
    (letter,) = desk.prepare(document(entries={"inline": [entry(to=[address])]})).letters
    assert codes(letter.issues) == ["invalid-recipient", "no-recipient"]
    assert address in letter.issues[0].message


def test_a_global_copy_that_a_global_value_names_is_seen(desk: Desk) -> None:
    prepared = desk.prepare(
        document(
            fields=[{"name": "archive", "scope": "global"}],
            global_values={"archive": "archive@other.example"},
            recipients={"from": "a@example.org", "bcc": ["${archive}"]},
        )
    )
    (issue,) = prepared.issues
    assert (issue.code, issue.pointer) == ("shared-copy", "/recipients/bcc/0")
    assert "archive@other.example" in issue.message


@pytest.mark.parametrize(
    ("template", "engine", "where"),
    [
        ({"subject": "${a}${a}"}, "placeholders", "The subject"),
        ({"text": "${a}${a}"}, "placeholders", "The text"),
        ({"html": "${a}${a}"}, "placeholders", "The HTML"),
        ({"text": "{% for i in range(100000) %}{{ local.a }}{% endfor %}"}, "jinja2", "The text"),
        ({"text": "{{ 1 / 0 }}"}, "jinja2", "The text"),
    ],
)
def test_a_template_that_fails_blocks_the_entry(
    desk: Desk, template: dict[str, str], engine: str, where: str
) -> None:
    big = "x" * 6_000_000
    (letter,) = desk.prepare(
        document(
            fields=[{"name": "a"}],
            template={"subject": "x", "text": "x", "engine": engine, **template},
            entries={"inline": [entry(values={"a": big})]},
        )
    ).letters
    (issue,) = letter.issues
    assert issue.code == "bad-template"
    assert issue.message.startswith(f"{where} cannot be filled in.")
    assert len(issue.message) < 500
    assert letter.state is EntryState.BLOCKED


@pytest.mark.parametrize(
    "parts",
    [
        {"entries": {"inline": [entry(to=["${a}${a}@example.org"])]}},
        {"entries": {"inline": [entry(to=["${a}${a} <a@example.org>"])]}},
        {"delivery": {"headers": {"X-A": "${a}${a}"}, "imap_append_sent": {"enabled": False}}},
        {"attachments": {"global": [{"file_filter": "${a}${a}"}]}},
        {"attachments": {"global": [{"file_filter": "x", "base_dir": "${a}${a}"}]}},
        {"attachments": {"global": [{"file_filter": "x", "filename": "${a}${a}"}]}},
        {"attachments": {"global": [{"file_filter": "x", "expect_text": ["${a}${a}"]}]}},
        {"attachments": {"zip": {"enabled": True, "filename": "${a}${a}"}}},
        {"attachments": {"zip": {"enabled": True, "password": "${a}${a}"}}},
    ],
    ids=repr,
)
def test_so_does_what_grows_too_large_anywhere_else(desk: Desk, parts: dict[str, Any]) -> None:
    desk.put("x")
    made = document(fields=[{"name": "a"}], validation_policy={"unclaimed_file": "ignore"}, **parts)
    made["entries"]["inline"][0]["values"] = {"a": "x" * 6_000_000}
    prepared = desk.prepare(made)
    (letter,) = prepared.letters
    assert codes(letter.issues)[0] == "bad-template"
    assert letter.state is EntryState.BLOCKED
    assert desk.build(prepared) == [(letter, None)]


def test_a_subject_from_a_file_loses_its_last_line_break(desk: Desk) -> None:
    desk.put("subject.txt", "Your card, ${name}\r\n")
    made = document(
        fields=NAME,
        template={"subject": {"path": "subject.txt"}, "text": "x"},
        entries={"inline": [entry(values={"name": "Ada"})]},
    )
    assert desk.message(made)["Subject"] == "Your card, Ada"
    desk.put("subject.txt", "Your\ncard")
    (letter,) = desk.prepare(made).letters
    assert codes(letter.issues) == ["header-injection"]
    assert "from the template" in letter.issues[0].message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_template_is_read_in_its_encoding(desk: Desk, encoding: str) -> None:
    desk.put("letter.txt", "Grüße\r\n".encode(encoding))
    made = document(template={"subject": "x", "text": {"path": "letter.txt"}})
    assert desk.message(made).get_content().strip() == "Grüße"


def test_a_template_that_is_nearly_utf8_is_not_guessed_at(desk: Desk) -> None:
    desk.put("letter.txt", "Grüße an Jürgen,\nMüller und ".encode() + b"Schr\xf6der")
    prepared = desk.prepare(document(template={"subject": "x", "text": {"path": "letter.txt"}}))
    (issue,) = prepared.issues
    assert issue.code == "wrong-encoding"
    assert "letter.txt, line 2: the byte 0xF6 is not utf-8" in issue.message


@pytest.mark.parametrize(
    ("encoding", "data", "says"),
    [
        ("klingon", b"x", "no encoding “klingon”"),
        ("base64", b"x", "no encoding “base64”"),
        ("utf-7", b"+2AA-", "no encoding “utf-7”"),
        ("auto", b"a\0b", "zero bytes"),
        ("cp1252", b"\xff\xfea\0", "byte order mark of utf-16"),
        ("utf-8", b"\xfc", "0xFC"),
    ],
)
def test_a_template_in_no_such_encoding(desk: Desk, encoding: str, data: bytes, says: str) -> None:
    desk.put("letter.txt", data)
    made = {"subject": "x", "text": {"path": "letter.txt", "encoding": encoding}}
    (issue,) = desk.prepare(document(template=made)).issues
    assert (issue.code, issue.pointer) == ("wrong-encoding", "/template/text/path")
    assert says in issue.message
    assert issue.hint


def test_inline_images_need_html(desk: Desk) -> None:
    desk.put("logo.png")
    template = {
        "subject": "x",
        "text": "x",
        "inline_images": [{"cid": "logo", "path": "logo.png"}],
    }
    (issue,) = desk.prepare(document(template=template)).issues
    assert (issue.code, issue.pointer) == ("invalid-value", "/template/inline_images")


def test_a_secret_value_shows_in_no_issue(desk: Desk) -> None:
    made = document(
        fields=[
            {"name": "pin", "type": "secret", "pattern": "[0-9]+"},
            {"name": "key", "type": "secret"},
        ],
        template={"engine": "jinja2", "subject": "x", "text": "{{ local.key + 1 }}"},
        entries={"inline": [entry(values={"pin": "hunter2", "key": "swordfish"})]},
    )
    (letter,) = desk.prepare(made).letters
    assert {"bad-cell", "bad-template"} <= set(codes(letter.issues))
    shown = repr([issue.as_dict() for issue in letter.issues]) + repr(letter)
    assert "hunter2" not in shown
    assert "swordfish" not in shown


def test_progress_is_told_of_each_phase(desk: Desk) -> None:
    desk.put("card.pdf")
    told: list[tuple[str, int, int | None]] = []
    desk.prepare(
        document(attachments={"global": [{"file_filter": "card.pdf"}]}),
        progress=lambda *step: told.append(step),
    )
    phases = dict.fromkeys(phase for phase, _, _ in told)
    assert list(phases) == ["Reading recipients", "Checking recipients", "scan", "Matching files"]
    assert told[-1] == ("Matching files", 1, 1)


def test_a_vague_rule_is_asked_once_however_many_entries_there_are(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a pattern that fits all files makes the time grow with the square of the entries."""
    for number in range(30):
        desk.put(f"{number}.pdf")
    asked = []
    match = FileIndex.match

    def counted(index: FileIndex, *arguments: Any) -> Any:
        asked.append(arguments)
        return match(index, *arguments)

    monkeypatch.setattr(FileIndex, "match", counted)
    prepared = desk.prepare(
        document(
            attachments={"global": [{"file_filter": "*.pdf"}]},
            entries={"inline": [entry(number) for number in range(40)]},
        )
    )
    assert prepared.summary()["blocked"] == 40
    assert "unclaimed-file" not in codes(prepared.issues)
    assert len(asked) == 2


@pytest.mark.parametrize("part", ["subject", "text", "html"])
def test_an_empty_template_file_is_no_letter(desk: Desk, part: str) -> None:
    desk.put("part.txt", "\r\n")
    prepared = desk.prepare(
        document(template={"subject": "x", "text": "x", part: {"path": "part.txt"}})
    )
    (issue,) = prepared.issues
    assert (issue.code, issue.pointer) == ("bad-template", f"/template/{part}/path")
    assert prepared.blocked
    assert not prepared.letters[0].issues  # said once


def test_a_template_that_a_wrong_encoding_has_spoilt(desk: Desk) -> None:
    desk.put("letter.txt", "Schöne Grüße".encode().decode("cp1252"))
    prepared = desk.prepare(document(template={"subject": "x", "text": {"path": "letter.txt"}}))
    (issue,) = prepared.issues
    assert (issue.code, issue.pointer) == ("wrong-encoding", "/template/text/path")
    assert "“Ã¶”" in issue.message
    assert prepared.blocked


def test_an_image_without_a_byte(desk: Desk) -> None:
    desk.put("logo.png", b"")
    template = {
        "subject": "x",
        "html": '<img src="cid:logo">',
        "inline_images": [{"cid": "logo", "path": "logo.png"}],
    }
    (issue,) = desk.prepare(document(template=template)).issues
    assert (issue.code, issue.pointer) == ("broken-image", "/template/inline_images/0/path")
    assert "0 bytes" in issue.message


def test_an_image_that_the_html_does_not_show(desk: Desk) -> None:
    desk.put("logo.png")
    template = {
        "subject": "x",
        "html": "<p>Hi</p>",
        "inline_images": [{"cid": "logo", "path": "logo.png"}],
    }
    (issue,) = desk.prepare(document(template=template)).issues
    assert (issue.code, issue.pointer) == ("broken-image", "/template/inline_images/0")


def test_a_household_whose_rows_name_two_addresses_is_not_sent_to_the_first(desk: Desk) -> None:
    desk.put("people.csv", "house;mail;item\n1;a@b.org;A\n1;c@b.org;B\n")
    made = document(
        fields=[{"name": name} for name in ("house", "mail", "item")],
        recipients={"from": "office@example.org", "to": ["${mail}"]},
        template={
            "engine": "jinja2",
            "subject": "x",
            "text": "{% for row in rows %}{{ row.item }}{% endfor %}",
        },
        entries={"source": {"path": "people.csv", "group_by": "house"}},
    )
    (letter,) = desk.prepare(made).letters
    assert letter.state is EntryState.BLOCKED
    assert codes(letter.issues) == ["group-conflict"]
