"""Inline entries, their ids and values."""

from __future__ import annotations

import tracemalloc
from typing import cast

import pytest

from app.mailer.domain.campaign import EntrySpec, Field, Rule
from app.mailer.domain.entries.entry import Entry, LocalFields, check_ids, entries_from_inline
from app.mailer.domain.issues import Severity


def field(name: str, type: str = "string", **more: object) -> Field:
    return Field.model_validate({"name": name, "type": type, **more})


def inline(*specs: dict[str, object], fields: list[Field] | None = None) -> list[Entry]:
    declared = LocalFields(fields if fields is not None else [field("name")])
    return list(entries_from_inline([cast("EntrySpec", spec) for spec in specs], declared))


def codes(entry: Entry) -> list[str]:
    return [issue.code for issue in entry.issues]


def test_everything_that_is_written_is_there() -> None:
    rule = Rule.model_validate({"file_filter": "a.pdf"})
    [entry] = inline(
        {
            "id": "m-1",
            "active": False,
            "from": "Office <o@example.org>",
            "reply_to": ["r@example.org"],
            "to": [{"email": "a@example.org", "name": "Ada"}],
            "cc": [],
            "values": {"name": "Ada"},
            "attachments": [rule],
            "subject": "Hello",
            "note": "called",
        }
    )
    assert entry.id == "m-1"
    assert entry.pointer == "/entries/inline/0"
    assert not entry.active
    assert entry.from_ == "Office <o@example.org>"
    assert entry.reply_to == ("r@example.org",)
    assert entry.to == ({"email": "a@example.org", "name": "Ada"},)
    assert entry.cc == ()
    assert entry.bcc is None
    assert entry.values == {"name": "Ada"}
    assert entry.rows == ({"name": "Ada"},)
    assert entry.rules == (rule,)
    assert (entry.subject, entry.note) == ("Hello", "called")
    assert entry.issues == []


def test_a_missing_key_is_not_an_empty_list() -> None:
    missing, empty = inline({}, {"to": [], "attachments": []})
    assert (missing.to, missing.rules) == (None, None)
    assert (empty.to, empty.rules) == ((), ())


def test_values_are_read_as_their_type_and_defaults_fill_gaps() -> None:
    fields = [
        field("number", "integer"),
        field("day", "date", default="24.12.2026"),
        field("title", default="Member"),
        field("office", scope="global"),
    ]
    [entry] = inline({"values": {"number": 42, "title": " "}}, fields=fields)
    assert entry.values == {"number": "42", "day": "24.12.2026", "title": "Member"}


def test_a_bad_value_names_its_place() -> None:
    fields = [field("n", "integer", required=True)]
    [entry] = inline({"id": "x", "values": {"n": "twelve"}}, fields=fields)
    [issue] = entry.issues
    assert (issue.code, issue.pointer, issue.entry) == (
        "bad-cell",
        "/entries/inline/0/values/n",
        "x",
    )
    assert "twelve" in issue.message
    assert issue.severity is Severity.BLOCK
    assert entry.values["n"] == ""


def test_an_undeclared_value_is_named_with_the_nearest_field() -> None:
    fields = [field("number"), field("office", scope="global")]
    [entry] = inline({"values": {"nubmer": "1", "office": "x", "a/b~": 1}}, fields=fields)
    assert codes(entry) == ["unknown-field"] * 3
    assert "“number”" in entry.issues[0].hint
    assert "global_values" in entry.issues[1].hint
    assert entry.issues[2].pointer == "/entries/inline/0/values/a~1b~0"
    assert entry.issues[0].severity is Severity.WARN


def test_a_required_value_must_be_there() -> None:
    [entry] = inline({"values": {"name": "  "}}, fields=[field("name", required=True)])
    assert codes(entry) == ["missing-value"]
    assert entry.issues[0].pointer == "/entries/inline/0/values/name"


def test_a_global_value_stands_in_for_an_empty_local_one() -> None:
    both = field("office", scope="both", required=True, default="Rome")
    declared = LocalFields([both], frozenset({"office"}))
    [entry] = entries_from_inline([{}], declared)
    assert entry.values == {"office": ""}  # not "Rome": that would hide the global value
    assert entry.issues == []
    needed = LocalFields([field("office", scope="both", required=True)])
    assert codes(next(entries_from_inline([{}], needed))) == ["missing-value"]


def test_secrets_show_in_no_message_and_no_repr() -> None:
    fields = [field("pin", "secret", pattern="[0-9]{4}")]
    [entry] = inline({"id": "x", "values": {"pin": "hunter2"}}, {}, fields=fields)[:1]
    assert codes(entry) == ["bad-cell"]
    assert "hunter2" not in repr(entry)
    [good] = inline({"values": {"pin": "1234"}}, fields=fields)
    assert good.values == {"pin": "1234"}
    assert "1234" not in repr(good)


def test_a_derived_id_depends_on_the_content_alone() -> None:
    ada: dict[str, object] = {"to": ["a@example.org"], "values": {"name": "Ada"}}
    first, again, other = inline(ada, {**ada, "note": "x"}, {**ada, "values": {"name": "Eva"}})
    assert first.id == again.id != other.id
    assert first.id.startswith("e-")
    assert len(first.id) == 14
    [more_fields] = inline(ada, fields=[field("new"), field("name")])
    assert more_fields.id == first.id


def test_a_secret_does_not_shape_the_derived_id() -> None:
    fields = [field("pin", "secret")]
    one, two = inline({"values": {"pin": "1"}}, {"values": {"pin": "2"}}, fields=fields)
    assert one.id == two.id


@pytest.mark.parametrize("bad", ["a\nb", "x" * 201, "nul\0"])
def test_an_id_that_would_break_lists_is_refused(bad: str) -> None:
    [entry] = inline({"id": bad})
    assert codes(entry) == ["invalid-value"]
    assert entry.id.startswith("e-")
    assert entry.issues[0].pointer == "/entries/inline/0/id"
    assert "\n" not in entry.issues[0].message


def test_a_blank_id_is_none() -> None:
    assert inline({"id": " "})[0].id.startswith("e-")


def test_every_entry_of_a_shared_id_is_told() -> None:
    entries = inline({"id": "a"}, {"id": "b"}, {"id": "a"}, {"id": "a"})
    check_ids(entries)
    assert [codes(entry) for entry in entries] == [
        ["duplicate-id"],
        [],
        ["duplicate-id"],
        ["duplicate-id"],
    ]
    assert "/entries/inline/2" in entries[0].issues[0].message
    assert "/entries/inline/0" in entries[3].issues[0].message
    assert entries[0].issues[0].entry == "a"


def test_a_hundred_thousand_entries_fit() -> None:
    fields = LocalFields([field(f"f{n}") for n in range(4)])
    specs: list[EntrySpec] = [
        {"id": f"m-{n}", "to": [f"p{n}@example.org"], "values": {f"f{k}": f"{n}" for k in range(4)}}
        for n in range(2_000)
    ]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    entries = list(entries_from_inline(specs, fields))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(entries) < 1_500  # bytes each: 150 MB for 100,000
