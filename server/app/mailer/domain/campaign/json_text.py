"""Reading JSON strictly, with errors that lead to the place and say what to do there.

Strict means: RFC 8259 (no NaN), no key twice in an object, no number too large to be meant. A
number with a fraction becomes a Decimal, so that `1.10` stays `1.10`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from app.mailer.domain.codes import CODES
from app.mailer.domain.issues import Issue

_NUMBER_DIGITS: Final = 1000
_NUMBER_EXPONENT: Final = 300

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"|-?Infinity|NaN|-?[0-9][0-9.eE+-]*+', re.DOTALL)
_QUOTES: Final = "'`‘’‚“”„«»"


class BrokenJson(ValueError):
    """The text is not JSON; `issue` says where and what to do."""

    def __init__(self, issue: Issue) -> None:
        super().__init__(issue.message)
        self.issue = issue


def parse_json(text: str | bytes) -> tuple[Any, list[Issue]]:
    """The value of a JSON text, and an issue for each key that stands twice in its object.

    Bytes are UTF-8, with or without a byte order mark. Raises `BrokenJson`.
    """
    text = _decoded(text) if isinstance(text, bytes) else text.removeprefix("\ufeff")
    doubled = False

    def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        doubled = True
        return _Doubled(made, pairs)

    try:
        raw = json.loads(
            text,
            object_pairs_hook=make_object,
            parse_float=_decimal,
            parse_constant=_refuse,
        )
    except json.JSONDecodeError as error:
        raise BrokenJson(_syntax_issue(text, error)) from error
    except _BadNumber as error:
        raise BrokenJson(_number_issue(text, error.token)) from error
    except RecursionError as error:
        raise BrokenJson(nested_too_deeply()) from error
    except ValueError as error:  # the interpreter's own limit on the digits of an integer
        raise BrokenJson(_number_issue(text, None)) from error
    return raw, list(_doubled_keys(raw)) if doubled else []


def nested_too_deeply() -> Issue:
    return _issue(
        "invalid-json",
        "The file nests brackets in brackets too deeply to be read.",
        "A campaign needs about ten levels: take out the rest.",
    )


def _issue(code: str, message: str, hint: str = "", pointer: str = "") -> Issue:
    return Issue(code, CODES[code].severity, pointer, message, hint)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        looks_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]
        guess = " It looks like UTF-16." if looks_utf16 else ""
        raise BrokenJson(
            _issue(
                "wrong-encoding",
                f"The file is not UTF-8: line {line}, byte {error.start + 1} of the file is "
                f"0x{data[error.start]:02X}.{guess}",
                "Save it again with the encoding UTF-8.",
            )
        ) from error


# ---------------------------------------------------------------- numbers


class _BadNumber(Exception):
    def __init__(self, token: str) -> None:
        self.token = token


def _refuse(token: str) -> Any:
    raise _BadNumber(token)


def _decimal(token: str) -> Decimal:
    try:
        value = Decimal(token)
    except InvalidOperation as error:
        raise _BadNumber(token) from error
    if len(token) > _NUMBER_DIGITS or abs(value.adjusted()) > _NUMBER_EXPONENT:
        raise _BadNumber(token)
    return value


def _number_issue(text: str, token: str | None) -> Issue:
    """`token` None: the first integer with more digits than an interpreter reads."""
    offset = 0
    for match in _TOKENS.finditer(text):
        found = match.group()
        if found == token or (token is None and found[0] != '"' and len(found) > _NUMBER_DIGITS):
            offset, token = match.start(), found
            break
    where = _where(text, offset)
    if token in ("NaN", "Infinity", "-Infinity"):
        return _issue(
            "invalid-json",
            f"{where}: {token} is not a number that JSON has.",
            "Write a number, or null for no value.",
        )
    return _issue(
        "invalid-json",
        f"{where}: the number {_short(token or '')} is too large to be meant.",
        "Put it in double quotes if it is a code rather than an amount.",
    )


def _short(token: str) -> str:
    return token if len(token) <= 24 else f"{token[:20]}… ({len(token)} characters)"


# ---------------------------------------------------------------- keys that stand twice


class _Doubled(dict[str, Any]):
    """An object in which keys stand twice; the last value won."""

    def __init__(self, made: dict[str, Any], pairs: list[tuple[str, Any]]) -> None:
        super().__init__(made)
        times = Counter(name for name, _ in pairs)
        self.again = [name for name, count in times.items() if count > 1]


def _doubled_keys(raw: Any) -> Iterator[Issue]:
    waiting: list[tuple[str, Any]] = [("", raw)]
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, _Doubled):
            for name in value.again:
                yield _issue(
                    "duplicate-key",
                    f"The key “{printable(name)}” stands twice in the same object.",
                    "Keep one of them.",
                    f"{pointer}/{escaped(name)}",
                )
        if isinstance(value, dict):
            waiting += [(f"{pointer}/{escaped(name)}", inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{pointer}/{index}", inner) for index, inner in enumerate(value)]


def escaped(name: str) -> str:
    """A key as part of a JSON Pointer (RFC 6901, 3), control characters made visible."""
    return _visible(name).replace("~", "~0").replace("/", "~1")


def printable(text: str, limit: int = 60) -> str:
    """Text that fits into a message: shortened, and without characters that would break a line."""
    return _visible(text if len(text) <= limit else text[: limit - 1] + "…")


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# ---------------------------------------------------------------- syntax


def _where(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset) + 1
    return f"Line {line}, column {offset - text.rfind(chr(10), 0, offset)}"


def _syntax_issue(text: str, error: json.JSONDecodeError) -> Issue:
    if not text.strip():
        return _issue("invalid-json", "The file is empty.", "Choose the campaign file itself.")
    what, hint = _diagnosis(text, error)
    return _issue("invalid-json", f"{_where(text, error.pos)}: {what}.", hint)


def _diagnosis(text: str, error: json.JSONDecodeError) -> tuple[str, str]:
    """What is wrong at the place of a syntax error, and what to do there."""
    rest = text[error.pos : error.pos + 10].lstrip()
    before = text[: error.pos].rstrip()[-1:]
    closing = rest[:1] in ("}", "]")
    if "Unterminated string" in error.msg:
        return "a text begins here and does not end", "Add the closing double quote."
    if "control character" in error.msg:
        return (
            "a line break or another control character stands inside a text",
            r"Add the closing double quote, or write \n for a line break and \t for a tab.",
        )
    if "escape" in error.msg:
        return (
            "a backslash does not begin an escape here",
            r"Write it twice (\\); in a path use / instead.",
        )
    if (closing and before == ",") or "trailing comma" in error.msg:
        return "a comma stands before a closing bracket", "Delete that comma."
    if not rest:
        return "the file ends too early", "Add the missing } or ]; was the file cut off?"
    if rest[0] in _QUOTES:
        return f"{rest[0]} is not a quote of JSON", 'Put texts and keys in straight quotes: "…".'
    if rest.startswith(("//", "/*", "#")):
        return "JSON has no comments", 'Delete it, or keep it as the value of a key like "x-note".'
    if rest.startswith(("True", "False", "None")):
        return f"{rest.split()[0].rstrip(',]}')} is not JSON", "Write true, false or null."
    seen = f"there is “{printable(rest[0])}”"
    if "Extra data" in error.msg:
        return f"the file should end here, but {seen}", "Delete what follows the last bracket."
    if "':'" in error.msg:
        return f"a colon is expected after the key, but {seen}", 'Write "key": value.'
    if "','" in error.msg:
        return (
            f"a comma or a closing bracket is expected, but {seen}",
            "Put a comma between two values, or close a bracket or quote before this place.",
        )
    if "property name" in error.msg:
        return f"a key in double quotes is expected, but {seen}", 'Write "key": value.'
    return f"a value is expected, but {seen}", 'Put texts in double quotes: "…".'
