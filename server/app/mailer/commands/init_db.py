"""Makes or updates the database's tables, and with --with-dev-data a first tenant, user and key."""

from __future__ import annotations

from typing import Annotated

import typer

from app.access.development import (
    PASSWORD,
    TENANT,
    USER,
    bootstrap_dev_data,
    refuse_outside_development,
)
from app.bootstrap import Program
from app.mailer.commands.terminal import run, say


def main(
    with_dev_data: Annotated[
        bool,
        typer.Option("--with-dev-data", help="Only with APP_ENV=dev: tenant, user and API key."),
    ] = False,
) -> int:
    """Create the database's tables, or bring them up to date."""
    program = Program()
    if with_dev_data:
        refuse_outside_development(program.settings)
    program.migrate()
    say(f"The database is up to date: {program.engine.url.render_as_string(hide_password=True)}")
    if with_dev_data:
        with program.sessions() as session:
            bootstrap_dev_data(session, program.settings, program.clock.now())
            session.commit()
        say(f"Development data: tenant {TENANT}, user {USER}, password {PASSWORD}")
        if program.settings.dev_api_key is not None:
            say(f"API key: {program.settings.dev_api_key.get_secret_value()}")
    return 0


if __name__ == "__main__":
    run(main)
