"""Does the long work that requests put down: imports, validations, builds, test letters, copies."""

from __future__ import annotations

import logging
import os
from typing import Annotated
from uuid import uuid4

import typer

from app.bootstrap.program import Program
from app.mailer.commands.interruption import told_to_end
from app.mailer.commands.terminal import OK, run, say


def main(
    once: Annotated[bool, typer.Option("--once", help="Do what waits now, then end.")] = False,
    until_eof: Annotated[
        bool,
        typer.Option("--until-eof", help="End with standard input: never outlive who started it."),
    ] = False,
) -> int:
    """Work until stopped; several may run. What is in hand then is given back."""
    logging.basicConfig(level=logging.INFO, format="worker %(process)d: %(message)s")
    program = Program()
    shutdown = told_to_end(until_eof=until_eof)
    name = f"{os.uname().nodename}-{os.getpid()}-{uuid4().hex[:12]}"[-100:]
    worker = program.worker(name, shutdown)
    if not once:
        worker.run()
        return OK
    done = 0
    while not shutdown.is_set() and worker.run_next():
        done += 1
    say(f"{done} operations done.")
    return OK


if __name__ == "__main__":
    run(main)
