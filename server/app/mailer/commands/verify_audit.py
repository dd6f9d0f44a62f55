"""Proves the chain of the audit log, or names the first entry that breaks it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.bootstrap.program import Program
from app.mailer.commands.terminal import (
    FINDINGS,
    OK,
    AsJson,
    Bar,
    coloured,
    print_json,
    run,
    say,
)
from app.mailer.domain.audit_chain import Head
from app.mailer.domain.errors import MailerError
from app.mailer.services.verify_audit import Verified, verify_all, verify_audit


def main(
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            envvar="MULTIMAILER_API_KEY",
            metavar="KEY",
            help="Whose tenant's log. Better from the environment than on the command line.",
        ),
    ] = None,
    everybody: Annotated[
        bool,
        typer.Option("--all-tenants", help="All logs; for whoever may read the database anyway."),
    ] = False,
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="NUMBER:HASH",
            help="An end of the log that was noted earlier and must be met on the way.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Prove the audit log entry by entry. Exit code 1: it was tampered with; where, and how."""
    program = Program()
    if everybody and expect is not None:
        raise MailerError("--expect is about one log.", "Use it with --api-key.")
    expected = _head(expect)
    results: list[tuple[str | None, Verified]]
    if everybody:
        with program.reading() as session, Bar() as bar:
            results = [*verify_all(session, bar)]
    elif api_key is None:
        raise MailerError("Whose log is meant?", "Use --api-key, or --all-tenants.")
    else:
        actor = program.actor(api_key)
        with program.reading() as session, Bar() as bar:
            results = [(None, verify_audit(session, actor, expected=expected, progress=bar))]
    if as_json:
        print_json({"logs": [_as_json(tenant, found) for tenant, found in results]})
    else:
        for tenant, found in results:
            _show(tenant, found)
    return OK if all(found.proved for _, found in results) else FINDINGS


def _head(text: str | None) -> Head | None:
    try:
        return None if text is None else Head.parse(text)
    except ValueError as error:
        raise MailerError(
            f"--expect: “{text}” is not the end of a log.", f"{error} This command prints it."
        ) from None


def _as_json(tenant: str | None, found: Verified) -> dict[str, Any]:
    return {
        "tenant_id": found.tenant_id,
        **({"tenant": tenant} if tenant is not None else {}),
        "proved": found.proved,
        "checked": found.checked,
        "head": str(found.head) if found.head is not None else None,
        "broken": None
        if found.broken is None
        else {"sequence": found.broken.sequence, "reason": found.broken.reason},
    }


def _show(tenant: str | None, found: Verified) -> None:
    whose = f"{coloured(tenant)}: " if tenant is not None else ""
    if found.broken is not None:
        say(
            f"{whose}[red]Entry {found.broken.sequence} breaks the log:[/] {found.broken.reason}. "
            f"The {found.checked} before it are proved."
        )
        return
    say(f"{whose}[green]The log is proved:[/] {found.checked} entries.")
    if found.head is not None:
        say(f"  Note its end elsewhere, for --expect later: {found.head}")


if __name__ == "__main__":
    run(main)
