"""What differs between two versions of a campaign file, as they are stored: without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from app.mailer.domain.campaign.json_text import escaped


class Kind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """A place (JSON Pointer) where the two differ; what is absent on a side is None there."""

    pointer: str
    kind: Kind
    before: Any
    after: Any


def config_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Every place where two files differ, as deep as both have an object or a list there.

    The recipients in `entries.inline` are left out: `entry_changes` compares those by their ids.
    """
    yield from _changes("", _without_inline(before), _without_inline(after))


def entry_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Kind]:
    """The recipients in `entries.inline` that were added, removed or changed, by id and sorted.

    An entry without an id is known by its content alone, so a change of it is two.
    """
    old, new = _by_id(before), _by_id(after)
    found = dict.fromkeys(old.keys() - new.keys(), Kind.REMOVED)
    found |= dict.fromkeys(new.keys() - old.keys(), Kind.ADDED)
    found |= {name: Kind.CHANGED for name in old.keys() & new.keys() if old[name] != new[name]}
    return dict(sorted(found.items()))


def _without_inline(config: Mapping[str, Any]) -> dict[str, Any]:
    entries = config.get("entries")
    if not isinstance(entries, dict) or "inline" not in entries:
        return dict(config)
    rest = {key: value for key, value in entries.items() if key != "inline"}
    return {**config, "entries": rest}


def _by_id(config: Mapping[str, Any]) -> dict[str, str]:
    entries = config.get("entries")
    inline = entries.get("inline") if isinstance(entries, dict) else None
    found: dict[str, str] = {}
    for entry in inline if isinstance(inline, list) else ():
        content = json.dumps(entry, sort_keys=True, default=str)
        name = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name in found:
            name = f"e-{sha256(content.encode('utf-8', 'replace')).hexdigest()[:12]}"
        found[name] = content
    return found


def _changes(pointer: str, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        # In the order of the newer file, then what only the older one has.
        for key in (*after, *(key for key in before if key not in after)):
            place = f"{pointer}/{escaped(key)}"
            if key not in before:
                yield Change(place, Kind.ADDED, None, after[key])
            elif key not in after:
                yield Change(place, Kind.REMOVED, before[key], None)
            else:
                yield from _changes(place, before[key], after[key])
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            place = f"{pointer}/{index}"
            if index >= len(before):
                yield Change(place, Kind.ADDED, None, after[index])
            elif index >= len(after):
                yield Change(place, Kind.REMOVED, before[index], None)
            else:
                yield from _changes(place, before[index], after[index])
    elif _differ(before, after):
        yield Change(pointer, Kind.CHANGED, before, after)


def _differ(before: Any, after: Any) -> bool:
    # To Python, 1 equals True and 1.0; to whoever reads the letter it does not.
    return type(before) is not type(after) or str(before) != str(after)
