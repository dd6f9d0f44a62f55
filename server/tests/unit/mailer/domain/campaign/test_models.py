"""What the models decide beyond their types."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from app.mailer.domain.campaign import (
    DAYS,
    RESERVED_HEADERS,
    Campaign,
    Delivery,
    Field,
    ImapServer,
    Recipients,
    Rule,
    SendWindow,
    SmtpServer,
    Source,
    ValidationPolicy,
    is_reserved_header,
)
from app.mailer.domain.campaign.schema import campaign_schema
from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.codes import POLICY_DEFAULTS
from app.mailer.domain.issues import Severity

from .documents import draft


def shaped(**parts: Any) -> Campaign:
    campaign, issues = read_shape_of(draft(**parts))
    assert campaign is not None, issues
    return campaign


def test_the_policy_has_the_keys_and_defaults_of_the_codes() -> None:
    policy = ValidationPolicy()
    assert set(ValidationPolicy.model_fields) == set(POLICY_DEFAULTS)
    assert {key: policy.severity_for(key) for key in POLICY_DEFAULTS} == POLICY_DEFAULTS


def test_the_policy_says_what_was_chosen() -> None:
    policy = shaped(
        validation_policy={"empty_file": "exclude", "header_injection": "review"}
    ).validation_policy
    assert policy.severity_for("empty_file") is Severity.EXCLUDE
    assert policy.severity_for("header_injection") is Severity.REVIEW
    with pytest.raises(KeyError):
        policy.severity_for("severity_for")


@pytest.mark.parametrize("security", ["plain", "tls", "starttls"])
def test_the_port_follows_the_security(security: str) -> None:
    server = shaped(
        server={
            "smtp": {"security": security, "host": "a"},
            "imap": {"security": security, "host": "a"},
        }
    ).server
    assert server.smtp is not None
    assert server.imap is not None
    assert server.smtp.port == {"plain": 25, "tls": 465, "starttls": 587}[security]
    assert server.imap.port == {"plain": 143, "tls": 993, "starttls": 143}[security]


def test_a_port_that_is_given_stays() -> None:
    assert SmtpServer(host="a", port=2525).port == 2525
    assert SmtpServer(host="a").port == 587
    assert ImapServer(host="a").port == 993


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.csv", "csv"),
        ("A.CSV", "csv"),
        ("dir.json/a.txt", "csv"),
        ("a.xlsx", "xlsx"),
        ("a.json", "json"),
        ("a.jsonl", "jsonl"),
        ("a.pdf", None),
        ("csv", None),
    ],
)
def test_the_kind_of_a_source_follows_its_ending(path: str, kind: str | None) -> None:
    assert Source(path=path).kind == kind
    assert Source(path=path, type="json").kind == "json"


@pytest.mark.parametrize(
    "name",
    ["From", "BCC", "Message-ID", "Content-Type", "content-anything", "Resent-To", "MIME-Version",
     "Received", "DKIM-Signature", "Return-Path", "Sender", "ARC-Seal"],
)  # fmt: skip
def test_reserved_headers(name: str) -> None:
    assert is_reserved_header(name)


@pytest.mark.parametrize("name", ["X-Campaign", "List-Unsubscribe", "Auto-Submitted", "Precedence"])
def test_headers_of_ones_own(name: str) -> None:
    assert not is_reserved_header(name)


def test_reserved_headers_are_lower_case() -> None:
    assert all(name == name.lower() for name in RESERVED_HEADERS)


def test_scopes() -> None:
    scopes = {scope: Field(name="a", scope=scope) for scope in ("local", "global", "both")}
    assert [scope for scope, field in scopes.items() if field.is_local] == ["local", "both"]
    assert [scope for scope, field in scopes.items() if field.is_global] == ["global", "both"]
    assert Field(name="a").heading == "a"
    assert Field(name="a", label="Name").heading == "Name"


def test_defaults_of_the_format_page() -> None:
    rule = Rule(file_filter="*.pdf")
    assert (rule.base_dir, rule.include_subdirs, rule.required) == (".", False, True)
    assert (rule.allow_multiple, rule.on_missing, rule.on_ambiguous) == (False, None, None)
    combine = Recipients().combine
    assert (combine.to, combine.cc, combine.bcc, combine.reply_to) == (False, True, True, True)
    assert combine.attachments is True
    delivery = Delivery()
    assert delivery.max_message_bytes == 25 * 1024 * 1024
    assert (delivery.retry.max_attempts, delivery.retry.backoff_seconds) == (5, 60)
    assert (delivery.rate_limit.messages_per_minute, delivery.rate_limit.concurrency) == (None, 1)
    assert (delivery.imap_append_sent.enabled, delivery.imap_append_sent.folder) == (False, "auto")


def test_times_are_read() -> None:
    delivery = shaped(
        delivery={
            "send_window": {"from": "08:00", "to": "18:30"},
            "not_before": "2026-12-01T08:00:00+01:00",
        }
    ).delivery
    assert delivery.send_window == SendWindow(from_=time(8), to=time(18, 30), days=list(DAYS))
    assert delivery.not_before == datetime(2026, 12, 1, 7, tzinfo=UTC)
    assert delivery.not_before is not None
    assert delivery.not_before.utcoffset() == timedelta(hours=1)


def test_a_campaign_does_not_change() -> None:
    with pytest.raises(ValidationError):
        shaped().campaign.mode = "send"  # type: ignore[misc]


def test_each_default_is_written_into_the_description() -> None:
    for name, model in [("", campaign_schema()), *campaign_schema()["$defs"].items()]:
        for key, schema in model.get("properties", {}).items():
            if "default" in schema:
                assert "Default: " in schema["description"], f"{name}/{key}"
