"""JSON and JSONL as tables: flat objects, whose keys are the columns.

Numbers keep every digit: integers of any size, and decimals as `Decimal`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NoReturn

from app.mailer.adapters.sources.problem import MAX_CELLS, Problem, checked_header
from app.mailer.domain.campaign import Source
from app.mailer.domain.entries.entry import BrokenCell, shown
from app.mailer.domain.entries.rows import Row, Table

MAX_DIGITS = 1000

_Object = dict[str, object]


def json_table(data: bytes, source: Source) -> Table:
    """A list of objects. A row's number is the object's place in the list, counted from 1."""
    value = _parse(_decoded(data, source), source.path)
    if not isinstance(value, list):
        raise Problem(
            "bad-source",
            source.path,
            f"{source.path} must hold a list of objects, but holds {_kind(value)}.",
            'Write [{"to": …}, {"to": …}].',
        )
    objects = [
        (number, _object(item, f"{source.path}:{number}", "item"))
        for number, item in enumerate(value, 1)
    ]
    return _table(objects, source)


def jsonl_table(data: bytes, source: Source) -> Table:
    """One object on each line; blank lines are skipped. A row's number is its line."""
    lines = _decoded(data, source).split("\n")  # not splitlines: U+2028 may stand in a string
    return _table(list(_line_objects(lines, source.path)), source)


def _line_objects(lines: Iterable[str], name: str) -> Iterator[tuple[int, _Object]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            pointer = f"{name}:{number}"
            yield number, _object(_parse(line, pointer, number), pointer, "line")


def _table(objects: Sequence[tuple[int, _Object]], source: Source) -> Table:
    columns: dict[str, None] = {}
    for _, item in objects:
        columns.update(dict.fromkeys(item))
    if not columns:
        raise Problem("bad-source", source.path, f"{source.path} has no rows.")
    keys = list(columns)
    header = checked_header(keys, source.path)
    if len(objects) * len(keys) > MAX_CELLS:
        raise Problem(
            "bad-source",
            source.path,
            f"{source.path} has {len(objects):,} objects with {len(keys):,} keys between them; "
            f"that is more than {MAX_CELLS:,} cells.",
            "Keep only the keys that the letters need.",
        )
    rows = (Row(number, [_cell(item.get(key)) for key in keys]) for number, item in objects)
    return Table(header, rows, [])


def _cell(value: object) -> object:
    if isinstance(value, list | dict):
        return BrokenCell(f"The cell holds {_kind(value)}, but must hold one value.")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return BrokenCell("The cell holds half a character (a lone surrogate).")
    return value


def _object(value: object, pointer: str, what: str) -> _Object:
    if isinstance(value, dict):
        return value
    raise Problem(
        "bad-source", pointer, f"This {what} is {_kind(value)}, but must be an object.", '{"to": …}'
    )


def _decoded(data: bytes, source: Source) -> str:
    """JSON is UTF-8 (RFC 8259, 8.1), unless the campaign says another encoding."""
    encoding = "utf-8" if source.encoding == "auto" else source.encoding
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise Problem(
            "wrong-encoding",
            source.path,
            f"There is no encoding {shown(encoding)}.",
            "Leave `encoding` out for UTF-8.",
        ) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Problem(
            "wrong-encoding",
            source.path,
            f"Byte 0x{data[error.start]:02X} in line {line} (byte {error.start + 1}) is not "
            f"{encoding}.",
            "Save the file as UTF-8, or name its encoding in `entries.source.encoding`.",
        ) from error


def _parse(text: str, pointer: str, line: int = 1) -> object:
    try:
        return json.loads(
            text,
            parse_float=Decimal,
            parse_int=_integer,
            parse_constant=_no_constant,
            object_pairs_hook=_without_twins,
        )
    except json.JSONDecodeError as error:
        place = f"line {line + error.lineno - 1}, column {error.colno}"
        raise Problem(
            "bad-source", pointer, f"This is not JSON: {error.msg} in {place}."
        ) from error
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Problem("bad-source", pointer, f"This cannot be read: {reason}.") from error


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits, more than {MAX_DIGITS}")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _without_twins(pairs: list[tuple[str, object]]) -> _Object:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twin = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twin)} stands twice in one object")
    return found


def _kind(value: object) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return "text"
        case None:
            return "null"
        case bool():
            return "true or false"
        case _:
            return "a number"
