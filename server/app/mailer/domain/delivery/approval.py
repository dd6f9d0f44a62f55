"""Who has to say yes before a version may be queued."""

from __future__ import annotations

from enum import StrEnum


class Approval(StrEnum):
    """`two_person`: the approver is none of the version's authors."""

    NONE = "none"
    REQUIRED = "required"
    TWO_PERSON = "two_person"


_STRICTNESS = list(Approval)


def stricter(one: Approval, other: Approval | None) -> Approval:
    """What holds where the tenant says `one` and the campaign `other` (None: nothing)."""
    return one if other is None else max(one, other, key=_STRICTNESS.index)
