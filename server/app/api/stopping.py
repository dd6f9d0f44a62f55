"""Whether this process was asked to stop: answers that last must end, or it would wait for them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Set by SIGTERM and SIGINT.
stopping = threading.Event()


@contextmanager
def noticed() -> Iterator[None]:
    """Notices those signals meanwhile; whoever handled them before still does.

    A server handles them itself, and waits for all answers before it ends the application.
    """
    stopping.clear()
    if threading.current_thread() is not threading.main_thread():
        yield  # no place for signals: a test
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: object) -> None:
        stopping.set()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)  # type: ignore[arg-type]  # a frame, as signals give it

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
