"""Shows who did what, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from app.audit.log import list_entries
from app.bootstrap.program import Program
from app.db.models import AuditEntry
from app.db.repositories.audit import AuditFilter
from app.mailer.commands.terminal import OK, ApiKey, AsJson, print_json, print_table, run, say


def main(
    api_key: ApiKey,
    action: Annotated[
        str | None, typer.Option("--action", help="Only this, e.g. campaign.queued.")
    ] = None,
    object_type: Annotated[
        str | None, typer.Option("--object-type", help="Only on this kind, e.g. campaign.")
    ] = None,
    object_id: Annotated[
        str | None, typer.Option("--object-id", metavar="UUID", help="Only on this one.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50,
    offset: Annotated[int, typer.Option("--offset", min=0)] = 0,
    as_json: AsJson = False,
) -> int:
    """List the audit log of the key's tenant, newest first."""
    program = Program()
    actor = program.actor(api_key)
    wanted = AuditFilter(
        action=action, object_type=object_type, object_id=object_id, limit=limit, offset=offset
    )
    with program.reading() as session:
        entries = list_entries(session, actor, wanted)
    if as_json:
        print_json(
            {
                "entries": [
                    {
                        "sequence": each.sequence,
                        "at": each.at,
                        "actor": {
                            "kind": each.actor_kind,
                            "id": each.actor_id,
                            "name": each.actor_name,
                            "address": each.address,
                        },
                        "action": each.action,
                        "object_type": each.object_type,
                        "object_id": each.object_id,
                        "details": each.details,
                        "before": each.before,
                        "after": each.after,
                        "previous_hash": each.previous_hash,
                        "hash": each.hash,
                    }
                    for each in entries
                ],
                "limit": limit,
                "offset": offset,
            }
        )
    elif not entries:
        say("Nothing is recorded that fits.")
    else:
        print_table(
            "Audit log",
            ["No.", "At (UTC)", "Who", "Did", "To", "Details"],
            [
                (
                    each.sequence,
                    f"{each.at:%Y-%m-%d %H:%M:%S}",
                    each.actor_name
                    if each.address is None
                    else f"{each.actor_name}\n{each.address}",
                    each.action,
                    f"{each.object_type} {each.object_id}",
                    "\n".join(filter(None, (_in_words(each.details), _changed(each)))),
                )
                for each in entries
            ],
            right=["No."],
        )
    return OK


def _changed(entry: AuditEntry) -> str:
    """What is another than before, a line each."""
    before, after = entry.before or {}, entry.after or {}
    return "\n".join(
        f"{name.replace('_', ' ')}: {before.get(name, '–')} → {after.get(name, '–')}"
        for name in [*before, *(each for each in after if each not in before)]
    )


def _in_words(details: Mapping[str, Any]) -> str:
    """The details that say something, a line each; --json has them all."""
    lines = []
    for name, value in details.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{n} {key}" for key, n in value.items() if n)
        elif isinstance(value, list):
            value = ", ".join(map(str, value[:5])) + (" …" if len(value) > 5 else "")
        if value not in ("", None, False, 0):
            lines.append(f"{name.replace('_', ' ')}: {value}")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
