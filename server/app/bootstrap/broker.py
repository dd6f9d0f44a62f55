"""What Redis is for: limits that all processes share, and waking up the workers."""

from __future__ import annotations

import logging

from app.mailer.adapters.bell import CeleryBell, NoBell
from app.mailer.adapters.limiter_fallback import FallbackLimiter
from app.mailer.adapters.limiter_memory import MemoryLimiter
from app.mailer.adapters.limiter_redis import RedisLimiter
from app.mailer.ports import Bell, Clock, RateLimiter
from app.settings import Settings

_log = logging.getLogger(__name__)


def make_limiter(settings: Settings, clock: Clock) -> RateLimiter:
    """Redis's where there is one; with `APP_ENV=dev` this process's while Redis is away."""
    own = MemoryLimiter(clock)
    if settings.redis_url is None:
        return own
    shared = RedisLimiter(settings.redis_url)
    return (
        FallbackLimiter(shared, own, lambda text: _log.warning("%s", text))
        if settings.is_dev
        else shared
    )


def make_bell(settings: Settings) -> Bell:
    """Celery's queues, or nothing: an embedded worker looks into the database every second."""
    if settings.redis_url is None:
        return NoBell()
    # Celery takes long to load, and no process without Redis needs it.
    from app.celery_app import DISPATCH_SECONDS, celery

    return CeleryBell(celery, settings.redis_url, DISPATCH_SECONDS)
