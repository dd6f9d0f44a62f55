"""So much at a time, so that no tenant takes from the others what all of them need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from uuid import UUID

from app.api.errors import ApiError


class AtOnce:
    """At most `most` of each tenant, in this process; whoever comes beyond is told to come again.

    `what` begins the sentence: "4 reports".
    """

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._taken: Counter[UUID] = Counter()
        self._lock = Lock()

    @contextmanager
    def place(self, tenant_id: UUID) -> Iterator[None]:
        """Holds one of the tenant's places; 503 where there is none."""
        with self._lock:
            if self._taken[tenant_id] >= self._most:
                raise busy(f"{self._most} {self._what} of this tenant are under way.")
            self._taken[tenant_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[tenant_id] -= 1
                if not self._taken[tenant_id]:
                    del self._taken[tenant_id]


def busy(detail: str) -> ApiError:
    """503: as much as may be is under way already."""
    return ApiError(
        503,
        "busy",
        detail,
        "Wait until one of them ends, then ask again.",
        headers={"Retry-After": "5"},
    )
