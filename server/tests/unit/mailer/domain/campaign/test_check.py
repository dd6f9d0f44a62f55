from __future__ import annotations

from typing import Any

import pytest

from app.mailer.domain.campaign.check import check_campaign
from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.issues import Issue, Severity

from .documents import complete

LETTER: dict[str, Any] = {
    "version": "1.0",
    "campaign": {"id": "cards", "name": "Cards", "mode": "send"},
    "server": {"account": "office"},
    "template": {"subject": "Hello", "text": "Hello"},
}
FIELDS = [
    {"name": "number", "type": "integer"},
    {"name": "year", "type": "integer", "scope": "global"},
    {"name": "vip", "type": "boolean"},
]


def check(**parts: Any) -> list[Issue]:
    campaign, issues = read_shape_of({**LETTER, **parts})
    assert campaign is not None, issues
    return check_campaign(campaign, time_zones={"UTC", "Europe/Berlin"})


def test_a_sound_campaign_has_no_issue() -> None:
    assert check() == []
    assert check(fields=FIELDS, global_values={"year": 2026}) == []


@pytest.mark.parametrize(
    ("parts", "code", "pointer", "says"),
    [
        (
            {"fields": [{"name": "a"}, {"name": "b"}, {"name": "a"}]},
            "invalid-value",
            "/fields/2/name",
            "“a” is declared twice",
        ),
        (
            {"fields": [{"name": "a", "pattern": "[0-9"}], "global_values": {}},
            "invalid-value",
            "/fields/0/pattern",
            "not a regular expression",
        ),
        (
            {"fields": [{"name": "a", "type": "integer", "default": "many"}]},
            "bad-cell",
            "/fields/0/default",
            "“many”",
        ),
        (
            {"fields": [{"name": "a", "pattern": "[0-9]+", "default": "x1"}]},
            "bad-cell",
            "/fields/0/default",
            "x1",
        ),
        (
            {"fields": FIELDS, "global_values": {"yaer": 1}},
            "unknown-field",
            "/global_values/yaer",
            "Did you mean “year”?",
        ),
        (
            {"fields": FIELDS, "global_values": {"number": 1}},
            "unknown-field",
            "/global_values/number",
            "is local",
        ),
        (
            {"fields": FIELDS, "global_values": {"year": "this one"}},
            "bad-cell",
            "/global_values/year",
            "this one",
        ),
        (
            {"fields": [{"name": "year", "scope": "global", "required": True}]},
            "missing-value",
            "/global_values/year",
            "is required",
        ),
        (
            {"server": {"account": "office", "smtp": {"host": "a"}}},
            "invalid-value",
            "/server/account",
            "either `account`, or `smtp`",
        ),
        ({"server": {}}, "missing-key", "/server/smtp", "needs a server"),
        (
            {
                "server": {
                    "smtp": {"host": "mail.example.org", "security": "plain", "password": "x"}
                }
            },
            "plain-password",
            "/server/smtp/security",
            "mail.example.org",
        ),
        (
            {
                "server": {
                    "account": None,
                    "smtp": {"host": "a"},
                    "imap": {"host": "b", "security": "plain", "password": "x"},
                }
            },
            "plain-password",
            "/server/imap/security",
            "without encryption",
        ),
        (
            {"server": {"smtp": {"host": "a"}, "imap": {}}},
            "missing-key",
            "/server/imap/host",
            "no host",
        ),
        (
            {
                "server": {"smtp": {"host": "a"}},
                "delivery": {"imap_append_sent": {"enabled": True}},
            },
            "missing-key",
            "/server/imap",
            "Copies",
        ),
        ({"template": {"subject": "Hi"}}, "missing-key", "/template/text", "neither text nor"),
        ({"template": {"text": "Hi"}}, "missing-key", "/template/subject", "no subject"),
        (
            {
                "template": {
                    "subject": "a",
                    "html": "b",
                    "inline_images": [{"cid": "x", "path": "a"}, {"cid": "x", "path": "b"}],
                }
            },
            "invalid-value",
            "/template/inline_images/1/cid",
            "“x”",
        ),
        (
            {"fields": FIELDS, "attachments": {"zip": {"only_if": "vpi"}}},
            "invalid-value",
            "/attachments/zip/only_if",
            "Did you mean “vip”?",
        ),
        (
            {"fields": FIELDS, "attachments": {"zip": {"only_if": "number"}}},
            "invalid-value",
            "/attachments/zip/only_if",
            "not a field of the type boolean",
        ),
        (
            {"entries": {"source": {"path": "members.data"}}},
            "missing-key",
            "/entries/source/type",
            "members.data",
        ),
        (
            {
                "fields": FIELDS,
                "entries": {"source": {"path": "a.csv", "mapping": {"values": {"numer": "No."}}}},
            },
            "unknown-field",
            "/entries/source/mapping/values/numer",
            "Did you mean “number”?",
        ),
        (
            {"campaign": {"id": "a", "name": "b", "mode": "test"}},
            "missing-key",
            "/delivery/test_recipients",
            "test recipients",
        ),
        (
            {"delivery": {"headers": {"BCC": "spy@example.org"}}},
            "reserved-header",
            "/delivery/headers/BCC",
            "“BCC”",
        ),
        (
            {"delivery": {"headers": {"X-A": "1", "x-a": "2"}}},
            "invalid-value",
            "/delivery/headers/x-a",
            "twice",
        ),
        (
            {"delivery": {"send_window": {"from": "08:00", "to": "08:00"}}},
            "invalid-value",
            "/delivery/send_window/to",
            "08:00",
        ),
        (
            {
                "delivery": {
                    "send_window": {"from": "08:00", "to": "18:00", "timezone": "Europe/Berlyn"}
                }
            },
            "invalid-value",
            "/delivery/send_window/timezone",
            "Did you mean “Europe/Berlin”?",
        ),
    ],
)
def test_each_rule(parts: dict[str, Any], code: str, pointer: str, says: str) -> None:
    issues = check(**parts)
    assert [(issue.code, issue.pointer) for issue in issues] == [(code, pointer)]
    assert says in f"{issues[0].message} {issues[0].hint}"
    assert issues[0].hint


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "LOCALHOST"])
def test_a_password_may_stay_plain_on_this_machine(host: str) -> None:
    smtp = {"host": host, "security": "plain", "password": "x"}
    assert check(server={"smtp": smtp}) == []


def test_a_host_that_only_begins_like_this_machine_is_another_one() -> None:
    smtp = {"host": "127.0.0.1.example.org", "security": "plain", "password": "x"}
    assert [issue.severity for issue in check(server={"smtp": smtp})] == [Severity.WARN]


def test_a_draft_needs_no_server() -> None:
    assert check(campaign={"id": "a", "name": "b"}, server={}) == []


def test_subjects_of_all_entries_are_enough() -> None:
    inline = [{"subject": "One"}, {"subject": "Two"}]
    assert check(template={"text": "Hi"}, entries={"inline": inline}) == []
    inline = [{"subject": "One"}, {}]
    assert len(check(template={"text": "Hi"}, entries={"inline": inline})) == 1


def test_a_required_global_value_may_come_from_the_default() -> None:
    field = {"name": "year", "scope": "global", "required": True, "default": 2026}
    assert check(fields=[field]) == []


def test_a_broken_pattern_is_reported_once_and_not_for_every_value() -> None:
    field = {"name": "a", "scope": "global", "pattern": "(", "default": "x"}
    issues = check(fields=[field], global_values={"a": "y"})
    assert [issue.pointer for issue in issues] == ["/fields/0/pattern"]


def test_secrets_show_in_no_issue() -> None:
    field = {
        "name": "pin",
        "type": "secret",
        "scope": "global",
        "pattern": "[0-9]+",
        "default": "s3cret",
    }
    issues = check(fields=[field], global_values={"pin": "s3cret!"})
    assert len(issues) == 2
    assert "s3cret" not in repr(issues)


def test_all_issues_come_at_once() -> None:
    issues = check(
        campaign={"id": "a", "name": "b", "mode": "test"},
        server={},
        template={},
        delivery={"headers": {"To": "x", "Subject": "y"}},
    )
    assert [issue.pointer for issue in issues] == [
        "/server/smtp",
        "/template/subject",
        "/template/text",
        "/delivery/test_recipients",
        "/delivery/headers/To",
        "/delivery/headers/Subject",
    ]


def test_time_zones_are_checked_only_where_they_are_known() -> None:
    campaign, _ = read_shape_of(
        {
            **LETTER,
            "delivery": {"send_window": {"from": "08:00", "to": "09:00", "timezone": "Mars"}},
        }
    )
    assert campaign is not None
    assert check_campaign(campaign) == []


def test_the_document_of_all_examples_has_only_the_issues_that_it_must_have() -> None:
    campaign, _ = read_shape_of(complete())
    assert campaign is not None
    assert {issue.pointer for issue in check_campaign(campaign)} <= {
        "/fields/0/default",
        "/global_values/year",
        "/server/account",
        "/attachments/zip/only_if",
        "/entries/source/mapping/values/name",
    }
