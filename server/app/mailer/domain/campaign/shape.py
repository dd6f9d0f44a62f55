"""The shape of a campaign file: from text to `Campaign`, or to every reason why not."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import to_json

from app.mailer.domain.campaign import Campaign
from app.mailer.domain.campaign.complaints import complaints
from app.mailer.domain.campaign.info import Mode
from app.mailer.domain.campaign.json_text import (
    BrokenJson,
    escaped,
    nested_too_deeply,
    parse_json,
)
from app.mailer.domain.codes import CODES
from app.mailer.domain.collector import collector_paused
from app.mailer.domain.issues import Issue


def read_shape(text: str | bytes) -> tuple[Campaign | None, list[Issue]]:
    """The campaign in a JSON text, or None and every issue of its shape.

    Bytes are UTF-8, with or without a byte order mark. What concerns several keys at once is
    `campaign.check.check_campaign`'s.
    """
    campaign, issues = read_partly(text)
    return (None if issues else campaign), issues


def read_partly(text: str | bytes) -> tuple[Campaign | None, list[Issue]]:
    """Every issue of a file's shape, and what could be read all the same, if anything could.

    Where there are issues, the campaign is there to be checked for more of them, never to be used.
    """
    with collector_paused():
        try:
            raw, doubled = parse_json(text)
        except BrokenJson as error:
            return None, [error.issue]
        campaign, issues = read_partly_of(raw)
    return campaign, doubled + issues


def read_shape_of(raw: object) -> tuple[Campaign | None, list[Issue]]:
    """As `read_shape`, for JSON that is parsed already; `raw` is not changed."""
    with collector_paused():
        if issues := unstorable(raw):
            return None, issues
        try:
            # By alias only: `from_` and `global_` are the program's names, not keys of the file.
            return Campaign.model_validate(raw, by_alias=True, by_name=False), []
        except ValidationError as error:
            return None, complaints(error, raw)


def read_partly_of(raw: object) -> tuple[Campaign | None, list[Issue]]:
    """As `read_partly`, for JSON that is parsed already."""
    campaign, issues = read_shape_of(raw)
    if issues and not any(issue.pointer.startswith("/fields/") for issue in issues):
        campaign = readable_part(raw)
    return campaign, issues


def readable_part(raw: object) -> Campaign | None:
    """A file without its unknown keys, None where a value of it cannot be read.

    `version`, and the campaign's id and name, which nothing else depends on, need not be right.
    Not for a file with an unknown key in a field: it may be what was to make it a secret.
    """
    if not isinstance(raw, dict) or unstorable(raw):
        return None
    info = raw.get("campaign")
    mode = info.get("mode") if isinstance(info, dict) else None
    stand_in = {"id": "draft", "name": "Draft", "mode": mode if mode in get_args(Mode) else "draft"}
    part = {**raw, "version": "1.0", "campaign": stand_in}
    with collector_paused():
        try:
            return Campaign.model_validate(part, by_alias=True, by_name=False, extra="ignore")
        except ValidationError:
            return None


def unstorable(raw: object) -> list[Issue]:
    """Issues of lone surrogates (`"\\ud800"`): JSON can spell them, but no letter can hold them.

    Also of more than 254 levels of brackets, which cannot be written again.
    """
    try:
        to_json(raw)  # refuses both, and is 20 times faster than looking for them
    except (ValueError, RecursionError):
        halves = [_half_character(pointer) for pointer, text in _texts(raw) if _is_half(text)]
        return halves or [nested_too_deeply()]
    return []


def _is_half(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _half_character(pointer: str) -> Issue:
    return Issue(
        "invalid-value",
        CODES["invalid-value"].severity,
        pointer,
        "A text holds half a character: a lone surrogate such as \\ud83d.",
        "Write the character itself, or both halves of it.",
    )


def _texts(raw: Any) -> list[tuple[str, str]]:
    """Each text of a document with its JSON Pointer, keys included."""
    found: list[tuple[str, str]] = []
    waiting: list[tuple[str, Any]] = [("", raw)]
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, str):
            found.append((pointer, value))
        elif isinstance(value, dict):
            for name, inner in value.items():
                below = f"{pointer}/{escaped(str(name))}"
                found.append((below, str(name)))
                waiting.append((below, inner))
        elif isinstance(value, list):
            waiting += [(f"{pointer}/{index}", inner) for index, inner in enumerate(value)]
    return found
