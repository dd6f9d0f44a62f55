"""Makes or updates the database's tables; on request also development data, a key, a user."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from app.access.development import (
    PASSWORD,
    TENANT,
    USER,
    bootstrap_dev_data,
    refuse_outside_development,
)
from app.access.roles import OWNER
from app.bootstrap.program import Program
from app.mailer.commands.terminal import coloured, run, say
from app.mailer.domain.errors import MailerError
from app.mailer.services.make_api_key import make_operator_key
from app.mailer.services.people.first_user import make_operated_user


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
    new_user: Annotated[
        str | None,
        typer.Option(
            "--new-user",
            metavar="ADDRESS",
            help="Make a user who can sign in. The password is asked for, or is the first line of "
            "standard input.",
        ),
    ] = None,
    role: Annotated[
        str, typer.Option("--role", metavar="NAME", help="What the new user may do.")
    ] = OWNER,
    tenant: Annotated[
        str,
        typer.Option("--tenant", metavar="SLUG", help="Whose key or user; made where it is new."),
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
    if new_user is not None:
        password = _new_password()
        with program.sessions() as session:
            made = make_operated_user(
                session, tenant, role, email=new_user, password=password, now=program.clock.now()
            )
            session.commit()
        say(f"{coloured(made.user.email)} is {coloured(role)} of the tenant {coloured(tenant)}.")
    return 0


def _new_password() -> str:
    # Never an argument: those show in the list of processes and in the shell's history.
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password, 12 characters or more: ")
    if getpass.getpass("Once more: ") != password:
        raise MailerError("The two differ.", "Type the same password twice.")
    return password


if __name__ == "__main__":
    run(main)
