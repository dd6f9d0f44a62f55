"""Named places where a test can make the program die, to prove what a crash there does.

`FAILPOINTS=after_dot:exit` ends the process at that place as SIGKILL would; `name:stop` freezes it
as SIGSTOP would; `name:raise` raises; `name:exit@3` waits for the third visit. In production the
variable is ignored.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

_ACTIONS = ("exit", "stop", "raise")


class FailpointReached(Exception):
    """A failpoint armed with `raise` was reached."""


def _parse(text: str) -> dict[str, tuple[str, int]]:
    armed = {}
    for item in filter(None, text.split(",")):
        name, _, action = item.partition(":")
        action, _, visit = action.partition("@")
        if action not in _ACTIONS:
            raise ValueError(f"FAILPOINTS: {item!r} has no action of {', '.join(_ACTIONS)}.")
        armed[name.strip()] = (action, int(visit or 1))
    return armed


def make_failpoint(armed_text: str) -> Callable[[str], None]:
    """The function that the engine calls at each named place; without arms it does nothing."""
    armed = _parse(armed_text)
    if not armed:
        return lambda _name: None
    visits: dict[str, int] = {}
    lock = threading.Lock()

    def failpoint(name: str) -> None:
        if name not in armed:
            return
        action, visit = armed[name]
        with lock:
            visits[name] = visits.get(name, 0) + 1
            if visits[name] != visit:
                return
        if action == "raise":
            raise FailpointReached(name)
        os.kill(os.getpid(), signal.SIGKILL if action == "exit" else signal.SIGSTOP)

    return failpoint


failpoint = make_failpoint(
    "" if os.environ.get("APP_ENV") == "production" else os.environ.get("FAILPOINTS", "")
)
