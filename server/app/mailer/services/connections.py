"""SMTP connections that outlive a run, so that the next one need not greet and log in again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from app.mailer.ports import Clock, MailTransport, ServerAccess

#: Most servers hang up on who says nothing for five minutes (RFC 5321, 4.5.3.2.7); a connection
#: that nobody uses also takes one of the few that an account may have.
IDLE_SECONDS = 30.0


class Connections:
    """Keeps what was connected and is idle, by server and login. Safe for threads."""

    def __init__(self, connect: Callable[[ServerAccess], MailTransport], clock: Clock) -> None:
        self._connect = connect
        self._clock = clock
        self._idle: list[tuple[ServerAccess, MailTransport, float]] = []
        self._lock = threading.Lock()

    def connect(self, access: ServerAccess) -> MailTransport:
        """One that is idle, else a new one."""
        with self._lock:
            for place, (known, transport, _) in enumerate(self._idle):
                if known == access:
                    del self._idle[place]
                    return transport
        return self._connect(access)

    def disconnect(self, access: ServerAccess, transport: MailTransport) -> None:
        """Keep it for the next run."""
        with self._lock:
            self._idle.append((access, transport, self._clock.monotonic()))

    def close_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """Close what nobody wanted for so long; with -inf everything."""
        before = self._clock.monotonic() - seconds
        with self._lock:
            old = [each for each in self._idle if each[2] <= before]
            self._idle = [each for each in self._idle if each[2] > before]
        for _, transport, _ in old:
            transport.close()
