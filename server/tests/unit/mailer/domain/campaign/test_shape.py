from __future__ import annotations

import copy
import gc
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.campaign import FileText
from app.mailer.domain.campaign.shape import read_partly_of, read_shape, read_shape_of
from app.mailer.domain.issues import Issue, Severity

from .documents import MINIMAL, complete, draft


def only(document: Any) -> Issue:
    campaign, issues = read_shape_of(document)
    assert campaign is None
    assert len(issues) == 1, issues
    return issues[0]


def test_the_smallest_file() -> None:
    campaign, issues = read_shape(json.dumps(MINIMAL))
    assert issues == []
    assert campaign is not None
    assert campaign.campaign.mode == "draft"
    assert campaign.recipients.combine.to is False
    assert campaign.recipients.combine.attachments is True


def test_a_byte_order_mark_is_accepted_in_text_and_bytes() -> None:
    text = json.dumps(MINIMAL)
    assert read_shape(text.encode("utf-8-sig"))[1] == []
    assert read_shape("\ufeff" + text)[1] == []


def test_numbers_with_a_fraction_stay_as_they_are_written() -> None:
    campaign, _ = read_shape(
        '{"version": "1.0", "campaign": {"id": "a", "name": "b"}, "global_values": '
        '{"price": 1.10, "count": 3, "on": true, "none": null},'
        '"entries": {"inline": [{"values": {"price": 2.50}}]}}'
    )
    assert campaign is not None
    price = campaign.global_values["price"]
    assert isinstance(price, Decimal)
    assert str(price) == "1.10"
    assert campaign.global_values["count"] == 3
    assert campaign.global_values["on"] is True
    assert campaign.global_values["none"] is None
    assert str(campaign.entries.inline[0]["values"]["price"]) == "2.50"


def test_floats_of_another_json_reader_keep_their_shortest_form() -> None:
    campaign, _ = read_shape_of(draft(global_values={"price": 1.1}))
    assert campaign is not None
    assert campaign.global_values == {"price": Decimal("1.1")}


def test_a_lone_mailbox_is_a_list_of_one() -> None:
    campaign, _ = read_shape_of(
        draft(
            recipients={"to": "a@b.de", "cc": {"email": "c@d.de"}},
            entries={"inline": [{"to": "${local::mail}"}, {"bcc": []}]},
        )
    )
    assert campaign is not None
    assert campaign.recipients.to == ["a@b.de"]
    assert campaign.recipients.cc == [{"email": "c@d.de"}]
    assert campaign.entries.inline == [{"to": ["${local::mail}"]}, {"bcc": []}]


def test_text_or_file() -> None:
    campaign, _ = read_shape_of(draft(template={"text": "Hi", "html": {"path": "a.html"}}))
    assert campaign is not None
    assert campaign.template.text == "Hi"
    assert campaign.template.html == FileText(path="a.html", encoding="auto")


def test_keys_with_x_are_ignored_at_every_level_and_left_in_the_input() -> None:
    document = draft(
        **{"x-a": 1},
        recipients={"x-a": {}, "to": {"email": "a@b.de", "x-a": 1}, "combine": {"x-a": 1}},
        entries={
            "inline": [{"x-a": 1, "id": "e", "attachments": [{"file_filter": "a", "x-b": 2}]}]
        },
        delivery={"headers": {"x-mine": "kept"}},
    )
    before = copy.deepcopy(document)
    campaign, issues = read_shape_of(document)
    assert issues == []
    assert document == before
    assert campaign is not None
    assert campaign.recipients.to == [{"email": "a@b.de"}]
    assert list(campaign.entries.inline[0]) == ["id", "attachments"]
    assert campaign.delivery.headers == {"x-mine": "kept"}


@pytest.mark.parametrize(
    ("parts", "code", "pointer", "message", "hint"),
    [
        (
            {"deliverey": {}},
            "unknown-key",
            "/deliverey",
            "“deliverey” is not a key of the file.",
            "Did you mean “delivery”?",
        ),
        (
            {"attachments": {"global": [{"File-Filter": "a", "file_filter": "b"}]}},
            "unknown-key",
            "/attachments/global/0/File-Filter",
            "“File-Filter” is not a key of item 1 of “global”.",
            "Did you mean “file_filter”?",
        ),
        (
            {"recipients": {"from_": "a@b.de"}},
            "unknown-key",
            "/recipients/from_",
            "“from_” is not a key of “recipients”.",
            "Did you mean “from”?",
        ),
        (
            {"recipients": {"zzz": 1}},
            "unknown-key",
            "/recipients/zzz",
            "“zzz” is not a key of “recipients”.",
            "Its keys are from, reply_to, to, cc, bcc, combine.",
        ),
        (
            {"entries": {"inline": [{}, {"to": {"email": "a@b.de", "nme": "A"}}]}},
            "unknown-key",
            "/entries/inline/1/to/nme",
            "“nme” is not a key of “to”.",
            "Did you mean “name”?",
        ),
        (
            {"campaign": {"id": "a"}},
            "missing-key",
            "/campaign/name",
            "The key “name” is missing in “campaign”.",
            'Add it, for example "name": "Membership cards 2026".',
        ),
        (
            {"entries": {"source": {}}},
            "missing-key",
            "/entries/source/path",
            "The key “path” is missing in “source”.",
            'Add it, for example "path": "members.csv".',
        ),
        (
            {"server": {"smtp": {"host": "a", "port": "587"}}},
            "wrong-type",
            "/server/smtp/port",
            "“port” must be a whole number, but is the text “587”.",
            "For example: 587.",
        ),
        (
            {"recipients": {"to": ["a@b.de", 5]}},
            "wrong-type",
            "/recipients/to/1",
            "Item 2 of “to” must be text or an object, but is a whole number.",
            "",
        ),
        (
            {"recipients": {"to": 5}},
            "wrong-type",
            "/recipients/to",
            "“to” must be text, an object or a list, but is a whole number.",
            "For example:",
        ),
        (
            {"template": {"html": ["<p>"]}},
            "wrong-type",
            "/template/html",
            "“html” must be text or an object, but is a list.",
            "For example:",
        ),
        (
            {"entries": {"inline": [{"values": {"a": [1]}}]}},
            "wrong-type",
            "/entries/inline/0/values/a",
            "“a” must be text, a number or true or false, but is a list.",
            "",
        ),
        (
            {"entries": {"inline": [{"cc": None}]}},
            "wrong-type",
            "/entries/inline/0/cc",
            "“cc” must be text, an object or a list, but is null.",
            "Leave the key out for no value.",
        ),
        (
            {"recipients": {"combine": {"to": "yes"}}},
            "wrong-type",
            "/recipients/combine/to",
            "“to” must be true or false, but is the text “yes”.",
            "For example:",
        ),
        (
            {"delivery": {"rate_limit": {"concurrency": 1.5}}},
            "wrong-type",
            "/delivery/rate_limit/concurrency",
            "“concurrency” must be a whole number, but is 1.5.",
            "For example: 1.",
        ),
        (
            {"version": "2.0"},
            "invalid-value",
            "/version",
            "“version” must be “1.0”, but is “2.0”.",
            "1.0",
        ),
        (
            {"campaign": {"id": "a", "name": "b", "mode": "Sned"}},
            "invalid-value",
            "/campaign/mode",
            "“mode” must be “draft”, “test” or “send”, but is “Sned”.",
            "Did you mean “send”?",
        ),
        (
            {"campaign": {"id": "Mai 26", "name": "b"}},
            "invalid-value",
            "/campaign/id",
            "“id” cannot be “Mai 26”.",
            "Small letters, digits",
        ),
        (
            {"validation_policy": {"header_injection": "warn"}},
            "invalid-value",
            "/validation_policy/header_injection",
            "“header_injection” must be “block”, “review” or “exclude”, but is “warn”.",
            "",
        ),
        (
            {"delivery": {"rate_limit": {"messages_per_minute": 0}}},
            "invalid-value",
            "/delivery/rate_limit/messages_per_minute",
            "“messages_per_minute” must be more than 0, but is 0.",
            "For example: 20.",
        ),
        (
            {"server": {"smtp": {"host": "a", "port": 70000}}},
            "invalid-value",
            "/server/smtp/port",
            "“port” must be at most 65535, but is 70000.",
            "587",
        ),
        (
            {"attachments": {"global": [{"file_filter": ""}]}},
            "invalid-value",
            "/attachments/global/0/file_filter",
            "“file_filter” must not be empty.",
            "For example:",
        ),
        (
            {"delivery": {"headers": {"two words": "x"}}},
            "invalid-value",
            "/delivery/headers/two words",
            "“two words” cannot be a key here.",
            "Headers of your own",
        ),
        (
            {"delivery": {"not_before": "2026-02-30T08:00:00Z"}},
            "invalid-value",
            "/delivery/not_before",
            "“not_before” cannot be “2026-02-30T08:00:00Z”.",
            "date, time and offset",
        ),
        (
            {"delivery": {"not_before": "2026-02-03T08:00:00"}},
            "invalid-value",
            "/delivery/not_before",
            "“not_before” cannot be “2026-02-03T08:00:00”.",
            "date, time and offset",
        ),
        (
            {"global_values": {"a/b~c": []}},
            "wrong-type",
            "/global_values/a~1b~0c",
            "“a/b~c” must be",
            "",
        ),
    ],
)
def test_a_fault_says_place_value_and_remedy(
    parts: dict[str, Any], code: str, pointer: str, message: str, hint: str
) -> None:
    issue = only(draft(**parts))
    assert (issue.code, issue.pointer) == (code, pointer)
    assert issue.severity is Severity.BLOCK
    assert message in issue.message
    assert hint in issue.hint


def test_all_faults_are_reported_at_once() -> None:
    _, issues = read_shape_of(
        {
            "campaign": {"id": "A", "nme": "b"},
            "template": {"text": 5},
            "entries": {"inline": [{"to": [{"name": "x"}]}, 7]},
        }
    )
    assert [(issue.code, issue.pointer) for issue in issues] == [
        ("missing-key", "/version"),
        ("invalid-value", "/campaign/id"),
        ("missing-key", "/campaign/name"),
        ("unknown-key", "/campaign/nme"),
        ("wrong-type", "/template/text"),
        ("missing-key", "/entries/inline/0/to/0/email"),
        ("wrong-type", "/entries/inline/1"),
    ]


@pytest.mark.parametrize(
    "parts",
    [
        {"entires": {}},
        {"delivery": {"retries": 3}},
        {"recipients": {"from": {"email": "a@example.org", "nmae": "A"}}},
        {"version": "2.0"},
        {"campaign": None},
        {"campaign": {"id": "A", "nme": "b", "mode": []}},
    ],
)
def test_the_rest_of_a_file_is_read_where_one_can_do_without_what_is_wrong(
    parts: dict[str, Any],
) -> None:
    document = draft(template={"subject": "Hi"}) | parts
    campaign, issues = read_partly_of(document)
    assert campaign is not None
    assert campaign.template.subject == "Hi"
    assert (None, issues) == read_shape_of(document)
    assert issues


def test_the_mode_is_read_where_only_the_name_is_wrong() -> None:
    campaign, issues = read_partly_of(draft(campaign={"id": "a", "name": 7, "mode": "test"}))
    assert [issue.pointer for issue in issues] == ["/campaign/name"]
    assert campaign is not None
    assert campaign.campaign.mode == "test"


@pytest.mark.parametrize(
    "parts",
    [
        {"template": {"subject": 5}},
        # It may be the type, and so a secret.
        {"fields": [{"name": "pin", "tpye": "secret"}]},
        {"campaign": {"id": "a", "name": "b\ud83d"}},
    ],
)
def test_nothing_of_a_file_is_read_where_much_may_hang_on_what_is_wrong(
    parts: dict[str, Any],
) -> None:
    campaign, issues = read_partly_of(draft(**parts))
    assert campaign is None
    assert issues


@pytest.mark.parametrize("document", [[], 5, "x", None, True])
def test_a_file_that_is_no_object(document: Any) -> None:
    issue = only(document)
    assert (issue.code, issue.pointer) == ("wrong-type", "")
    assert issue.message.startswith("The file must be an object, but is ")


def test_long_values_are_shortened_and_control_characters_made_visible() -> None:
    issue = only(draft(campaign={"id": "\x1b[2J" + "A" * 500, "name": "b"}))
    assert "\x1b" not in issue.message
    assert r"\x1b[2J" in issue.message
    assert len(issue.message) < 120


@pytest.mark.parametrize(
    "parts",
    [
        {"server": {"smtp": {"host": "a", "password": 4711}}},
        {"server": {"smtp": {"host": "a", "password": [4711]}}},
        {"server": {"smtp": {"host": "a", "passwort": "4711"}}},
        {"server": {"imap": {"host": "smtp://me:4711@host"}}},
        {"server": "smtp://me:4711@host"},
        {"server": {"smtp": "smtp://me:4711@host"}},
        {"attachments": {"zip": {"password": 4711}}},
        {"attachments": {"zip": "4711"}},
        {
            "fields": [{"name": "pin", "type": "secret", "default": ["4711"]}],
            "global_values": {"pin": {"x": "4711"}},
            "entries": {"inline": [{"values": {"pin": ["4711"]}}, {"values": "4711"}, "4711"]},
        },
        {"global_values": "4711"},
    ],
)
def test_a_secret_shows_in_no_issue(parts: dict[str, Any]) -> None:
    campaign, issues = read_shape(json.dumps(draft(**parts)))
    assert campaign is None
    assert issues
    assert "4711" not in repr(issues)


def test_secrets_show_in_no_repr() -> None:
    campaign, _ = read_shape_of(
        draft(
            fields=[{"name": "pin", "type": "secret", "default": "s3cret"}],
            global_values={"pin": "s3cret"},
            server={
                "smtp": {"host": "a", "password": "s3cret"},
                "imap": {"host": "a", "password": "s3cret"},
            },
            attachments={"zip": {"password": "s3cret"}},
            entries={"inline": [{"values": {"pin": "s3cret"}}]},
        )
    )
    assert campaign is not None
    assert "s3cret" not in repr(campaign)
    assert "s3cret" not in str(campaign)


def test_keys_that_stand_twice_are_reported_beside_other_faults() -> None:
    campaign, issues = read_shape(
        '{"version": "1.0", "version": "1.0", "campaign": {"id": "a", "name": 5}}'
    )
    assert campaign is None
    assert [(issue.code, issue.pointer) for issue in issues] == [
        ("duplicate-key", "/version"),
        ("wrong-type", "/campaign/name"),
    ]


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (r'{"version":"1.0","campaign":{"id":"a","name":"\ud83d"}}', "/campaign/name"),
        (
            r'{"version":"1.0","campaign":{"id":"a","name":"b"},"global_values":{"\udc00":1}}',
            r"/global_values/\udc00",
        ),
    ],
)
def test_half_characters_are_found_before_they_break_a_letter(text: str, pointer: str) -> None:
    campaign, issues = read_shape(text)
    assert campaign is None
    assert [(issue.code, issue.pointer) for issue in issues] == [("invalid-value", pointer)]
    repr(issues).encode("utf-8")


def test_numbers_beyond_measure_are_issues() -> None:
    for number in (10**400, -(10**400), Decimal("1e5000"), float("inf"), float("nan")):
        for parts in (
            {"server": {"smtp": {"host": "a", "port": number}}},
            {"delivery": {"rate_limit": {"messages_per_minute": number}}},
            {"campaign": {"id": number, "name": "b"}},
        ):
            assert only(draft(**parts)).code in ("wrong-type", "invalid-value")


@given(st.text() | st.binary() | st.text(alphabet='{}[]":,\\0123456789.eE+-truefalsnlNI x\n'))
def test_any_text_at_all_gives_an_issue_and_no_traceback(text: str | bytes) -> None:
    campaign, issues = read_shape(text)
    assert campaign is None
    assert issues


def test_the_collector_is_left_as_it_was() -> None:
    assert gc.isenabled()
    read_shape("{}")
    assert gc.isenabled()
    gc.disable()
    try:
        read_shape("{}")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_complete_document_survives_the_way_through_text() -> None:
    campaign, issues = read_shape(json.dumps(complete()))
    assert issues == []
    assert campaign == read_shape_of(complete())[0]


@pytest.mark.parametrize("levels", [255, 400, 900, 5_000, 100_000])
@pytest.mark.parametrize("brackets", ["[]", ('{"a":', "}")], ids=["lists", "objects"])
def test_nesting_that_could_not_be_stored_is_refused(
    levels: int, brackets: tuple[str, str] | str
) -> None:
    inner = brackets[0] * levels + ("1" if brackets[0] != "[" else "") + brackets[1] * levels
    campaign, issues = read_shape('{"version": "1.0", "x-note": ' + inner + "}")
    assert campaign is None
    assert [issue.code for issue in issues] == ["invalid-json"]
    assert "too deeply" in issues[0].message
