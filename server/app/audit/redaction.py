"""Keeps secrets out of the audit log."""

from __future__ import annotations

import re
from collections.abc import Mapping

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
    if isinstance(value, Mapping):
        return {
            str(key): REDACTED if item and _SECRET_KEY.search(str(key)) else redact(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)
