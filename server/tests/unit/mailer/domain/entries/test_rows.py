"""Rows of a table: columns, cells, groups."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.campaign import Field, Source
from app.mailer.domain.entries.columns import Columns, letters, plan_columns
from app.mailer.domain.entries.entry import BrokenCell, Entry, LocalFields
from app.mailer.domain.entries.rows import Row, entries_from_rows, split_list
from app.mailer.domain.issues import Issue, Severity


def field(name: str, type: str = "string", **more: object) -> Field:
    return Field.model_validate({"name": name, "type": type, **more})


NAME = field("name", label="First name")
NUMBER = field("number", "integer")
PIN = field("pin", "secret")


def plan(
    header: Sequence[str], *fields: Field, **source: object
) -> tuple[Columns | None, list[Issue]]:
    read = Source.model_validate({"path": "entries.csv", **source})
    return plan_columns(header, read, LocalFields(fields))


def entries(
    header: Sequence[str],
    *rows: Sequence[object],
    fields: Sequence[Field] = (NAME, NUMBER),
    must_agree: frozenset[str] | None = None,
    **source: object,
) -> list[Entry]:
    columns, issues = plan(header, *fields, **source)
    assert columns is not None, issues
    numbered = (Row(n, row) for n, row in enumerate(rows, 2))
    return list(entries_from_rows(numbered, columns, must_agree))


def codes(entry: Entry) -> list[str]:
    return [issue.code for issue in entry.issues]


class TestColumns:
    def test_names_and_labels_without_case_blanks_and_dashes(self) -> None:
        [entry] = entries(
            ["E-Mail", "FIRST  NAME", "Num_ber", "Cc", "BCC", "ID", "Active", "Other"],
            ["a@b.de", "Ada", "7", "c@b.de", "d@b.de", "m-1", "ja", "?"],
        )
        assert entry.to == ("a@b.de",)
        assert (entry.cc, entry.bcc) == (("c@b.de",), ("d@b.de",))
        assert (entry.id, entry.active) == ("m-1", True)
        assert entry.values == {"name": "Ada", "number": "7"}

    def test_no_column_means_the_key_is_missing_and_an_empty_cell_an_empty_list(self) -> None:
        [entry] = entries(["name", "to"], ["Ada", " "])
        assert entry.to == ()
        assert entry.cc is None

    def test_a_mapping_counts_and_the_rest_goes_by_name(self) -> None:
        [entry] = entries(
            ["Wer", "Privat", "Dienst", "number", "active"],
            ["Ada", "p@b.de", "d@b.de", "7", "nein"],
            mapping={"to": ["Privat", "dienst"], "values": {"name": "Wer"}},
        )
        assert entry.to == ("p@b.de", "d@b.de")
        assert entry.values == {"name": "Ada", "number": "7"}
        assert not entry.active

    def test_an_empty_list_in_the_mapping_turns_a_column_off(self) -> None:
        [entry] = entries(["to", "cc"], ["a@b.de", "c@b.de"], mapping={"cc": []})
        assert entry.cc is None

    def test_a_mapped_column_that_is_absent_is_named_with_the_nearest(self) -> None:
        columns, issues = plan(
            ["E-Mail", "Nummer"], NUMBER, mapping={"to": "E-Mial", "values": {"number": "Numer"}}
        )
        assert columns is None
        assert [(i.code, i.pointer) for i in issues] == [
            ("missing-column", "/entries/source/mapping/values/number"),
            ("missing-column", "/entries/source/mapping/to"),
        ]
        assert "Did you mean “Nummer”?" in issues[0].hint
        assert "“E-Mail”, “Nummer”" in issues[1].hint

    def test_a_required_field_needs_a_column_or_a_default(self) -> None:
        columns, issues = plan(["to", "nmae"], field("name", required=True))
        assert columns is None
        assert [(i.code, i.pointer) for i in issues] == [("missing-column", "entries.csv")]
        assert "“nmae”" in issues[0].hint
        columns, issues = plan(["to"], field("name", required=True, default="x"))
        assert columns is not None
        assert issues == []

    def test_a_field_without_a_column_is_not_empty_in_silence(self) -> None:
        columns, [issue] = plan(["to", "frist name"], NAME)
        assert columns is not None
        assert (issue.code, issue.severity) == ("missing-column", Severity.WARN)
        assert "“name”: it would be empty in every row" in issue.message
        assert "“frist name”" in issue.hint
        for elsewhere in (
            LocalFields([field("name", default="Ada")]),
            LocalFields([field("name", scope="both")], frozenset({"name"})),
        ):
            assert plan_columns(["to"], Source(path="a.csv"), elsewhere)[1] == []
        assert plan(["to"], NAME, mapping={"values": {"name": "to"}})[1] == []

    def test_a_field_that_decides_over_encryption_needs_its_column(self) -> None:
        fields = LocalFields([field("safe", "boolean")], decisive=frozenset({"safe"}))
        columns, [issue] = plan_columns(["to", "saef"], Source(path="a.csv"), fields)
        assert columns is None
        assert issue.severity is Severity.BLOCK
        assert "“safe”, by which files are encrypted or not" in issue.message

    def test_two_columns_for_one_thing(self) -> None:
        columns, issues = plan(
            ["to", "E-Mail", "name", "First name"], field("name", required=True, label="first name")
        )
        assert columns is None
        assert [i.code for i in issues] == ["bad-source", "bad-source"]
        assert "“name” (C) and “First name” (D)" in issues[0].message
        assert "“to” (A) and “E-Mail” (B)" in issues[1].message
        assert "mapping.to" in issues[1].hint

    def test_a_field_takes_the_email_column_only_where_there_is_another(self) -> None:
        email = field("email", "email")
        [both] = entries(["email"], ["a@b.de"], fields=[email])
        assert both.to == ("a@b.de",)
        assert both.values == {"email": "a@b.de"}
        [own] = entries(["to", "email"], ["a@b.de", "x@b.de"], fields=[email])
        assert own.to == ("a@b.de",)

    def test_a_label_does_not_take_another_fields_name(self) -> None:
        [entry] = entries(["no", "nr"], ["1", "2"], fields=[field("no", label="nr"), field("nr")])
        assert entry.values == {"no": "1", "nr": "2"}

    def test_group_by_needs_its_column(self) -> None:
        columns, issues = plan(["to"], group_by="house")
        assert columns is None
        assert issues[0].pointer == "/entries/source/group_by"

    @pytest.mark.parametrize(
        ("position", "name"),
        [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16383, "XFD")],
    )
    def test_letters(self, position: int, name: str) -> None:
        assert letters(position) == name


class TestCells:
    def test_pointers_are_the_rows_a_spreadsheet_shows(self) -> None:
        found = entries(["to"], ["a@b.de"], [""], [None], ["b@b.de"])
        assert [entry.pointer for entry in found] == ["entries.csv:2", "entries.csv:5"]

    def test_a_bad_cell_names_row_and_column(self) -> None:
        [entry] = entries(["to", "number"], ["a@b.de", "zwölf"])
        [issue] = entry.issues
        assert (issue.code, issue.pointer, issue.entry) == ("bad-cell", "entries.csv:2", entry.id)
        assert "Column “number” (B)" in issue.message
        assert "zwölf" in issue.message

    @pytest.mark.parametrize("column", ["to", "id", "active", "name"])
    def test_a_broken_cell_is_said_wherever_it_stands(self, column: str) -> None:
        [entry] = entries([column], [BrokenCell("The cell holds the error #N/A.")])
        assert codes(entry) == ["bad-cell"]
        assert "#N/A" in entry.issues[0].message

    def test_a_broken_cell_in_a_column_that_nobody_uses_is_nothing(self) -> None:
        [entry] = entries(["to", "other"], ["a@b.de", BrokenCell("x")])
        assert entry.issues == []

    @pytest.mark.parametrize(
        ("cell", "active"),
        [("", True), (None, True), ("x", True), ("nein", False), (False, False), (0.0, False)],
    )
    def test_active(self, cell: object, active: bool) -> None:
        [entry] = entries(["to", "active"], ["a@b.de", cell])
        assert entry.active is active
        assert entry.issues == []

    def test_an_unclear_active_blocks(self) -> None:
        [entry] = entries(["to", "active"], ["a@b.de", "vielleicht"])
        assert entry.active
        assert codes(entry) == ["bad-cell"]

    def test_numbers_of_a_spreadsheet_as_id_and_value(self) -> None:
        [entry] = entries(["id", "name"], [4711.0, 7.0])
        assert (entry.id, entry.values["name"]) == ("4711", "7")

    def test_a_row_too_long_is_one_issue(self) -> None:
        [entry] = entries(["to", "number"], ["a@b.de", "x", "7"])
        assert codes(entry) == ["bad-cell"]
        assert "3 cells" in entry.issues[0].message

    def test_a_shifted_row_is_not_taken_for_inactive(self) -> None:
        [entry] = entries(["to", "active"], ["a", "no", "yes"])
        assert entry.active
        assert codes(entry) == ["bad-cell"]

    def test_empty_cells_beyond_the_header_and_short_rows_are_fine(self) -> None:
        long, short = entries(["to", "name"], ["a@b.de", "A", "", None], ["b@b.de"])
        assert long.issues == short.issues == []
        assert short.values["name"] == ""

    def test_the_id_cell_must_be_printable(self) -> None:
        [entry] = entries(["id", "to"], ["a\nb", "a@b.de"])
        assert codes(entry) == ["invalid-value"]


class TestLists:
    @pytest.mark.parametrize(
        ("cell", "separator", "parts"),
        [
            ("", ";", []),
            (" a@b.de ", ";", ["a@b.de"]),
            ("a@b.de; c@d.de;;", ";", ["a@b.de", "c@d.de"]),
            ('"Müller; Co" <a@b.de>; c@d.de', ";", ['"Müller; Co" <a@b.de>', "c@d.de"]),
            (r'"a\";b" <a@b.de>;c@d.de', ";", [r'"a\";b" <a@b.de>', "c@d.de"]),
            ("A <a;b@b.de>;c@d.de", ";", ["A <a;b@b.de>", "c@d.de"]),
            ("a@b.de || c@d.de", "||", ["a@b.de", "c@d.de"]),
            ('"a@b.de; c@d.de', ";", ['"a@b.de; c@d.de']),
        ],
    )
    def test_split(self, cell: str, separator: str, parts: list[str]) -> None:
        assert split_list(cell, separator) == parts

    @given(st.lists(st.text(min_size=1).filter(lambda t: t.strip()), max_size=5))
    def test_quoted_names_never_split(self, names: list[str]) -> None:
        quoted = [
            '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '" <a@b.de>' for name in names
        ]
        assert split_list(" ; ".join(quoted), ";") == quoted


class TestGroups:
    HEADER = ("house", "to", "name", "number")

    def grouped(
        self, *rows: Sequence[object], must_agree: frozenset[str] | None = None, **more: object
    ) -> list[Entry]:
        return entries(self.HEADER, *rows, must_agree=must_agree, group_by="House", **more)  # type: ignore[arg-type]

    def test_rows_of_a_group_make_one_entry_in_order_of_appearance(self) -> None:
        first, second = self.grouped(
            ["B", "b@b.de", "Bo", "1"], ["A", "a@b.de", "Al", "2"], ["B", "b@b.de", "Bo", "1"]
        )
        assert (first.to, second.to) == (("b@b.de",), ("a@b.de",))
        assert first.pointer == "entries.csv:2"
        assert len(first.rows) == 2
        assert first.issues == []

    def test_what_differs_is_a_conflict_said_once(self) -> None:
        [entry] = self.grouped(
            ["B", "b@b.de", "Bo", "1"], ["B", "b@b.de", "Bob", "2"], ["B", "b@b.de", "Bob", "3"]
        )
        assert codes(entry) == ["group-conflict", "group-conflict"]
        assert entry.issues[0].pointer == "entries.csv:3"
        assert "rows 2 and 3 of the group “B”: “Bo” and “Bob”" in entry.issues[0].message

    def test_fields_used_only_in_rows_may_differ(self) -> None:
        [entry] = self.grouped(
            ["B", "b@b.de", "Bo", "1"], ["B", "b@b.de", "Bo", "2"], must_agree=frozenset({"name"})
        )
        assert entry.issues == []
        assert [row["number"] for row in entry.rows] == ["1", "2"]
        assert entry.values["number"] == "1"

    def test_recipients_must_always_agree(self) -> None:
        [entry] = self.grouped(
            ["B", "b@b.de", "", ""], ["B", "c@b.de", "", ""], must_agree=frozenset()
        )
        assert codes(entry) == ["group-conflict"]
        assert "`to`" in entry.issues[0].message

    def test_an_inactive_row_does_not_hide_the_conflict(self) -> None:
        [entry] = entries(
            ["house", "active"], ["B", "no"], ["B", "yes"], group_by="house", must_agree=frozenset()
        )
        assert entry.active
        assert codes(entry) == ["group-conflict"]

    def test_a_row_without_a_group_is_an_entry_of_its_own_and_blocked(self) -> None:
        found = self.grouped(
            ["", "b@b.de", "", ""], ["A", "a@b.de", "", ""], ["", "c@b.de", "", ""]
        )
        assert [codes(entry) for entry in found] == [["bad-cell"], [], ["bad-cell"]]

    def test_an_empty_group_is_said_beside_other_faults(self) -> None:
        [entry] = self.grouped(["", "b@b.de", "", "x"])
        assert codes(entry) == ["bad-cell", "bad-cell"]
        [broken] = self.grouped([BrokenCell("The cell is broken."), "b@b.de", "", ""])
        assert codes(broken) == ["bad-cell"]

    def test_issues_of_every_row_are_kept(self) -> None:
        [entry] = self.grouped(["B", "b@b.de", "", ""], ["B", "b@b.de", "", "x"])
        assert codes(entry) == ["bad-cell"]
        assert entry.issues[0].pointer == "entries.csv:3"
        assert entry.issues[0].entry == entry.id

    def test_secrets_show_in_no_conflict(self) -> None:
        [entry] = entries(["pin"], ["1111"], ["1111"], fields=[PIN], group_by="pin")
        [other] = entries(
            ["pin", "to"], ["1111", "a@b.de"], ["1111", "b@b.de"], fields=[PIN], group_by="pin"
        )
        [third] = entries(
            ["to", "pin"], ["a@b.de", "1111"], ["a@b.de", "2222"], fields=[PIN], group_by="to"
        )
        assert codes(other) == codes(third) == ["group-conflict"]
        assert "1111" not in repr([entry, other, third])
        assert "2222" not in repr(third)
