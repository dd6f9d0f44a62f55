"""Lists the campaigns in the database."""

from __future__ import annotations

from app.bootstrap.program import Program
from app.mailer.commands.terminal import ApiKey, AsJson, print_json, print_table, run, say
from app.mailer.services.list_campaigns import list_campaigns


def main(api_key: ApiKey, as_json: AsJson = False) -> int:
    """List the campaigns of the key's tenant, the one changed last first."""
    program = Program()
    actor = program.actor(api_key)
    with program.reading() as session:
        found = list_campaigns(session, actor)
    if as_json:
        print_json(
            {
                "campaigns": [
                    {
                        "id": each.id,
                        "external_id": each.external_id,
                        "name": each.name,
                        "version_id": each.version_id,
                        "version": each.version_number,
                        "mode": each.mode,
                        "workflow_state": each.workflow_state,
                        "build": {state.value: n for state, n in each.build_counts.items()},
                        "send": {state.value: n for state, n in each.send_counts.items()},
                        "created_at": each.created_at,
                        "updated_at": each.updated_at,
                    }
                    for each in found
                ]
            }
        )
    elif not found:
        say("There is no campaign yet: import_campaign brings one in.")
    else:
        print_table(
            "Campaigns",
            ["Campaign id", "Name", "Version", "State", "Letters", "Sending"],
            [
                (
                    each.id,
                    f"{each.name} ({each.external_id})",
                    each.version_number,
                    each.workflow_state.value if each.workflow_state else "",
                    ", ".join(f"{n} {state.value}" for state, n in each.build_counts.items()),
                    ", ".join(f"{n} {state.value}" for state, n in each.send_counts.items()),
                )
                for each in found
            ],
            right=["Version"],
        )
    return 0


if __name__ == "__main__":
    run(main)
