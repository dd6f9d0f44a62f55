"""Placeholders: `${local::x}`, `${global::x}`, `${x}` (the local value, else the global one).

`$${` is a literal `${`.

A template is compiled once and rendered for every entry. What it inserts is never looked at again:
a value that holds `${…}` is just text.
"""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from app.mailer.domain.mailbox import control_character

MAX_SOURCE = 1_000_000  # characters
MAX_OUTPUT = 10_000_000  # characters
MAX_PROBLEMS = 100  # of one template; whoever mends these is told the next

#: `$${`, a whole placeholder, or a `${` that has no end on its line.
_TOKEN = re.compile(r"\$\$\{|\$\{(?P<inside>[^{}\r\n]*)\}|\$\{")
_REFERENCE = re.compile(
    r"\s*(?:(?P<scope>local|global)\s*::\s*)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*"
)
_GLOB_SPECIALS = re.compile(r"([*?[])")


class ProblemKind(StrEnum):
    UNCLOSED = "unclosed"
    BAD_SYNTAX = "bad-syntax"
    UNKNOWN_NAME = "unknown-name"
    TOO_LARGE = "too-large"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a template's source; `name` is what stands there.

    Lines and columns count from 1; column 0: not known.
    """

    kind: ProblemKind
    name: str
    line: int
    column: int
    message: str
    hint: str = ""


class TemplateFailed(ValueError):
    """Rendering went wrong: `message` is a sentence, `line` counts from 1 (0: no one line)."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"Line {line}: {message}" if line else message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Declared:
    """The names of the declared fields, by scope (a field of scope `both` is in both).

    `kinds` maps names to field types; Jinja2 conditions compare numbers as numbers by it. `called`
    is what people call the fields, for `stray_placeholders`.
    """

    local: frozenset[str] = frozenset()
    global_: frozenset[str] = frozenset()
    kinds: Mapping[str, str] = field(default_factory=dict)
    called: frozenset[str] = frozenset()

    def knows(self, scope: str | None, name: str) -> bool:
        return (scope != "global" and name in self.local) or (
            scope != "local" and name in self.global_
        )

    def remedy(self, scope: str | None, name: str) -> str:
        """What to do about an unknown name: another scope, the nearest name, or declare it."""
        if scope is not None and self.knows(None, name):
            other = "global" if scope == "local" else "local"
            return f"“{name}” is a {other} field, not a {scope} one."
        names: set[str] = set()
        if scope != "global":
            names |= self.local
        if scope != "local":
            names |= self.global_
        if near := nearest(name, names):
            return f"Did you mean “{near}”?"
        return f"Declare “{name}” under `fields`."


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one entry, as text: its own, and those of the whole campaign."""

    local: Mapping[str, str] = field(default_factory=dict)
    global_: Mapping[str, str] = field(default_factory=dict)


class _Placeholder(NamedTuple):
    scope: str | None  # None: the local value, else the global one
    name: str

    def value(self, values: Values) -> str:
        if self.scope != "global":
            text = values.local.get(self.name, "")
            if self.scope == "local" or not is_blank(text):
                return text
        return values.global_.get(self.name, "")


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template. With `problems` nothing of it may be sent; it renders for a preview."""

    problems: tuple[Problem, ...]
    _parts: tuple[str | _Placeholder, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names of all fields that are used."""
        return frozenset(part.name for part in self._parts if not isinstance(part, str))

    @property
    def uses_local(self) -> bool:
        """Whether the text can differ from entry to entry."""
        return any(not isinstance(part, str) and part.scope != "global" for part in self._parts)

    def render(self, values: Values, escape: Callable[[str], str] | None = None) -> str:
        """The text with all values in their places; `escape` is for values, never for the rest.

        Raises `TemplateFailed` where the text would grow over `MAX_OUTPUT`.
        """
        pieces: list[str] = []
        size = 0
        for part in self._parts:
            if isinstance(part, str):
                piece = part
            else:
                piece = part.value(values)
                if escape is not None:
                    piece = escape(piece)
            size += len(piece)
            if size > MAX_OUTPUT:
                raise TemplateFailed(f"The text grows over {MAX_OUTPUT:,} characters.")
            pieces.append(piece)
        return "".join(pieces)

    def missing(self, values: Values) -> tuple[str, ...]:
        """The names, in order and once each, whose value is empty or blank."""
        return tuple(
            dict.fromkeys(
                part.name
                for part in self._parts
                if not isinstance(part, str) and is_blank(part.value(values))
            )
        )


def compile_template(source: str, declared: Declared) -> Template:
    """Read a template once. What is wrong stays as text where it stands, and the first
    `MAX_PROBLEMS` of it are in `problems`.
    """
    if len(source) > MAX_SOURCE:
        return Template((too_large(source),), ())
    problems: list[Problem] = []
    parts: list[str | _Placeholder] = []
    text: list[str] = []
    end = 0
    for token in _TOKEN.finditer(source):
        text.append(source[end : token.start()])
        end = token.end()
        if token.group() == "$${":
            text.append("${")
            continue
        found = _placeholder(token["inside"], declared)
        if found is None:
            if len(problems) < MAX_PROBLEMS:
                problems.append(_problem(token, declared))
            text.append(token.group())
            continue
        if literal := "".join(text):
            parts.append(literal)
        text = []
        parts.append(found)
    text.append(source[end:])
    if literal := "".join(text):
        parts.append(literal)
    return Template(tuple(problems), tuple(parts))


def _placeholder(inside: str | None, declared: Declared) -> _Placeholder | None:
    """What stands between the braces, or None where it is no placeholder of a declared field."""
    reference = None if inside is None else _REFERENCE.fullmatch(inside)
    if reference is None or not declared.knows(reference["scope"], reference["name"]):
        return None
    scope, name = reference["scope"], reference["name"]
    if scope is None and name not in declared.local:
        scope = "global"
    elif scope is None and name not in declared.global_:
        scope = "local"
    return _Placeholder(scope, name)


def _problem(token: re.Match[str], declared: Declared) -> Problem:
    """Why a token is no placeholder. It looks for its line from the beginning of the source."""
    source, start = token.string, token.start()
    line = source.count("\n", 0, start) + 1
    column = start - source.rfind("\n", 0, start)
    inside = token["inside"]
    if inside is None:
        return Problem(
            ProblemKind.UNCLOSED,
            "${",
            line,
            column,
            "A placeholder begins with “${” but has no “}”.",
            "Close it, or write “$${” for the two characters themselves.",
        )
    reference = _REFERENCE.fullmatch(inside)
    if reference is None:
        return Problem(
            ProblemKind.BAD_SYNTAX,
            inside,
            line,
            column,
            f"“{token.group()}” is not a placeholder.",
            "Write ${name}, ${local::name} or ${global::name}.",
        )
    return Problem(
        ProblemKind.UNKNOWN_NAME,
        reference["name"],
        line,
        column,
        f"“{token.group()}” names a field that is not declared.",
        declared.remedy(reference["scope"], reference["name"]),
    )


def too_large(source: str) -> Problem:
    return Problem(
        ProblemKind.TOO_LARGE,
        "",
        1,
        1,
        f"The template has {len(source):,} characters; at most {MAX_SOURCE:,} are allowed.",
        "Put large content into attachments or inline images.",
    )


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` was probably meant to be, compared without case."""
    by_lower = {candidate.lower(): candidate for candidate in sorted(names)}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def is_blank(text: str) -> bool:
    return not text or text.isspace()


def escape_html(value: str) -> str:
    return html.escape(value, quote=True)


def escape_glob(value: str) -> str:
    """The value as a part of a glob that matches nothing but itself."""
    return _GLOB_SPECIALS.sub(r"[\1]", value)


def has_line_break(value: str) -> bool:
    """Whether a value would end the header it stands in (a line break or control character)."""
    return control_character(value) is not None
