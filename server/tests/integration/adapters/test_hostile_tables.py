"""Tables that mean harm: small files that would become gigabytes, or never be read to their end."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.adapters.test_sources import opened, refusal

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


@contextmanager
def soon(seconds: float) -> Iterator[None]:
    begin = time.process_time()
    yield
    assert time.process_time() - begin < seconds


def xlsx(rows: str, shared: str = "") -> bytes:
    parts = {
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}"><Relationship Id="r1" Target='
        f'"xl/workbook.xml" Type="{_LINKS}/officeDocument"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_LINKS}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}"><Relationship Id="r1" '
        f'Target="worksheets/sheet1.xml" Type="{_LINKS}/worksheet"/><Relationship Id="r2" '
        f'Target="sharedStrings.xml" Type="{_LINKS}/sharedStrings"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData>'
        "</worksheet>",
        "xl/sharedStrings.xml": f'<sst xmlns="{_MAIN}">{shared}</sst>',
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return data.getvalue()


@pytest.mark.parametrize(
    ("rows", "shared"),
    [("", "<si/>" * 8_000_000), ("<row/>" * 8_000_000, ""), ("<row><c/></row>" * 3_000_000, "")],
    ids=["strings", "rows", "cells"],
)
def test_an_xlsx_bomb(tmp_path: Path, rows: str, shared: str) -> None:
    data = xlsx(rows, shared)
    with soon(1):
        issue = refusal(tmp_path, "a.xlsx", data)
    assert issue.code == "bad-source"
    assert "times its size" in issue.message


def test_an_attribute_of_many_megabytes(tmp_path: Path) -> None:
    """Expat reads a token from its beginning with each piece: 15 MB in pieces of 2 KB take long."""
    data = xlsx(f'<row x="{"a" * 15_000_000}"/>')
    with soon(3):
        assert refusal(tmp_path, "a.xlsx", data).code == "bad-source"


@pytest.mark.parametrize("begin", ["", "to;name\n"])
def test_a_line_of_nothing_but_separators(tmp_path: Path, begin: str) -> None:
    path = tmp_path / "a.csv"
    with soon(3):
        table = opened_rows(path, begin + ";" * 20_000_000)
    assert "line larger than line limit" in table


def opened_rows(path: Path, text: str) -> str:
    """What is wrong with a table once all of its rows were asked for."""
    table = opened(path.parent, path.name, text)
    list(table.rows)
    return " ".join(issue.message for issue in table.issues)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_more_columns_than_a_spreadsheet_has(tmp_path: Path, name: str) -> None:
    keys = [f"k{number}" for number in range(20_000)]
    text = ";".join(keys) + "\n1\n"
    if name != "a.csv":
        objects = [f'{{"{key}": 1}}' for key in keys]
        text = "\n".join(objects) if name == "a.jsonl" else f"[{','.join(objects)}]"
    with soon(3):
        issue = refusal(tmp_path, name, text)
    assert "20,000 columns; at most 16,384" in issue.message


def test_more_cells_than_anybody_means(tmp_path: Path) -> None:
    first = "{" + ",".join(f'"k{number}": 1' for number in range(10_000)) + "}"
    with soon(3):
        issue = refusal(tmp_path, "a.jsonl", first + "\n{}" * 5_000)
    assert "5,001 objects with 10,000 keys" in issue.message
