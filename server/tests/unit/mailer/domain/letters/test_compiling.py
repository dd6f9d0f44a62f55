from __future__ import annotations

from typing import Any

import pytest

from app.mailer.domain.campaign import Rule
from app.mailer.domain.issues import Severity
from app.mailer.domain.letters.compiled import MailboxTemplate
from app.mailer.domain.letters.compiling import compile_mailbox, compile_rules
from app.mailer.domain.templates.placeholders import Declared, Values, compile_template

from .making import compiled

NAMES = Declared(local=frozenset({"name", "email", "pin"}), global_=frozenset({"year"}))
FIELDS = [{"name": "name"}, {"name": "year", "scope": "global"}]


def mailbox(spec: Any) -> MailboxTemplate:
    return compile_mailbox(spec, "/to/0", lambda text, _pointer: compile_template(text, NAMES))


VALUES = Values({"name": "Ada <eve@evil.example>", "email": "ada@example.org"})


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("${name} <${email}>", "Ada <eve@evil.example>"),
        ('"Dr. ${name}" <${email}>', "Dr. Ada <eve@evil.example>"),
        ({"name": "${name}", "email": "${email}"}, "Ada <eve@evil.example>"),
        ("<${email}>", None),
        ("${email}", None),
        ({"email": "${email}"}, None),
        ({"email": "${email}", "name": ""}, None),
    ],
)
def test_name_and_address_are_filled_in_apart(spec: Any, name: str | None) -> None:
    found = mailbox(spec)
    assert found.email.render(VALUES) == "ada@example.org"
    assert (found.name and found.name.render(VALUES)) == name


def test_constant_mailboxes_are_read_once() -> None:
    found = compiled(fields=FIELDS, recipients={"to": ["Ada <a@b.org>", "${name}@b.org", "c"]})
    constant, personal, broken = found.to
    assert constant.constant is not None
    assert constant.constant.address == "a@b.org"
    assert (personal.constant, personal.broken) == (None, False)
    assert (broken.constant, broken.broken) == (None, True)
    assert [(issue.code, issue.pointer) for issue in found.issues] == [
        ("invalid-recipient", "/recipients/to/2")
    ]


@pytest.mark.parametrize(
    ("parts", "code", "pointer"),
    [
        ({"template": {"subject": "${x}"}}, "unknown-placeholder", "/template/subject"),
        ({"template": {"text": {"path": "x"}}}, "unknown-placeholder", "/template/text/path"),
        ({"template": {"html": "${"}}, "bad-template", "/template/html"),
        (
            {"template": {"engine": "jinja2", "text": "{% if %}"}},
            "bad-template",
            "/template/text",
        ),
        (
            {"delivery": {"headers": {"X-A": "${x}"}}},
            "unknown-placeholder",
            "/delivery/headers/X-A",
        ),
        (
            {"attachments": {"zip": {"enabled": True, "filename": "${x}"}}},
            "unknown-placeholder",
            "/attachments/zip/filename",
        ),
        (
            {"attachments": {"zip": {"enabled": True, "password": "${x}"}}},
            "unknown-placeholder",
            "/attachments/zip/password",
        ),
        (
            {"attachments": {"global": [{"file_filter": "a"}, {"file_filter": "${x}"}]}},
            "unknown-placeholder",
            "/attachments/global/1/file_filter",
        ),
        (
            {"attachments": {"global": [{"file_filter": "a", "expect_text": ["b", "${x}"]}]}},
            "unknown-placeholder",
            "/attachments/global/0/expect_text/1",
        ),
        (
            {"recipients": {"from": {"email": "a@b.org", "name": "${x}"}}},
            "unknown-placeholder",
            "/recipients/from/name",
        ),
    ],
)
def test_faults_have_the_place_where_they_stand(
    parts: dict[str, Any], code: str, pointer: str
) -> None:
    (issue,) = compiled(**parts).issues
    assert (issue.code, issue.pointer, issue.severity) == (code, pointer, Severity.BLOCK)
    assert issue.message
    assert issue.hint


def test_a_zip_that_is_off_is_not_looked_at() -> None:
    assert not compiled(attachments={"zip": {"password": "${x}"}}).issues


def test_the_line_of_a_fault_is_told() -> None:
    (issue,) = compiled(template={"text": "a\nb ${x}"}).issues
    assert "(line 2, column 3)" in issue.message


@pytest.mark.parametrize(
    ("rule", "own", "personal"),
    [
        ({"file_filter": "a.pdf"}, False, False),
        ({"file_filter": "a.pdf"}, True, True),
        ({"file_filter": "${name}.pdf"}, False, True),
        ({"file_filter": "a.pdf", "base_dir": "${name}"}, False, True),
        ({"file_filter": "${global::year}.pdf"}, False, False),
        ({"file_filter": "a.pdf", "filename": "${name}"}, False, False),
        ({"file_filter": "a.pdf", "expect_text": ["${name}"]}, False, False),
    ],
)
def test_which_rules_pick_for_one_entry(rule: dict[str, Any], own: bool, personal: bool) -> None:
    assert _rule(rule, own=own).personal == personal


@pytest.mark.parametrize(
    ("rule", "confidential", "secret_name"),
    [
        ({"file_filter": "${name}"}, False, False),
        ({"file_filter": "${pin}"}, True, True),
        ({"file_filter": "a", "base_dir": "${pin}"}, True, True),
        ({"file_filter": "a", "filename": "${pin}"}, True, True),
        ({"file_filter": "a", "expect_text": ["${pin}"]}, True, False),
    ],
)
def test_which_rules_use_a_secret(
    rule: dict[str, Any], confidential: bool, secret_name: bool
) -> None:
    found = _rule(rule)
    assert (found.confidential, found.secret_name) == (confidential, secret_name)


def test_a_rule_without_a_label_is_called_by_its_pattern_as_written() -> None:
    assert _rule({"file_filter": "${pin}.pdf"}).label == "${pin}.pdf"
    assert _rule({"file_filter": "${pin}.pdf", "label": "Card"}).label == "Card"


def _rule(raw: dict[str, Any], *, own: bool = False) -> Any:
    (found,) = compile_rules(
        [Rule.model_validate(raw)],
        "/attachments/global",
        lambda text, _pointer: compile_template(text, NAMES),
        own=own,
        secret_names=frozenset({"pin"}),
    )
    assert found.pointer == "/attachments/global/0"
    return found


def test_global_values_are_read_by_their_type_and_fall_back_to_the_default() -> None:
    found = compiled(
        fields=[
            {"name": "a", "scope": "global", "type": "integer"},
            {"name": "b", "scope": "both", "default": "std"},
            {"name": "c", "scope": "global", "type": "integer"},
            {"name": "d"},
        ],
        global_values={"a": 7, "c": "many", "d": "local"},
    )
    assert found.global_values == {"a": "7", "b": "std", "c": ""}


def test_test_recipients_hold_in_mode_test_alone() -> None:
    delivery = {"test_recipients": ["me@example.org"]}
    assert compiled(delivery=delivery).test_recipients is None
    found = compiled(campaign={"id": "a", "name": "A", "mode": "test"}, delivery=delivery)
    assert found.test_recipients is not None
    assert [each.address for each in found.test_recipients] == ["me@example.org"]


@pytest.mark.parametrize(
    ("recipients", "told"),
    [
        ({"from": "a@b.org", "cc": ["c@b.org"]}, []),
        ({"from": "a@b.org", "cc": ["c@d.org"], "bcc": ["e@d.org"]}, ["cc/0", "bcc/0"]),
        ({"from": "a@b.org", "bcc": ["${name}@d.org"]}, []),
        ({"from": "a@b.org", "bcc": ["x@${global::year}.org"]}, ["bcc/0"]),
        ({"from": "${name}@b.org", "bcc": ["c@d.org"]}, []),
        ({"bcc": ["c@d.org"]}, []),
    ],
)
def test_who_gets_a_copy_of_everybodys_letter(recipients: dict[str, Any], told: list[str]) -> None:
    found = compiled(fields=FIELDS, global_values={"year": "y2026"}, recipients=recipients)
    assert [issue.pointer for issue in found.issues] == [f"/recipients/{place}" for place in told]
    assert all(issue.code == "shared-copy" for issue in found.issues)


@pytest.mark.parametrize(
    ("parts", "pointer", "shown"),
    [
        ({"template": {"subject": "Hi {{name}}", "text": "x"}}, "/template/subject", "“{{name}}”"),
        (
            {"template": {"engine": "jinja2", "subject": "x", "text": "Dear ${local::name}"}},
            "/template/text",
            "“${local::name}”",
        ),
        (
            {"template": {"subject": "x", "html": "<p>Dear &laquo;First name&raquo;</p>"}},
            "/template/html",
            "“«First name»”",
        ),
        (
            {"attachments": {"global": [{"file_filter": "{{ local.name }}.pdf"}]}},
            "/attachments/global/0/file_filter",
            "“{{ local.name }}”",
        ),
        (
            {"attachments": {"zip": {"enabled": True, "password": "{{local.name}}"}}},
            "/attachments/zip/password",
            "a placeholder of another",
        ),
    ],
)
def test_a_placeholder_of_another_engine_would_reach_everybody(
    parts: dict[str, Any], pointer: str, shown: str
) -> None:
    fields = [{"name": "name", "label": "First name"}]
    (issue,) = compiled(fields=fields, **parts).issues
    assert (issue.code, issue.severity) == ("stray-placeholder", Severity.BLOCK)
    assert issue.pointer == pointer
    assert shown in issue.message
    assert ("name" in issue.message) == ("password" not in pointer)
    ignored = compiled(fields=fields, validation_policy={"stray_placeholder": "ignore"}, **parts)
    assert ignored.issues == []
