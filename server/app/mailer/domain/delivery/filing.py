"""When a copy is filed in the Sent folder, and when a letter in doubt is looked for there."""

from __future__ import annotations

from datetime import datetime, timedelta

#: Providers that file what they send do so within seconds. A copy that is looked for too early
#: would be filed beside theirs.
PATIENCE = timedelta(seconds=20)

#: A copy is given up after so many tries; and, where it is older than this, after a few.
MOST_TRIES = 10
_OLD = timedelta(hours=48)
_FEW_TRIES = 3
_FIRST_WAIT = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(hours=4)

_FIRST_HOLD = timedelta(seconds=5)
#: After a refused login: many servers lock out who tries often.
_FIRST_ACCOUNT_HOLD = timedelta(minutes=1)
_LONGEST_HOLD = timedelta(hours=1)

#: How long after a letter came into doubt, and after each look that did not find it, it is looked
#: for.
LOOKS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))
#: How often it is asked again whether a campaign without a Sent folder has one by now.
NO_FOLDER_YET = timedelta(hours=6)


def next_try(tries: int, sent_at: datetime, now: datetime) -> datetime | None:
    """When a copy is tried again after `tries` tries of its own, or None to give it up."""
    old = now - sent_at > _OLD
    if tries >= (_FEW_TRIES if old else MOST_TRIES):
        return None
    return now + min(_FIRST_WAIT * (1 << max(tries - 1, 0)), _LONGEST_WAIT)


def hold_until(holds: int, now: datetime, *, account: bool) -> datetime:
    """Until when no copy of a campaign is tried, after `holds` holds in a row.

    `account`: the fault is one that a person has to mend, not one of the moment.
    """
    first = _FIRST_ACCOUNT_HOLD if account else _FIRST_HOLD
    return now + min(first * (1 << min(holds, 20)), _LONGEST_HOLD)


def next_look(looks: int, now: datetime) -> datetime | None:
    """When a letter in doubt is looked for again that `looks` looks did not find; None: no more."""
    return now + LOOKS[looks] if looks < len(LOOKS) else None
