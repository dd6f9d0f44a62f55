"""Waking up Celery's workers; a task names what is due and holds no state."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from kombu.exceptions import OperationalError
from redis import Redis, RedisError

from app.mailer.ports import BellAway

#: A ring that nobody heard for so long was lost: then it is rung again.
_HEARD_WITHIN_MS = 15_000
_SECONDS = 3.0


class _Celery(Protocol):
    def send_task(self, name: str, args: tuple[str, ...], *, queue: str, retry: bool) -> object: ...


class NoBell:
    """Implements `ports.Bell` where whoever sends looks for itself."""

    def send(self, tenant: UUID, version: UUID) -> None:
        """Nothing."""

    def append(self, tenant: UUID, campaign: UUID) -> None:
        """Nothing."""

    def dispatch(self) -> None:
        """Nothing."""

    def heard_send(self, version: UUID) -> None:
        """Nothing."""

    def heard_append(self, campaign: UUID) -> None:
        """Nothing."""


class CeleryBell:
    """Implements `ports.Bell`. One ring for one thing waits at a time: more would only pile up."""

    def __init__(self, celery: _Celery, redis_url: str, dispatch_seconds: float) -> None:
        self._celery = celery
        self._dispatch_ms = int(dispatch_seconds * 1000)
        self._redis = Redis.from_url(
            redis_url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
        )

    def send(self, tenant: UUID, version: UUID) -> None:
        self._ring("send_email", tenant, version, queue="send_email")

    def append(self, tenant: UUID, campaign: UUID) -> None:
        self._ring("append_sent", tenant, campaign, queue="append_sent")

    def heard_send(self, version: UUID) -> None:
        self._heard("send_email", version)

    def heard_append(self, campaign: UUID) -> None:
        self._heard("append_sent", campaign)

    def dispatch(self) -> None:
        """Have somebody look at everything that waits; all workers together every few seconds."""
        self._ring("dispatch", queue="default", within_ms=self._dispatch_ms)

    def _heard(self, task: str, what: UUID) -> None:
        try:
            self._redis.delete(_key(task, what))
        except RedisError as error:
            raise BellAway(f"Redis does not answer ({type(error).__name__}).") from None

    def _ring(self, task: str, *of: UUID, queue: str, within_ms: int = _HEARD_WITHIN_MS) -> None:
        try:
            if self._redis.set(_key(task, *of[1:]), 1, nx=True, px=within_ms):
                args = tuple(str(each) for each in of)
                self._celery.send_task(task, args, queue=queue, retry=False)
        except (RedisError, OperationalError) as error:
            raise BellAway(f"Redis does not answer ({type(error).__name__}).") from None


def _key(task: str, *what: UUID) -> str:
    return ":".join(["mm:rung", task, *map(str, what)])
