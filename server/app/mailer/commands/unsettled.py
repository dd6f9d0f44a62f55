"""Tables of the letters that only a person can settle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.mailer.commands.terminal import print_table, say


def show_in_doubt(letters: Sequence[Mapping[str, Any]], count: int) -> None:
    """What is in doubt, with what to look for in logs and mail programs; `count` is of all."""
    print_table(
        f"{count} in doubt: the recipient may or may not have it",
        ["Entry", "To", "Last try", "Message-ID"],
        [(each["entry"], each["to"], each["at"], each["message_id"]) for each in letters],
    )
    _say_more(count - len(letters))


def show_failed(letters: Sequence[Mapping[str, Any]], count: int) -> None:
    """What failed, and what the server said; `count` is of all."""
    print_table(
        f"{count} failed",
        ["Entry", "To", "Last try", "Reply"],
        [(each["entry"], each["to"], each["at"], why(each)) for each in letters],
    )
    _say_more(count - len(letters))


def why(letter: Mapping[str, Any]) -> str:
    """The server's last answer, or what went wrong without one."""
    parts = (letter["code"], letter["reply"] or letter["error"])
    return " ".join(str(part) for part in parts if part)


def _say_more(count: int) -> None:
    if count > 0:
        say(f"… and {count} more; --json lists all.")
