from __future__ import annotations

from datetime import UTC, datetime

from app.mailer.adapters.clock import SystemClock


def test_the_system_clock() -> None:
    clock = SystemClock()
    before, started = datetime.now(UTC), clock.monotonic()
    clock.sleep(0.001)
    clock.sleep(-1)
    assert clock.monotonic() > started
    assert clock.now() > before
    assert clock.now().utcoffset() is not None
