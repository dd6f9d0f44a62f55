"""When a message that the server put off is tried again, and when that ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: No wait is longer than this, however often a server said no.
LONGEST_WAIT = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`delivery.retry`: at most `max_attempts` tries, none after `max_age` since queueing."""

    max_attempts: int = 5
    backoff: timedelta = timedelta(seconds=60)
    max_age: timedelta = timedelta(hours=48)

    def next_due(self, attempts: int, queued_at: datetime, now: datetime) -> datetime | None:
        """When to try again after `attempts` counted tries, or None to give up.

        The wait doubles with each try (RFC 5321, 4.5.4.1 asks for a growing interval).
        """
        if attempts >= self.max_attempts:
            return None
        # The exponent is capped: a timedelta overflows long before a clerk loses patience.
        wait = min(self.backoff * 2 ** min(max(attempts - 1, 0), 20), LONGEST_WAIT)
        due = now + wait
        return due if due <= queued_at + self.max_age else None
