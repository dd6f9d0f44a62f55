"""Who has to say yes before a version may be queued, and to what exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from enum import StrEnum


class Approval(StrEnum):
    """`two_person`: the approver is none of those whom the version's letters come from."""

    NONE = "none"
    REQUIRED = "required"
    TWO_PERSON = "two_person"


_STRICTNESS = list(Approval)


def stricter(one: Approval, other: Approval | None) -> Approval:
    """What holds where the tenant says `one` and the campaign `other` (None: nothing)."""
    return one if other is None else max(one, other, key=_STRICTNESS.index)


def is_looser(one: Approval | None, other: Approval | None) -> bool:
    """Whether a campaign's own rule `one` asks for less than `other` does."""
    return _STRICTNESS.index(one or Approval.NONE) < _STRICTNESS.index(other or Approval.NONE)


def messages_digest(messages: Iterable[tuple[str, str]]) -> tuple[str, int]:
    """SHA-256 over entry ids and message hashes in order, and how many there were.

    What an approval is bound to: one letter more, less, or other, and it is another one.
    """
    digest = hashlib.sha256()
    count = 0
    for entry_id, sha256 in messages:
        # No id holds a line break, and every hash has the same length.
        digest.update(f"{sha256} {entry_id}\n".encode())
        count += 1
    return digest.hexdigest(), count


def why_not_approver(rule: Approval, approver: str, makers: Collection[str]) -> str | None:
    """Why this person's yes does not count, or None where it does; both by `Actor.identity`."""
    if rule is Approval.TWO_PERSON and approver in makers:
        return (
            "A second person has to approve this: you wrote in it, or uploaded a file of it, "
            "yourself."
        )
    return None
