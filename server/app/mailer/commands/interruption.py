"""Being asked to stop: what is in hand is finished first."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.mailer.commands.terminal import err, say_the_rest_to_nobody


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, so that the message in hand can be finished.

    A second one ends the program at once; what it had in hand is then in doubt. A terminal that
    is closed (SIGHUP) sets it, too, however often that is told.
    """
    stop = threading.Event()
    # Asked now, since one that is closed does not say any more what it was.
    terminals = [stream for stream in (sys.stdout, sys.stderr) if stream.isatty()]

    def ask(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        err.print("Stopping after the message in hand …")

    def hung_up(_number: int, _frame: object) -> None:
        stop.set()
        for stream in terminals:
            say_the_rest_to_nobody(stream)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    # Under nohup it is ignored, and stays so.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hung_up)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def told_to_end(*, until_eof: bool) -> threading.Event:
    """For workers: an event that SIGTERM, SIGINT and SIGHUP set, as often as they come.

    With `until_eof` also the end of standard input, which whoever started this process holds open.
    """
    end = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        end.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    if until_eof:
        threading.Thread(target=_await_eof, args=(end,), daemon=True).start()
    return end


def _await_eof(end: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    end.set()
