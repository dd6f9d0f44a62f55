"""Makes or updates the database's tables; on request also development data, or an API key."""

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
from app.bootstrap.program import Program
from app.mailer.commands.terminal import coloured, run, say
from app.mailer.services.make_api_key import make_operator_key


def main(
    with_dev_data: Annotated[
        bool,
        typer.Option("--with-dev-data", help="Only with APP_ENV=dev: tenant, user and API key."),
    ] = False,
    new_key: Annotated[
        str | None,
        typer.Option(
            "--new-key", metavar="NAME", help="Make an API key with every scope; it is shown once."
        ),
    ] = None,
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="SLUG", help="Whose key; made where it is new.")
    ] = TENANT,
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
    if new_key is not None:
        with program.sessions() as session:
            key = make_operator_key(session, tenant, new_key, clock=program.clock)
            session.commit()
        say(f"API key of “{coloured(new_key)}”, tenant {coloured(tenant)}: {key.secret}")
        say("Keep it now: only its hash is stored.")
    return 0


if __name__ == "__main__":
    run(main)
