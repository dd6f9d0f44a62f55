"""What a person reads when the file's shape is wrong: pydantic's errors in plain sentences."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.mailer.domain.campaign.json_text import escaped, printable
from app.mailer.domain.campaign.schema import Parts, alternatives, described, keys_at, types_at
from app.mailer.domain.campaign.values import LIST, OBJECT, TEXT
from app.mailer.domain.codes import CODES
from app.mailer.domain.issues import Issue

_KEY: Final = "[key]"  # pydantic's mark for a fault in a key rather than in its value

_KINDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def complaints(error: ValidationError, raw: Any) -> list[Issue]:
    """One issue for each fault; `raw` is the document that was validated."""
    issues: dict[Issue, None] = {}
    for detail in error.errors(include_url=False, include_input=False):
        located = _located(detail, raw)
        if located is not None:
            issues.setdefault(_complaint(detail, *located))
    return list(issues)


# ---------------------------------------------------------------- where


def _located(detail: ErrorDetails, raw: Any) -> tuple[list[str | int], Any, bool] | None:
    """The place as keys and indexes, the value there, and whether no branch of a union fits it.

    None for the complaint of a branch that was never meant. Steps that are pydantic's own (the
    name of a union's branch, the list around a lone mailbox) are left out.
    """
    parts: list[str | int] = []
    value = raw
    steps = detail["loc"]
    for number, step in enumerate(steps, 1):
        if isinstance(value, dict) and step in value:
            parts.append(step)
            value = value[step]
        elif isinstance(step, str) and step.startswith("|"):
            meant = _branch(value)
            if meant is None:
                return parts, value, True
            if meant != step:
                # A text where the union has no branch for text, say: every branch complains.
                if meant not in _branches(parts):
                    return parts, value, True
                return None
        elif isinstance(value, list) and isinstance(step, int):
            parts.append(step)
            value = value[step]
        elif number == len(steps) and detail["type"] == "missing":
            parts.append(step)
    return parts, value, False


def _branch(value: Any) -> str | None:
    match value:
        case str():
            return TEXT
        case dict():
            return OBJECT
        case list():
            return LIST
        case _:
            return None


def _branches(parts: Parts) -> set[str]:
    names = {"string": TEXT, "object": OBJECT, "array": LIST}
    return {names[kind] for kind in types_at(parts) if kind in names}


# ---------------------------------------------------------------- what


def _complaint(detail: ErrorDetails, parts: list[str | int], value: Any, any_of: bool) -> Issue:
    kind = detail["type"]
    if kind == "missing":
        return _missing(parts)
    if kind == "extra_forbidden":
        return _unknown(parts)
    if detail["loc"][-1:] == (_KEY,) != tuple(parts[-1:]):
        return _issue(
            "invalid-value", parts, f"{_name(parts)} cannot be a key here.", _advice(parts[:-1])
        )
    if any_of or _wrong_type(parts, value):
        return _issue("wrong-type", parts, *_type_sentence(parts, value))
    return _issue("invalid-value", parts, *_value_sentence(detail, parts, value))


def _issue(code: str, parts: Parts, message: str, hint: str) -> Issue:
    pointer = "".join(f"/{escaped(str(part))}" for part in parts)
    return Issue(code, CODES[code].severity, pointer, message, hint)


def _missing(parts: list[str | int]) -> Issue:
    schema = described(parts)
    example = json.dumps(schema.get("examples", ["…"])[0], ensure_ascii=False)
    inside = f" in {_inside(parts)}" if len(parts) > 1 else ""
    return _issue(
        "missing-key",
        parts,
        f"The key “{parts[-1]}” is missing{inside}.",
        f'Add it, for example "{parts[-1]}": {example}. {schema.get("description", "")}'.strip(),
    )


def _unknown(parts: list[str | int]) -> Issue:
    name, known = str(parts[-1]), keys_at(parts[:-1])
    wanted = name.strip().lower().replace("-", "_").replace(" ", "_")
    near = _nearest(wanted, tuple(known))
    hint = f"Did you mean “{near}”?" if near else f"Its keys are {', '.join(known)}."
    return _issue(
        "unknown-key",
        parts,
        f"“{printable(name)}” is not a key of {_inside(parts)}.",
        f"{hint} Keys of your own begin with x-.",
    )


@functools.lru_cache(maxsize=1024)
def _nearest(wanted: str, known: tuple[str, ...]) -> str:
    return next(iter(difflib.get_close_matches(wanted, known, n=1)), "")


def _wrong_type(parts: Parts, value: Any) -> bool:
    return _type_of(value) not in {*types_at(parts), *(["integer"] * ("number" in types_at(parts)))}


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case float():
            return "integer" if value.is_integer() else "number"
        case Decimal():
            whole = value.is_finite() and value == value.to_integral_value()
            return "integer" if whole else "number"
        case _:
            return "unknown"


def _type_sentence(parts: Parts, value: Any) -> tuple[str, str]:
    kinds = [_KINDS[kind] for kind in types_at(parts) if kind != "null"]
    wanted = _either(_choices(parts) or kinds)
    scalar = {"array", "object"}.isdisjoint(types_at(parts))
    # A text in the place of a whole section may hold anything, passwords too: it is not shown.
    shown = _shown(parts, value) if scalar else _KINDS.get(_type_of(value), "something else")
    if isinstance(value, str) and scalar:
        shown = f"the text {shown}"
    hint = "Leave the key out for no value." if value is None else _for_example(parts)
    if not parts:
        hint = "It begins with { and ends with }."
    return f"{_name(parts)} must be {wanted}, but is {shown}.", hint


def _value_sentence(detail: ErrorDetails, parts: Parts, value: Any) -> tuple[str, str]:
    context, shown = detail.get("ctx", {}), _shown(parts, value)
    if choices := _choices(parts):
        near = _nearest(f"“{printable(str(value).strip().lower())}”", tuple(choices))
        hint = f"Did you mean {near}?" if near else _advice(parts)
        return f"{_name(parts)} must be {_either(choices)}, but is {shown}.", hint
    limits = {
        "greater_than": "more than {gt:g}",
        "greater_than_equal": "at least {ge:g}",
        "less_than_equal": "at most {le:g}",
        "string_too_long": "at most {max_length} characters long",
    }
    if limit := limits.get(detail["type"]):
        sentence = f"{_name(parts)} must be {limit.format(**context)}, but is {shown}."
        return sentence, _advice(parts)
    if detail["type"] in ("string_too_short", "too_short"):
        return f"{_name(parts)} must not be empty.", _for_example(parts)
    return f"{_name(parts)} cannot be {shown}.", _advice(parts)


def _choices(parts: Parts) -> list[str]:
    """The only texts that may stand there, in quotes; none where others may."""
    found: list[str] = []
    for schema in alternatives(parts):
        found += schema.get("enum", [schema["const"]] if "const" in schema else [])
    return [f"“{choice}”" for choice in found]


def _either(words: list[str]) -> str:
    return ", ".join(words[:-1]) + (" or " if words[1:] else "") + words[-1]


def _shown(parts: Parts, value: Any) -> str:
    # A host with an @ may be an address with the password in it.
    hides = "password" in parts or (parts[-1:] == ["host"] and "@" in str(value))
    if hides:
        return "what is written there"
    match value:
        case str():
            return f"“{printable(value)}”"
        case bool() | None:
            return json.dumps(value)
        case int() | float() | Decimal():
            # An int may have more digits than the interpreter is willing to write.
            huge = isinstance(value, int) and value.bit_length() > 1000
            return "a huge number" if huge else printable(str(value))
        case _:
            return _KINDS.get(_type_of(value), "something else")


def _name(parts: Parts) -> str:
    """The place for people: `“port”`, `Item 3 of “to”`."""
    match list(parts):
        case [*_, list_name, int(index)]:
            return f"Item {index + 1} of “{list_name}”"
        case [*_, name]:
            return f"“{printable(str(name))}”"
        case _:
            return "The file"


def _inside(parts: Parts) -> str:
    """What holds the place, within a sentence."""
    outer = _name(parts[:-1])
    return outer[0].lower() + outer[1:]


def _advice(parts: Parts) -> str:
    return " ".join(filter(None, (described(parts).get("description", ""), _for_example(parts))))


def _for_example(parts: Parts) -> str:
    examples: Iterator[Any] = iter(described(parts).get("examples", ()))
    for example in examples:
        return f"For example: {json.dumps(example, ensure_ascii=False)}."
    return ""
