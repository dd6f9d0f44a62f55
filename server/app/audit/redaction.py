"""Keeps secrets out of the audit log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.mailer.domain.storable import storable

REDACTED = "(redacted)"

_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase|code)?$|password|secret|token|api[_-]?key|raw[_-]?key|master[_-]?key"
    r"|private[_-]?key|authorization|credential|cookie",
    re.IGNORECASE,
)


def redact(value: object) -> object:
    """`value` with everything under a key that sounds like a secret replaced, at any depth.

    An empty value stays, so that the log can say that there was none. Tuples become lists and what
    JSON does not know becomes text, so that the result can be stored.
    """
    return _redacted(storable(value))


def changes(
    before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The members in which the two differ, redacted; all of the one where the other is None.

    A secret that was exchanged stands on both sides, redacted: that it changed may be known.
    """
    old, new = _members(before), _members(after)
    if old is not None and new is not None:
        same = {key for key in old.keys() & new.keys() if old[key] == new[key]}
        old, new = _without(old, same), _without(new, same)
    return _redacted(old), _redacted(new)


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: REDACTED if item and _SECRET_KEY.search(key) else _redacted(item)
            for key, item in value.items()
        }
    return [_redacted(item) for item in value] if isinstance(value, list) else value


def _members(given: Mapping[str, object] | None) -> dict[str, Any] | None:
    return None if given is None else storable(given)


def _without(members: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key not in keys}
