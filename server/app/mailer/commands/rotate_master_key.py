"""Wraps every stored secret under a new master key, while the service runs with both keys."""

from __future__ import annotations

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
from app.mailer.domain.errors import ConfigurationError
from app.mailer.services.rotate_key import rotate_master_key

_SHOWN = 20


def main(as_json: AsJson = False) -> int:
    """Move every stored secret from MASTER_KEY_OLD_B64 to MASTER_KEY_B64.

    Set both and restart the service and every worker first: a process without the new key can
    read nothing that was moved. Interrupted, it can be run again.
    """
    program = Program()
    settings = program.settings
    if settings.master_key_old is None:
        raise ConfigurationError(
            "MASTER_KEY_OLD_B64 is not set, so there is no key to move away from.",
            "Set it to the key so far, and MASTER_KEY_B64 to the new one.",
        )
    if settings.master_key_old == settings.master_key:
        raise ConfigurationError(
            "MASTER_KEY_B64 and MASTER_KEY_OLD_B64 are the same key, so nothing would move.",
            "Set MASTER_KEY_B64 to a new key, and leave the key so far in MASTER_KEY_OLD_B64.",
        )
    with Bar() as bar:
        rotation = rotate_master_key(
            program.sessions, box=program.box, clock=program.clock, progress=bar
        )
    if as_json:
        print_json(
            {
                "found": rotation.found,
                "rewrapped": rotation.rewrapped,
                "left": rotation.left,
                "unreadable": rotation.unreadable,
            }
        )
        return OK if rotation.complete else FINDINGS
    say(f"{rotation.rewrapped} of {rotation.found} secrets were moved to the new key.")
    for each in rotation.unreadable[:_SHOWN]:
        say(f"[red]Not readable:[/] {coloured(each)}")
    if (more := len(rotation.unreadable) - _SHOWN) > 0:
        say(f"… and {more} more; --json shows all.")
    if rotation.complete:
        say("Nothing is left under another key.")
        if rotation.found:
            # Until then such a process reads nothing that was moved, and seals with the old key.
            say("Restart every process that has only the old key, then run this once more.")
        return OK
    say(
        f"[red]{rotation.left} are still under another key.[/] Keep MASTER_KEY_OLD_B64; see that "
        "every process has the new key, and run this again."
    )
    return FINDINGS


if __name__ == "__main__":
    run(main)
