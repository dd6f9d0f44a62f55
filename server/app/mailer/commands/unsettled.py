"""Tables of the letters that only a person can settle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.mailer.commands.terminal import print_table, say


def show_in_doubt(letters: Sequence[Mapping[str, Any]], count: int) -> None:
    """What is in doubt, with what to look for in logs and mail programs; `count` is of all."""
    print_table(
        f"{count} in doubt: the recipient may or may not have it",
        ["Entry", "To", "Last try", "In the Sent folder", "Message-ID"],
        [
            (each["entry"], each["to"], each["at"], _looks(each), each["message_id"])
            for each in letters
        ],
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


def _looks(letter: Mapping[str, Any]) -> str:
    """Whether it was looked for there, which says something only where it was found."""
    count = letter["look_count"]
    if not count:
        return "not looked for"
    times = "once" if count == 1 else f"{count} times"
    return f"looked for {times}, last {letter['looked_at']}: not there"


def _say_more(count: int) -> None:
    if count > 0:
        say(f"… and {count} more; --json lists all.")
