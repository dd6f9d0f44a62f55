from __future__ import annotations

from app.mailer.domain.issues import Issue, Severity

from .making import compiled


def test_a_policy_raises_lowers_and_ignores() -> None:
    found = compiled(
        validation_policy={"too_large": "ignore", "empty_file": "exclude", "shared_file": "review"}
    )
    issues = [
        Issue(code, Severity.WARN, "", "")
        for code in ("too-large", "empty-file", "shared-file", "missing-file")
    ]
    assert [(each.code, each.severity) for each in found.judge(issues)] == [
        ("empty-file", Severity.EXCLUDE),
        ("shared-file", Severity.REVIEW),
        ("missing-file", Severity.WARN),  # no policy concerns it
    ]


def test_what_rows_of_a_group_must_agree_on() -> None:
    fields = [{"name": name} for name in "abcd"]
    assert compiled(fields=fields).must_agree is None
    without_rows = {"engine": "jinja2", "subject": "x", "text": "{{ local.a }}"}
    assert compiled(fields=fields, template=without_rows).must_agree is None
    found = compiled(
        fields=fields,
        template={
            "engine": "jinja2",
            "subject": "{{ local.a }}",
            "text": "{% for row in rows %}{{ row.d }}{% endfor %}",
        },
        attachments={"global": [{"file_filter": "${b}"}]},
        delivery={"headers": {"X-C": "${c}"}},
    )
    assert found.must_agree == {"a", "b", "c"}


def test_who_gets_it_and_whether_it_is_encrypted_must_agree() -> None:
    found = compiled(
        fields=[{"name": name} for name in "abcdefg"] + [{"name": "safe", "type": "boolean"}],
        template={
            "engine": "jinja2",
            "subject": "x",
            "text": "{% for row in rows %}{{ row.g }}{% endfor %}",
        },
        recipients={
            "from": "${a}@example.org",
            "reply_to": ["${b}@example.org"],
            "to": ["${c} <${d}@example.org>"],
            "cc": [{"email": "${e}@example.org"}],
            "bcc": ["${f}@example.org"],
        },
        attachments={"zip": {"enabled": True, "only_if": "safe"}},
    )
    assert found.must_agree == {*"abcdef", "safe"}
