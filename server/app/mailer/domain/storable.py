"""What comes back from any database as it went in."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

# Postgres keeps no NUL in a text, and UTF-8 has no place for half of a surrogate pair.
_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")


def clean_text(text: str) -> str:
    """`text` with U+FFFD for every NUL and lone surrogate."""
    return _UNKEEPABLE.sub("\ufffd", text)


def storable(value: object) -> Any:
    """`value` as JSON: texts as `clean_text` has them, tuples and sets as lists, and text for what
    JSON does not know, numbers that are none among it.
    """
    if isinstance(value, Mapping):
        return {clean_text(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [storable(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return clean_text(str(value))
