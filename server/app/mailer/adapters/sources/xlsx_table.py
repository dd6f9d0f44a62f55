"""XLSX as a table: typed cells of one sheet."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from xml.parsers import expat

import python_calamine as calamine

from app.mailer.adapters.sources.problem import Problem, checked_header
from app.mailer.adapters.sources.xlsx_scan import (
    NotXlsx,
    SheetScan,
    holds_values,
    scan_sheet,
)
from app.mailer.domain.campaign import Source
from app.mailer.domain.codes import CODES
from app.mailer.domain.entries.columns import letters
from app.mailer.domain.entries.entry import BrokenCell, shown
from app.mailer.domain.entries.fields import BadCell, read_cell
from app.mailer.domain.entries.rows import Row, Table
from app.mailer.domain.issues import Issue

MAX_UNPACKED_BYTES = 512 * 1024 * 1024
#: A table packs by a factor of ten or twenty, a bomb by up to a thousand.
_MAX_PACKING = 200
_HARMLESS_BYTES = 16 * 1024 * 1024
MAX_CELLS = 5_000_000

_OLE = bytes.fromhex("D0CF11E0A1B11AE1")  # the container of .xls, and of encrypted .xlsx files
_FAULTS = (
    NotXlsx,
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    calamine.CalamineError,
    NotImplementedError,  # a way of packing that zipfile does not know
    EOFError,
    OSError,
    ValueError,
)


def xlsx_table(data: bytes, source: Source) -> Table:
    """Opens a sheet: the named one, else the first that is visible.

    The header is its first row that is not blank. Numbers come as float, dates as date or
    datetime, a number that its format shows with leading zeros as text. Issues: `bad-source`,
    and the warning `unseen-rows`.
    """
    if data.startswith(_OLE):
        locked = "EncryptedPackage".encode("utf-16-le") in data
        raise Problem(
            "bad-source",
            source.path,
            f"{source.path} is {'protected by a password' if locked else 'an old .xls file'}.",
            "Save it as XLSX, without a password to open it. CSV, JSON and JSONL work too.",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _refuse_bomb(archive, len(data), source)
            with calamine.load_workbook(io.BytesIO(data)) as book:
                name = _sheet_name(book, source)
                scan = scan_sheet(archive, name)
                _refuse_vast(scan, name, source)
                sheet = book.get_sheet_by_name(name)
                issues = _further_sheets(archive, book, name, source)
    except _FAULTS as error:
        raise Problem(
            "bad-source",
            source.path,
            f"{source.path} cannot be read as an XLSX file: {error}.",
            "Open it in Excel or LibreOffice and save it again as XLSX.",
        ) from error
    rows = _rows(sheet, scan)
    for number, cells in rows:
        if any(cell not in ("", None) for cell in cells):
            header = checked_header([_title(cell) for cell in cells], f"{source.path}:{number}")
            return Table(header, rows, [*issues, *_hidden_rows(scan, number, source)])
    raise Problem("bad-source", source.path, f"The sheet {shown(name)} is empty.")


def _rows(sheet: calamine.CalamineSheet, scan: SheetScan) -> Iterator[Row]:
    left = sheet.start[1] if sheet.start else 0  # calamine leaves out blank columns at the left
    for index, found in enumerate(sheet.iter_rows()):
        cells: list[object] = [*[None] * left, *found]
        if scan.broken or scan.padded:
            for column, cell in enumerate(cells):
                reason = scan.broken.get((index, column))
                if reason is not None:
                    cells[column] = BrokenCell(reason)
                elif isinstance(cell, float) and cell.is_integer() and cell >= 0:
                    digits = scan.padded.get((index, column))
                    if digits is not None:
                        cells[column] = f"{int(cell):0{digits}d}"
        yield Row(index + 1, cells)


def _title(cell: object) -> str:
    if isinstance(cell, BrokenCell):
        return ""
    try:
        return read_cell("string", cell)
    except BadCell:
        return ""


def _sheet_name(book: calamine.CalamineWorkbook, source: Source) -> str:
    sheets = [s for s in book.sheets_metadata if s.typ == calamine.SheetTypeEnum.WorkSheet]
    names = [sheet.name for sheet in sheets]
    if source.sheet in names:
        return source.sheet
    if source.sheet is not None or not sheets:
        raise Problem(
            "bad-source",
            "/entries/source/sheet" if sheets else source.path,
            f"{source.path} has no sheet {shown(source.sheet)}."
            if source.sheet
            else f"{source.path} has no sheet with cells.",
            f"Its sheets are: {', '.join(map(shown, names))}." if names else "",
        )
    return (_visible(book) or names)[0]


def _further_sheets(
    archive: zipfile.ZipFile, book: calamine.CalamineWorkbook, name: str, source: Source
) -> list[Issue]:
    """A warning of sheets that might be the one that was meant, where the campaign names none."""
    if source.sheet is not None:
        return []
    others = [each for each in _visible(book) if each != name and holds_values(archive, each)]
    if not others:
        return []
    return [
        Issue(
            "unseen-rows",
            CODES["unseen-rows"].severity,
            source.path,
            f"Only the sheet {shown(name)} is read, and there is more on "
            f"{', '.join(map(shown, others))}.",
            "Say in `entries.source.sheet` which one is meant.",
        )
    ]


def _hidden_rows(scan: SheetScan, header: int, source: Source) -> list[Issue]:
    """A warning of rows that nobody sees and that are sent to all the same."""
    rows = [row + 1 for row in scan.hidden_rows if row >= header]
    if not rows:
        return []
    listed = ", ".join(map(str, rows[:5])) + (f", … ({len(rows)} in all)" if len(rows) > 5 else "")
    return [
        Issue(
            "unseen-rows",
            CODES["unseen-rows"].severity,
            f"{source.path}:{rows[0]}",
            f"Rows are hidden, by a filter perhaps, and count all the same: {listed}.",
            "Delete those that are not meant, or show them again.",
        )
    ]


def _visible(book: calamine.CalamineWorkbook) -> list[str]:
    return [
        sheet.name
        for sheet in book.sheets_metadata
        if sheet.typ == calamine.SheetTypeEnum.WorkSheet
        and sheet.visible == calamine.SheetVisibleEnum.Visible
    ]


def _refuse_bomb(archive: zipfile.ZipFile, packed: int, source: Source) -> None:
    unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > max(_HARMLESS_BYTES, _MAX_PACKING * packed):
        raise NotXlsx(
            f"it would unpack to {unpacked / packed:.0f} times its size, as no table does"
        )
    if unpacked > MAX_UNPACKED_BYTES:
        raise Problem(
            "bad-source",
            source.path,
            f"{source.path} would unpack to {unpacked / 1024**2:.0f} MB; the limit is "
            f"{MAX_UNPACKED_BYTES // 1024**2} MB.",
            "Keep only the table of recipients in it, or save that as CSV.",
        )
    broken = archive.testzip()  # reads no more of a part than its size says, and checks its sum
    if broken is not None:
        raise NotXlsx(f"its part {broken} is damaged")


def _refuse_vast(scan: SheetScan, name: str, source: Source) -> None:
    if (scan.last_row + 1) * (scan.last_column + 1) > MAX_CELLS:
        raise Problem(
            "bad-source",
            source.path,
            f"The sheet {shown(name)} reaches to column {letters(scan.last_column)} and row "
            f"{scan.last_row + 1}; that is more than {MAX_CELLS:,} cells.",
            "Delete the rows and columns beyond the table, and save it again.",
        )
