"""Tables of recipients as real programs write them, and as they break."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.adapters.sources import open_source
from app.mailer.adapters.sources.csv_table import csv_table
from app.mailer.domain.campaign import Source
from app.mailer.domain.entries.entry import BrokenCell
from app.mailer.domain.entries.rows import Row, Table
from app.mailer.domain.issues import Issue, Severity


def opened(folder: Path, name: str, data: bytes | str, **source: object) -> Table:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return open_source(path, Source.model_validate({"path": name, **source}))


def read(
    folder: Path, name: str, data: bytes | str, **source: object
) -> tuple[list[str], list[Row]]:
    table = opened(folder, name, data, **source)
    rows = list(table.rows)
    assert table.issues == []
    return table.header, rows


def refusal(folder: Path, name: str, data: bytes | str, **source: object) -> Issue:
    table = opened(folder, name, data, **source)
    assert (table.header, list(table.rows)) == ([], [])
    [issue] = table.issues
    return issue


class TestFiles:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        table = open_source(tmp_path / "no.csv", Source.model_validate({"path": "no.csv"}))
        assert [(i.code, i.pointer) for i in table.issues] == [("missing-file", "no.csv")]

    def test_a_folder(self, tmp_path: Path) -> None:
        table = open_source(tmp_path, Source.model_validate({"path": "x.csv"}))
        assert [i.code for i in table.issues] == ["unreadable-file"]

    @pytest.mark.timeout(10)
    def test_a_pipe_and_a_device_do_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.csv")
        for path in (tmp_path / "pipe.csv", Path("/dev/zero")):
            table = open_source(path, Source.model_validate({"path": "pipe.csv"}))
            assert [i.code for i in table.issues] == ["unreadable-file"]

    def test_no_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.csv"
        path.write_text("to\n")
        path.chmod(0)
        if os.geteuid() == 0:  # root may read everything

            def denied(*_: object, **__: object) -> int:
                raise PermissionError(13, "Permission denied")

            monkeypatch.setattr(os, "open", denied)
        table = open_source(path, Source.model_validate({"path": "a.csv"}))
        assert [i.code for i in table.issues] == ["unreadable-file"]
        assert "Permission denied" in table.issues[0].message

    def test_a_type_that_nobody_knows(self, tmp_path: Path) -> None:
        issue = refusal(tmp_path, "a.ods", "x")
        assert issue.code == "bad-source"
        assert "csv, xlsx, json or jsonl" in issue.hint

    def test_too_large(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        with path.open("wb") as file:
            file.truncate(300 * 1024 * 1024)
        table = open_source(path, Source.model_validate({"path": "a.csv"}))
        assert "300 MB" in table.issues[0].message

    @pytest.mark.parametrize("name", ["a.csv", "a.xlsx", "a.json", "a.jsonl"])
    def test_empty(self, tmp_path: Path, name: str) -> None:
        assert refusal(tmp_path, name, b"").code == "bad-source"


GERMAN = (
    "Nr;Name;E-Mail;Anschrift;Betrag\r\n"
    '007;Jörg Müller;j@example.org;"Hauptstraße 1\n12345 Köln";1.234,56\r\n'
    '008;"Ute ""Uschi"" Groß";u@example.org;;"12,00 €"\r\n'
)


class TestCsv:
    @pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig", "utf-16"])
    def test_as_excel_writes_it(self, tmp_path: Path, encoding: str) -> None:
        header, rows = read(tmp_path, "a.csv", GERMAN.encode(encoding))
        assert header == ["Nr", "Name", "E-Mail", "Anschrift", "Betrag"]
        assert rows == [
            (2, ["007", "Jörg Müller", "j@example.org", "Hauptstraße 1\n12345 Köln", "1.234,56"]),
            (3, ["008", 'Ute "Uschi" Groß', "u@example.org", "", "12,00 €"]),
        ]

    def test_an_encoding_that_is_said(self, tmp_path: Path) -> None:
        data = "to;name\na@b.de;Łucja\n".encode("iso8859-2")
        assert read(tmp_path, "a.csv", data, encoding="iso8859-2")[1][0].cells[1] == "Łucja"

    def test_bytes_that_do_not_decode_are_named(self, tmp_path: Path) -> None:
        data = b'to;name\n"a@b.de\nx";A\nb@b.de;J\xf6rg\n'
        issue = refusal(tmp_path, "a.csv", data, encoding="utf-8")
        assert (issue.code, issue.pointer) == ("wrong-encoding", "a.csv:3")
        assert f"Byte 0xF6 in row 3 (byte {data.index(0xF6) + 1} in all)" in issue.message
        assert refusal(tmp_path, "a.csv", b"to\na\x81\n").code == "wrong-encoding"

    def test_a_fault_far_behind_and_after_a_mark(self, tmp_path: Path) -> None:
        data = codecs.BOM_UTF8 + b"to;name\n" + "a@b.de;Jürgen\n".encode() * 80_000 + b"x\xff"
        issue = refusal(tmp_path, "a.csv", data)
        assert issue.pointer == "a.csv:80002"
        assert f"byte {len(data)} in all" in issue.message

    def test_one_bad_byte_does_not_turn_utf8_into_cp1252(self, tmp_path: Path) -> None:
        data = "name\nMüller\nJörg\n".encode() + b"Ren\xe9\n"
        issue = refusal(tmp_path, "a.csv", data)
        assert issue.code == "wrong-encoding"
        assert "not utf-8" in issue.message

    def test_marks_that_contradict_and_zero_bytes(self, tmp_path: Path) -> None:
        issue = refusal(tmp_path, "a.csv", GERMAN.encode("utf-8-sig"), encoding="cp1252")
        assert issue.code == "wrong-encoding"
        issue = refusal(tmp_path, "a.csv", GERMAN.encode("utf-16-le"))
        assert issue.code == "wrong-encoding"
        assert "utf-16-le" in issue.hint
        assert (
            read(tmp_path, "a.csv", GERMAN.encode("utf-16-le"), encoding="utf-16-le")[0][0] == "Nr"
        )

    @pytest.mark.parametrize("encoding", ["utf-9", "base64", "rot13"])
    def test_an_encoding_that_is_none(self, tmp_path: Path, encoding: str) -> None:
        issue = refusal(tmp_path, "a.csv", "to\n", encoding=encoding)
        assert (issue.code, issue.pointer) == ("wrong-encoding", "/entries/source/encoding")

    @pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
    def test_the_delimiter_is_found(self, tmp_path: Path, delimiter: str) -> None:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=delimiter)
        writer.writerows([["to", "name"], ["a@b.de", "A, B; C | D\tE"], ["b@b.de", "x"]])
        header, rows = read(tmp_path, "a.csv", text.getvalue())
        assert header == ["to", "name"]
        assert rows[0].cells == ["a@b.de", "A, B; C | D\tE"]

    def test_semicolons_with_decimal_commas(self, tmp_path: Path) -> None:
        header, _ = read(tmp_path, "a.csv", "to;name, first;sum\na@b.de;A;1,50\nb@b.de;B;2,50\n")
        assert header == ["to", "name, first", "sum"]

    def test_a_single_column_is_not_split(self, tmp_path: Path) -> None:
        header, rows = read(tmp_path, "a.csv", "to\nMüller, J <a@b.de>\nb@b.de\n")
        assert header == ["to"]
        assert rows[0].cells == ["Müller, J <a@b.de>"]

    def test_a_delimiter_that_is_said(self, tmp_path: Path) -> None:
        assert read(tmp_path, "a.csv", "a;b^c\n1;2^3\n", delimiter="^")[0] == ["a;b", "c"]

    def test_excels_first_line(self, tmp_path: Path) -> None:
        assert read(tmp_path, "a.csv", "sep=|\r\na;x|b\r\n1|2\r\n") == (
            ["a;x", "b"],
            [(2, ["1", "2"])],
        )

    def test_rows_are_counted_as_a_spreadsheet_does(self, tmp_path: Path) -> None:
        _, rows = read(tmp_path, "a.csv", 'a,b\r\n"1\r\n2",x\r\n\r\ny,z\r\n')
        assert [row.number for row in rows] == [2, 3, 4]

    @pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
    def test_line_ends_with_or_without_a_last_one(self, tmp_path: Path, end: str) -> None:
        assert read(tmp_path, "a.csv", f"a;b{end}1;2{end}3;4")[1] == [
            (2, ["1", "2"]),
            (3, ["3", "4"]),
        ]

    def test_stray_quotes(self, tmp_path: Path) -> None:
        _, rows = read(tmp_path, "a.csv", 'a;b\n5" pipe;"Ada" L\n')
        assert rows == [(2, ['5" pipe', "Ada L"])]

    @pytest.mark.parametrize("end", ["", "\n"])
    def test_a_quote_that_never_ends(self, tmp_path: Path, end: str) -> None:
        table = opened(tmp_path, "a.csv", f'a;b\n1;2\n3;"4\n5;6\n7;8{end}')
        assert list(table.rows) == [(2, ["1", "2"])]
        [issue] = table.issues
        assert (issue.code, issue.pointer) == ("bad-source", "a.csv:3")

    def test_a_quote_that_swallows_rows(self, tmp_path: Path) -> None:
        text = 'to;name\na@b.de;"Ada\nb@b.de;Bo\nc@b.de;"Cy"\nd@b.de;D\n'
        _, rows = read(tmp_path, "a.csv", text)
        assert any(isinstance(cell, BrokenCell) for cell in rows[0].cells)
        fine = 'to;name\na@b.de;"Ada\nada@home.de\nBonn; Köln"\n'
        _, rows = read(tmp_path, "a.csv", fine)
        assert rows[0].cells[1] == "Ada\nada@home.de\nBonn; Köln"

    def test_long_cells(self, tmp_path: Path) -> None:
        _, rows = read(tmp_path, "a.csv", f"a;b\n{'x' * 1_000_000};1\n")
        assert len(str(rows[0].cells[0])) == 1_000_000
        table = opened(tmp_path, "a.csv", f"a;b\n{'x' * 9_000_000};1\n")
        assert list(table.rows) == []
        assert [(i.code, i.pointer) for i in table.issues] == [("bad-source", "a.csv:2")]

    def test_blank_and_double_names_in_the_header(self, tmp_path: Path) -> None:
        issue = refusal(tmp_path, "a.csv", "to;;name;to;x\n")
        assert (issue.code, issue.pointer) == ("bad-source", "a.csv:1")
        assert "no name for column B" in issue.message
        assert "“to” for the columns A, D" in issue.message

    def test_blank_columns_at_the_end_are_nothing(self, tmp_path: Path) -> None:
        assert read(tmp_path, "a.csv", "\n;;\nto;name;;\na;b;;\n")[0] == ["to", "name"]

    @pytest.mark.parametrize("text", ["\n\n", ";;;\n", "sep=;\n"])
    def test_no_header(self, tmp_path: Path, text: str) -> None:
        assert refusal(tmp_path, "a.csv", text).code == "bad-source"

    @given(
        st.integers(1, 4).flatmap(
            lambda width: st.lists(
                st.lists(
                    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
                    min_size=width,
                    max_size=width,
                ),
                max_size=6,
            )
        ),
        st.sampled_from(";,\t|"),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
        st.sampled_from(["\r\n", "\n"]),
    )
    def test_whatever_is_written_is_read(
        self, table: list[list[str]], delimiter: str, encoding: str, end: str
    ) -> None:
        header = [f"column {n}" for n in range(len(table[0]) if table else 1)]
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
            [header, *table]
        )
        source = Source.model_validate(
            {"path": "a.csv", "delimiter": delimiter if len(header) == 1 else "auto"}
        )
        found = csv_table(text.getvalue().encode(encoding), source)
        assert [list(row.cells) for row in found.rows] == table
        assert (found.header, found.issues) == (header, [])

    @given(st.binary(max_size=200), st.sampled_from(["auto", "utf-8", "cp1252", "utf-16"]))
    def test_no_bytes_make_it_fall(self, data: bytes, encoding: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a.csv", "a.json", "a.jsonl", "a.xlsx"):
                table = opened(Path(folder), name, data, encoding=encoding)
                assert list(table.rows) or table.issues or table.header


def workbook(folder: Path, fill: Callable[[Any], None], name: str = "a.xlsx") -> bytes:
    book = openpyxl.Workbook()
    fill(book)
    book.save(folder / name)
    return (folder / name).read_bytes()


def sheet_of(*rows: list[object]) -> Callable[[Any], None]:
    def fill(book: Any) -> None:
        for row in rows:
            book.active.append(row)

    return fill


def rewritten(data: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    """A copy of a zip with one part changed."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name == part else content)
    return result.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


class TestXlsx:
    def test_typed_cells(self, tmp_path: Path) -> None:
        data = workbook(
            tmp_path,
            sheet_of(
                ["to", "nr", "plz", "sum", "day", "at", "yes"],
                [
                    "ä@b.de",
                    4711,
                    "01067",
                    1.1,
                    date(2026, 12, 24),
                    datetime.fromisoformat("2026-01-02T03:04"),
                    True,
                ],
                ["b@b.de"],
            ),
        )
        header, rows = read(tmp_path, "a.xlsx", data)
        assert header == ["to", "nr", "plz", "sum", "day", "at", "yes"]
        assert rows[0].number == 2
        assert rows[0].cells == [
            "ä@b.de",
            4711,
            "01067",
            1.1,
            date(2026, 12, 24),
            datetime.fromisoformat("2026-01-02T03:04"),
            True,
        ]
        assert not any(rows[1].cells[1:])

    def test_rows_and_columns_are_those_of_the_spreadsheet(self, tmp_path: Path) -> None:
        def fill(book: Any) -> None:
            book.active["C4"], book.active["D4"] = "to", "nr"
            book.active["C7"], book.active["D7"] = "a@b.de", 7
            book.active["D7"].number_format = "00000"

        issue = refusal(tmp_path, "a.xlsx", workbook(tmp_path, fill))
        assert "no name for column A, B" in issue.message
        assert issue.pointer == "a.xlsx:4"

        def named(book: Any) -> None:
            fill(book)
            book.active["A4"], book.active["B4"] = "x", "y"

        header, rows = read(tmp_path, "a.xlsx", workbook(tmp_path, named))
        assert header == ["x", "y", "to", "nr"]
        assert rows[-1].number == 7
        assert rows[-1].cells[2:] == ["a@b.de", "00007"]

    def test_leading_zeros_that_a_format_shows(self, tmp_path: Path) -> None:
        def fill(book: Any) -> None:
            book.active.append(["plz", "sum"])
            book.active.append([1067, 1067])
            book.active.append([12345.0, 1])
            book.active["A2"].number_format = book.active["A3"].number_format = "00000"
            book.active["B2"].number_format = "0.00"

        _, rows = read(tmp_path, "a.xlsx", workbook(tmp_path, fill))
        assert [row.cells for row in rows] == [["01067", 1067], ["12345", 1]]

    def test_errors_and_formulas_without_a_result_are_no_empty_cells(self, tmp_path: Path) -> None:
        def fill(book: Any) -> None:
            sheet = book.active
            sheet.append(["name", "number", "text", "sum"])
            sheet.append(["Ada", "#N/A", "#N/A is text", "=1+1"])
            sheet["C2"].data_type = "s"

        _, rows = read(tmp_path, "a.xlsx", workbook(tmp_path, fill))
        name, number, text, total = rows[0].cells
        assert (name, text) == ("Ada", "#N/A is text")
        assert number == BrokenCell("The cell holds the error #N/A.")
        assert isinstance(total, BrokenCell)
        assert "formula" in total.reason

    def test_a_formula_with_a_result_is_its_result(self, tmp_path: Path) -> None:
        data = workbook(tmp_path, sheet_of(["n", "t"], ["=1+1", '=""']))

        def calculated(xml: bytes) -> bytes:
            return xml.replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>").replace(
                b'r="B2"><f>""</f><v />', b'r="B2" t="str"><f>""</f><v></v>'
            )

        changed = rewritten(data, SHEET, calculated)
        assert read(tmp_path, "a.xlsx", changed)[1][0].cells == [2, ""]

    def test_sheets(self, tmp_path: Path) -> None:
        def fill(book: Any) -> None:
            book.active.title = "Hidden"
            book.active.sheet_state = "hidden"
            book.create_chartsheet("Chart")
            book.create_sheet("Members").append(["to"])
            book.create_sheet("Äther & Co").append(["cc"])

        data = workbook(tmp_path, fill)
        table = opened(tmp_path, "a.xlsx", data)
        assert table.header == ["to"]
        [issue] = table.issues
        assert (issue.code, issue.severity) == ("unseen-rows", Severity.WARN)
        assert "Only the sheet “Members” is read, and there is more on “Äther" in issue.message
        assert read(tmp_path, "a.xlsx", data, sheet="Members")[0] == ["to"]
        assert read(tmp_path, "a.xlsx", data, sheet="Äther & Co")[0] == ["cc"]
        issue = refusal(tmp_path, "a.xlsx", data, sheet="members")
        assert (issue.code, issue.pointer) == ("bad-source", "/entries/source/sheet")
        assert "“Hidden”, “Members”, “Äther & Co”" in issue.hint
        assert "is empty" in refusal(tmp_path, "a.xlsx", data, sheet="Hidden").message

    def test_further_sheets_that_are_empty_are_no_matter(self, tmp_path: Path) -> None:
        def fill(book: Any) -> None:
            book.active.append(["to"])
            book.create_sheet("Sheet2")

        assert read(tmp_path, "a.xlsx", workbook(tmp_path, fill))[0] == ["to"]

    def test_rows_that_a_filter_hides_count_and_are_told(self, tmp_path: Path) -> None:
        def fill(book: Any) -> None:
            sheet = book.active
            for row in (["to"], ["a@b.de"], ["b@b.de"], ["c@b.de"]):
                sheet.append(row)
            for number in (3, 4, 9):
                sheet.row_dimensions[number].hidden = True

        table = opened(tmp_path, "a.xlsx", workbook(tmp_path, fill))
        assert [row.cells for row in table.rows] == [["a@b.de"], ["b@b.de"], ["c@b.de"]]
        [issue] = table.issues
        assert (issue.code, issue.severity, issue.pointer) == (
            "unseen-rows",
            Severity.WARN,
            "a.xlsx:3",
        )
        assert issue.message.endswith("count all the same: 3, 4.")
        assert issue.hint

    def test_files_that_are_something_else(self, tmp_path: Path) -> None:
        ole = bytes.fromhex("D0CF11E0A1B11AE1") + bytes(600)
        locked = ole + "EncryptedPackage".encode("utf-16-le")
        assert "password" in refusal(tmp_path, "a.xlsx", locked).message
        assert "old .xls" in refusal(tmp_path, "a.xlsx", ole).message
        assert refusal(tmp_path, "a.xlsx", b"to;name\n").code == "bad-source"
        empty = io.BytesIO()
        zipfile.ZipFile(empty, "w").close()
        assert refusal(tmp_path, "a.xlsx", empty.getvalue()).code == "bad-source"

    def test_damaged_files(self, tmp_path: Path) -> None:
        data = workbook(tmp_path, sheet_of(["to"], ["a@b.de"]))
        for broken in (
            data[: len(data) // 2],
            rewritten(data, SHEET, lambda xml: xml[:-20]),
            rewritten(data, SHEET, lambda xml: b'<!DOCTYPE x [<!ENTITY e "e">]>' + xml),
            rewritten(data, "xl/_rels/workbook.xml.rels", lambda _: b"<x/>"),
            rewritten(data, SHEET, lambda xml: xml.replace(b'r="A2"', b'r="ZZZZ2"')),
        ):
            issue = refusal(tmp_path, "a.xlsx", broken)
            assert issue.code == "bad-source"
            assert "save it again" in issue.hint

    def test_bombs(self, tmp_path: Path) -> None:
        data = workbook(tmp_path, sheet_of(["to"], ["a@b.de"]))
        stray = rewritten(data, SHEET, lambda xml: xml.replace(b'r="A2"', b'r="XFD1048576"'))
        assert "column XFD and row 1048576" in refusal(tmp_path, "a.xlsx", stray).message
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(SHEET, bytes(1024 * 1024))
        huge = packed.getvalue().replace(
            (1024 * 1024).to_bytes(4, "little"), (0xF0000000).to_bytes(4, "little")
        )
        assert "would unpack to" in refusal(tmp_path, "a.xlsx", huge).message
        liar = packed.getvalue().replace(
            (1024 * 1024).to_bytes(4, "little"), (1024).to_bytes(4, "little")
        )
        assert "damaged" in refusal(tmp_path, "a.xlsx", liar).message


class TestJson:
    def test_a_list_of_objects(self, tmp_path: Path) -> None:
        text = '[{"to": "a@b.de", "n": 1.10}, {"n": 123456789012345678901, "x": null, "y": true}]'
        header, rows = read(tmp_path, "a.json", text)
        assert header == ["to", "n", "x", "y"]
        assert rows == [
            (1, ["a@b.de", Decimal("1.10"), None, None]),
            (2, [None, 123456789012345678901, None, True]),
        ]
        assert str(rows[0].cells[1]) == "1.10"

    def test_lines(self, tmp_path: Path) -> None:
        text = '\ufeff{"to": "a\u2028b"}\r\n\r\n{"to": "b@b.de"}'
        assert read(tmp_path, "a.jsonl", text) == (["to"], [(1, ["a\u2028b"]), (3, ["b@b.de"])])

    def test_nested_values_and_half_characters_break_their_cell_only(self, tmp_path: Path) -> None:
        _, rows = read(tmp_path, "a.json", '[{"a": [1], "b": {}, "c": "\\ud800", "d": "ok"}]')
        assert [type(cell) for cell in rows[0].cells] == [BrokenCell, BrokenCell, BrokenCell, str]

    @pytest.mark.parametrize(
        ("name", "text", "pointer", "words"),
        [
            ("a.json", '[{"to": 1},\n {"to": }]', "a.json", "line 2, column 9"),
            ("a.json", '{"to": 1}', "a.json", "an object"),
            ("a.json", '[{"to": 1}, "x"]', "a.json:2", "text"),
            ("a.json", '[{"to": NaN}]', "a.json", "NaN"),
            ("a.json", '[{"to": 1, "to": 2}]', "a.json", "“to” stands twice"),
            ("a.json", "[" * 100_000, "a.json", "too deeply"),
            ("a.json", f'[{{"to": {"9" * 5000}}}]', "a.json", "5000 digits"),
            ("a.json", "[]", "a.json", "no rows"),
            ("a.json", '[{"": 1, "b": 2}]', "a.json", "no name for column A"),
            ("a.jsonl", '{"to": 1}\n{"to": 2\n', "a.jsonl:2", "line 2, column 9"),
            ("a.jsonl", '{"to": 1}\n[]\n', "a.jsonl:2", "a list"),
            ("a.jsonl", '{"to": 1}\n{"to": Infinity}', "a.jsonl:2", "Infinity"),
        ],
    )
    def test_what_is_wrong_is_said(
        self, tmp_path: Path, name: str, text: str, pointer: str, words: str
    ) -> None:
        issue = refusal(tmp_path, name, text)
        assert (issue.code, issue.pointer) == ("bad-source", pointer)
        assert words in issue.message

    def test_encodings(self, tmp_path: Path) -> None:
        data = json.dumps([{"name": "Jörg"}], ensure_ascii=False).encode("cp1252")
        issue = refusal(tmp_path, "a.json", data)
        assert issue.code == "wrong-encoding"
        assert "0xF6 in line 1" in issue.message
        assert read(tmp_path, "a.json", data, encoding="cp1252")[1][0].cells == ["Jörg"]
        assert refusal(tmp_path, "a.json", data, encoding="utf9").code == "wrong-encoding"
