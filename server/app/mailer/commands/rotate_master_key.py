"""Wraps every stored secret under a new master key; the service may run meanwhile."""

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

    Interrupted, it can be run again. Where it ends with 0, the old key is no longer needed.
    """
    program = Program()
    if program.settings.master_key_old is None:
        raise ConfigurationError(
            "MASTER_KEY_OLD_B64 is not set, so there is no key to move away from.",
            "Set it to the key so far, and MASTER_KEY_B64 to the new one.",
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
        say("Nothing is left under another key. MASTER_KEY_OLD_B64 can be taken away.")
        return OK
    say(
        f"[red]{rotation.left} are still under another key.[/] Keep MASTER_KEY_OLD_B64; see that "
        "every process has the new key, and run this again."
    )
    return FINDINGS


if __name__ == "__main__":
    run(main)
