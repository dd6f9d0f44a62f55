"""What the reader of XLSX files hides: read from the XML before the cells are (ECMA-376, part 1).

calamine gives "" for an error (#N/A) and for a formula that was never calculated, so that a letter
would have a gap without a word. It gives 1067 for a postcode shown as 01067 by its number format.
And it fills the rectangle around all cells, however far one stray cell is away. Hence this scan:
it finds the first three, measures the fourth, and reads everything once, so that a zip that lies
about its sizes fails here.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat

_SPREADSHEET = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
)
_ZERO_PADDED = re.compile(r"(?:\[\$-[0-9A-Fa-f]+\])?(0{2,})")
_PIECE = 1 << 20
_Attributes = dict[str, str]


class NotXlsx(ValueError):
    """The file is not an XLSX file that can be read; the message says why."""


@dataclass(slots=True)
class SheetScan:
    """One sheet, rows and columns counted from 0: how far cells with a value reach, and oddities.

    `broken` says why a cell has no value; `padded` how many digits a number is shown with.
    """

    last_row: int = -1
    last_column: int = -1
    broken: dict[tuple[int, int], str] = field(default_factory=dict)
    padded: dict[tuple[int, int], int] = field(default_factory=dict)
    #: Rows that a filter or a person hides from view, and that hold a value all the same.
    hidden_rows: list[int] = field(default_factory=list)


def holds_values(archive: zipfile.ZipFile, sheet: str) -> bool:
    """Whether there is a value anywhere in the named sheet; not in one that cannot be read."""

    def start(name: str, _attributes: _Attributes) -> None:
        if _ELEMENTS.get(name) in ("v", "is"):
            raise _Found

    try:
        _parse(archive, _part_of(archive, sheet), start)
    except _Found:
        return True
    except (NotXlsx, expat.ExpatError):
        pass
    return False


class _Found(Exception):
    """What was looked for is there."""


def scan_sheet(archive: zipfile.ZipFile, sheet: str) -> SheetScan:
    """Scans the named sheet. Raises `NotXlsx`, `zipfile.BadZipFile` or `expat.ExpatError`."""
    scanner = _Scanner(_padded_styles(archive))
    _parse(archive, _part_of(archive, sheet), scanner.start, scanner)
    return scanner.scan


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    relations: list[str] = []
    targets: dict[str, str] = {}

    def sheets(name: str, attributes: _Attributes) -> None:
        if _local(name) == "sheet" and attributes.get("name") == sheet:
            relations.extend(v for k, v in attributes.items() if _local(k) == "id" and " " in k)

    def links(name: str, attributes: _Attributes) -> None:
        if _local(name) == "Relationship":
            targets[attributes.get("Id", "")] = attributes.get("Target", "")

    _parse(archive, "xl/workbook.xml", sheets)
    _parse(archive, "xl/_rels/workbook.xml.rels", links)
    if not relations or relations[0] not in targets:
        raise NotXlsx(f"the sheet “{sheet}” has no content")
    return posixpath.normpath(posixpath.join("/xl", targets[relations[0]])).lstrip("/")


def _padded_styles(archive: zipfile.ZipFile) -> dict[str, int]:
    """The styles (by their number, as cells name them) that show a number with leading zeros."""
    formats: dict[str, int] = {}
    styles: list[str] = []
    within: list[str] = []

    def start(name: str, attributes: _Attributes) -> None:
        match _local(name):
            case "numFmt":
                found = _ZERO_PADDED.fullmatch(attributes.get("formatCode", ""))
                if found:
                    formats[attributes.get("numFmtId", "")] = len(found[1])
            case "cellXfs" | "cellStyleXfs" | "dxfs" as part:
                within.append(part)
            case "xf" if within and within[-1] == "cellXfs":
                styles.append(attributes.get("numFmtId", ""))

    if "xl/styles.xml" in archive.namelist():
        _parse(archive, "xl/styles.xml", start)
    return {str(n): formats[f] for n, f in enumerate(styles) if f in formats}


class _Scanner:
    """Hears the elements of a sheet. The costly handlers are on only where they are needed."""

    def __init__(self, padded: dict[str, int]) -> None:
        self.scan = SheetScan()
        self.parser: expat.XMLParserType | None = None
        self._padded = padded
        self._columns: dict[str, int] = {}
        self._row = -1
        self._hidden = False
        self._column = -1
        self._cell: _Attributes = {}
        self._formula = False
        self._text: list[str] = []

    def start(self, name: str, attributes: _Attributes) -> None:
        kind = _ELEMENTS.get(name)
        if kind == "c":
            self._begin(attributes)
        elif kind == "v" or kind == "is":
            self._filled()
        elif kind == "f":
            self._formula = True
            self._listen()
        elif kind == "row":
            self._row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
            self._column = -1
            self._hidden = attributes.get("hidden") in ("1", "true")

    def _begin(self, attributes: _Attributes) -> None:
        self._cell = attributes
        self._formula = False
        place = attributes.get("r")
        if place is None:
            self._column += 1
            return
        name = place.rstrip("0123456789")
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = _column(name)
        self._column = column
        self._row = int(place[len(name) :]) - 1

    def _filled(self) -> None:
        scan, cell = self.scan, self._cell
        if self._row > scan.last_row:
            scan.last_row = self._row
        if self._hidden and scan.hidden_rows[-1:] != [self._row]:
            scan.hidden_rows.append(self._row)
        if self._column > scan.last_column:
            scan.last_column = self._column
        kind = cell.get("t", "n")
        if kind == "e":
            self._listen()
        elif kind == "n" and cell.get("s") in self._padded:
            scan.padded[self._row, self._column] = self._padded[cell["s"]]

    def _listen(self) -> None:
        assert self.parser is not None
        self._text.clear()
        self.parser.CharacterDataHandler = self._text.append
        self.parser.EndElementHandler = self._end

    def _end(self, name: str) -> None:
        assert self.parser is not None
        kind = _ELEMENTS.get(name)
        if kind == "f":
            self._text.clear()
        if kind != "c":
            return
        text = "".join(self._text).strip()
        if self._cell.get("t") == "e":
            self.scan.broken[self._row, self._column] = (
                f"The cell holds the error {text or '#ERROR'}."
            )
        elif self._formula and not text and self._cell.get("t", "n") == "n":
            self.scan.broken[self._row, self._column] = (
                "The cell holds a formula whose result is not stored: open the file in Excel or "
                "LibreOffice and save it again."
            )
        self.parser.CharacterDataHandler = None
        self.parser.EndElementHandler = None


_ELEMENTS = {f"{space} {n}": n for space in _SPREADSHEET for n in ("row", "c", "v", "is", "f")}


def _column(letters: str) -> int:
    if not re.fullmatch("[A-Z]{1,3}", letters):
        raise NotXlsx(f"a cell stands in the column “{letters[:20]}”")
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _parse(
    archive: zipfile.ZipFile,
    part: str,
    start: Callable[[str, _Attributes], None],
    scanner: _Scanner | None = None,
) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = _no_doctype
    if scanner is not None:
        scanner.parser = parser
    try:
        with archive.open(part) as file:
            # In large pieces, since expat reads a token from its beginning with every piece.
            while piece := file.read(_PIECE):
                parser.Parse(piece)
            parser.Parse(b"", True)
    except KeyError as error:
        raise NotXlsx(f"it has no part {part}") from error


def _no_doctype(*_: object) -> None:
    raise NotXlsx("its XML declares a document type, which spreadsheets never do")
