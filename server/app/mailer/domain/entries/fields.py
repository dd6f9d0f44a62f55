"""Values of declared fields: from what a table holds to the text that letters show."""

from __future__ import annotations

import functools
import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

from app.mailer.domain.entries.garbled_text import garbled
from app.mailer.domain.mailbox import InvalidMailbox, parse_mailbox

KINDS: Final = ("string", "integer", "decimal", "date", "boolean", "email", "secret")

_INTEGER = re.compile(r"[+-]?[0-9]+")
_PLAIN_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)")
_GERMAN_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),[0-9]+")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3}){2,}")
_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_GERMAN_DATE = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")
#: #N/A, #NV, #REF!, #DIV/0!, #WERT!; and what shows where a column is too narrow.
_SPREADSHEET_ERROR = re.compile(r"#(?:N/A|NV|(?:DIV/0|[A-ZÄÖÜ]{3,})[!?])|#{3,}")
#: 1.23457E+11
_ROUNDED = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?E[+-][0-9]{2,3}")
_NUMBER_DIGITS: Final = 1000
_NUMBER_LIMIT: Final = 10**_NUMBER_DIGITS
_SPREADSHEET_LIMIT: Final = 10**15
_TRUE = frozenset({"true", "yes", "y", "ja", "j", "wahr", "1", "x"})
_FALSE = frozenset({"false", "no", "n", "nein", "falsch", "0", ""})

_EXPECTED: Final = {
    "integer": "a whole number (digits only, like 1234)",
    "decimal": "a number (like 1234.56 or 1.234,56)",
    "date": "a date of the calendar (like 2026-12-24 or 24.12.2026)",
    "boolean": "yes or no (true, yes, ja, wahr, 1, x, or false, no, nein, falsch, 0, empty)",
}


class BadCell(ValueError):
    """A value cannot be read as its field's type. The message never shows the value of a secret."""


def read_cell(kind: str, raw: object, pattern: str | None = None) -> str:
    """The text that letters show for a raw value, checked against the field's type.

    `raw` is text (CSV) or what XLSX and JSON hold: numbers, booleans, dates, None for empty. Text
    stays as written, without blanks around it; a float shows the 15 digits that a spreadsheet
    does, and a whole one (`4711.0`) no point. A secret is no date, for what a spreadsheet shows of
    one depends on the cell's format, and nobody would see the difference. `pattern` must match the
    whole text unless it is empty. Raises `BadCell`.
    """
    text = _as_text(kind, raw)
    if not text:
        return ""
    if reason := _fault(kind, text) or _spoilt(kind, text):
        raise BadCell(reason)
    if pattern is None:
        return text
    if fault := pattern_fault(pattern):
        raise BadCell(f"The field's pattern {pattern} is not a regular expression: {fault}.")
    if not _matcher(pattern).isinstance_python(text):
        raise BadCell(f"{_shown(kind, text)} does not match the field's pattern {pattern}.")
    return text


def truth(raw: object) -> bool:
    """Whether a raw value means yes; empty means no. Raises `BadCell`."""
    return _truth_of(_as_text("boolean", raw))


def typed(kind: str, text: str) -> object:
    """The value of checked text for Jinja2 conditions; it compares as what it is and shows as
    written (`007`, `1.234,56`, `ja`). Text, dates and empty numbers stay text.
    """
    if kind == "boolean":
        return WrittenInteger(_truth_of(text), text)
    if kind == "integer" and text:
        return WrittenInteger(int(text), text)
    if kind == "decimal" and text:
        return WrittenDecimal(_decimal_digits(text), text)
    return text


class WrittenInteger(int):
    """An integer (or truth) that shows as the text it was read from."""

    written: str

    def __new__(cls, value: int, written: str) -> WrittenInteger:
        self = super().__new__(cls, value)
        self.written = written
        return self

    def __str__(self) -> str:
        return self.written


class WrittenDecimal(Decimal):
    """A decimal that shows as the text it was read from."""

    written: str

    def __new__(cls, digits: str, written: str) -> WrittenDecimal:
        self = super().__new__(cls, digits)
        self.written = written
        return self

    def __str__(self) -> str:
        return self.written


def _as_text(kind: str, raw: object) -> str:
    match raw:
        case None:
            return ""
        case str():
            return raw.strip()
        case bool():
            return "true" if raw else "false"
        case int() | float() | Decimal():
            return _number_as_text(kind, raw)
        case date() | time() if kind == "secret":
            raise BadCell(
                "The cell holds a date or time, and what it shows depends on its format. Format "
                "the column as text and enter the value again."
            )
        case datetime():
            if raw.time() == time():
                return raw.date().isoformat()
            return raw.isoformat(" ", "seconds")
        case date():
            return raw.isoformat()
        case time():
            return raw.isoformat("seconds")
        case _:
            raise BadCell("The cell holds neither text nor a number, a date, or yes or no.")


def _number_as_text(kind: str, raw: int | float | Decimal) -> str:
    # Comparing a Decimal that is no number raises; a float that is none is never in between.
    no_number = isinstance(raw, Decimal) and not raw.is_finite()
    if no_number or not -_NUMBER_LIMIT < raw < _NUMBER_LIMIT:
        raise BadCell("The cell holds a number without end, or too long a one.")
    if isinstance(raw, Decimal):
        if raw.adjusted() < -_NUMBER_DIGITS:
            raise BadCell("The cell holds a number with too many decimal places.")
        text = format(raw, "f")
        return _whole(text) if kind == "integer" else text
    if isinstance(raw, float):
        if abs(raw) >= _SPREADSHEET_LIMIT:
            raise BadCell(
                "The cell holds a number of more than 15 digits, and a spreadsheet forgets those "
                "after the 15th. Format the column as text and enter the value again."
            )
        # 0.1 + 0.2 is 0.30000000000000004 in the file, and 0.3 in the sheet.
        return _whole(format(Decimal(f"{raw:.15g}"), "f"))
    return str(raw)


def _whole(text: str) -> str:
    digits, point, fraction = text.partition(".")
    return digits if point and not fraction.strip("0") else text


def _fault(kind: str, text: str) -> str:
    """What is wrong with non-empty text as a value of this kind, as a sentence, or nothing."""
    match kind:
        case "integer":
            good = _INTEGER.fullmatch(text) is not None and len(text) <= _NUMBER_DIGITS
        case "decimal":
            good = len(text) <= _NUMBER_DIGITS and any(
                shape.fullmatch(text) for shape in (_PLAIN_DECIMAL, _GERMAN_DECIMAL, _GROUPED)
            )
        case "date":
            good = _is_date(text)
        case "boolean":
            good = text.casefold() in _TRUE or text.casefold() in _FALSE
        case "email":
            try:
                parse_mailbox(text)
            except InvalidMailbox as error:
                return str(error)
            return ""
        case _:
            return ""
    return "" if good else f"{_shown(kind, text)} is not {_EXPECTED[kind]}."


def _spoilt(kind: str, text: str) -> str:
    """What a spreadsheet or a wrong encoding has made of the value, as a sentence, or nothing."""
    if _SPREADSHEET_ERROR.fullmatch(text):
        return f"{_shown(kind, text)} is an error of a spreadsheet, not a value."
    if _ROUNDED.fullmatch(text):
        return (
            f"{_shown(kind, text)} is a number that a spreadsheet has cut short. Format the column "
            "as text and enter the value again."
        )
    reason = garbled(text) or ""
    return (
        "The secret value was read in a wrong encoding." if reason and kind == "secret" else reason
    )


def _is_date(text: str) -> bool:
    if iso := _ISO_DATE.fullmatch(text):
        year, month, day = map(int, iso.groups())
    elif german := _GERMAN_DATE.fullmatch(text):
        day, month, year = map(int, german.groups())
    else:
        return False
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _truth_of(text: str) -> bool:
    word = text.casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise BadCell(f"{_shown('boolean', text)} is not {_EXPECTED['boolean']}.")


def _decimal_digits(text: str) -> str:
    if _PLAIN_DECIMAL.fullmatch(text):
        return text
    return text.replace(".", "").replace(",", ".")


def _shown(kind: str, text: str) -> str:
    if kind == "secret":
        return "The secret value"
    return f"“{text if len(text) <= 80 else text[:79] + '…'}”"


@functools.lru_cache(maxsize=256)
def pattern_fault(pattern: str) -> str:
    """What is wrong with a field's pattern, or ""."""
    try:
        _matcher(pattern)
    except SchemaError as error:
        return str(error).rstrip(".").rpartition("error: ")[2].rpartition("SchemaError: ")[2]
    return ""


@functools.lru_cache(maxsize=256)
def _matcher(pattern: str) -> SchemaValidator:
    """Whether a whole text matches, in time linear in its length.

    Rust's `regex`, not Python's `re`, where a careless pattern such as `(a+)+` takes longer than
    anybody waits.
    """
    SchemaValidator(core_schema.str_schema(pattern=pattern))  # alone first: "a)|(b" is none
    return SchemaValidator(core_schema.str_schema(pattern=f"^(?:{pattern})$"))
