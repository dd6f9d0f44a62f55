"""Sends what is due, of every campaign, until stopped: the sender where there is no Redis."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from app.bootstrap.embedded import EmbeddedSender
from app.bootstrap.program import Program
from app.mailer.commands.interruption import told_to_end
from app.mailer.commands.terminal import OK, run


def main(
    until_eof: Annotated[
        bool,
        typer.Option("--until-eof", help="End with standard input: never outlive who started it."),
    ] = False,
) -> int:
    """Send until stopped; only one at a time sends. What is in hand then is finished."""
    logging.basicConfig(level=logging.INFO, format="sender %(process)d: %(message)s")
    shutdown = told_to_end(until_eof=until_eof)
    EmbeddedSender(Program(), shutdown).run()
    return OK


if __name__ == "__main__":
    run(main)
