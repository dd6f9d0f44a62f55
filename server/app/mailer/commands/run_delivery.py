"""Sends what is due, of every campaign, until stopped: the sender where there is no Redis."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Annotated

import typer

from app.bootstrap.embedded import EmbeddedSender
from app.bootstrap.program import Program
from app.mailer.commands.interruption import await_eof
from app.mailer.commands.terminal import OK, run


def main(
    until_eof: Annotated[
        bool,
        typer.Option("--until-eof", help="End with standard input: never outlive who started it."),
    ] = False,
) -> int:
    """Send until stopped; only one at a time sends. What is in hand then is finished."""
    logging.basicConfig(level=logging.INFO, format="sender %(process)d: %(message)s")
    shutdown = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        shutdown.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    if until_eof:
        threading.Thread(target=await_eof, args=(shutdown,), daemon=True).start()
    EmbeddedSender(Program(), shutdown).run()
    return OK


if __name__ == "__main__":
    run(main)
