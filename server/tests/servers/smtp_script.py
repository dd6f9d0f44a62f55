"""What a test can tell the SMTP server to do, and what the server tells the test."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Act:
    """What the server does at one step in place of the usual.

    `reply` is said instead of the usual reply (text: lines joined by a newline, CRLF is added;
    bytes: sent as they are). `delay` waits so many seconds first, `until` waits for an event.
    `drop` closes the connection and says nothing (with `reset` by RST). `keep`, at DOT: whether
    the message counts as accepted; unless said, a reply that begins with 2, or the usual one,
    accepts, and everything else does not. `close` hangs up after the reply.
    """

    reply: str | bytes | None = None
    delay: float = 0.0
    until: threading.Event | None = None
    drop: bool = False
    reset: bool = False
    keep: bool | None = None
    close: bool = False


DROP = Act(drop=True)
KEEP_AND_DROP = Act(drop=True, keep=True)
BUSY = Act("421 4.3.2 closing down", close=True)
GARBAGE = Act(b"\xff\xfe this is not SMTP\r\n")

#: The steps a script can name. CONNECT is the greeting, DATA the reply to the command, TEXT the
#: moment when the first bytes of the text have come, DOT the reply to the closing dot. `*` stands
#: for every command that is not one of the others.
STEPS = frozenset(
    {"CONNECT", "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT"}
    | {"DATA", "TEXT", "DOT", "RSET", "NOOP", "QUIT", "*"}
)
Script = Mapping[str, Sequence[Act | str | bytes | None]]


@dataclass(frozen=True, slots=True)
class Received:
    """One accepted message: the bytes after removing dot-stuffing, and what came with them."""

    data: bytes
    sender: str
    recipients: tuple[str, ...]
    mail_options: tuple[str, ...]
    helo: str
    user: str | None
    tls: bool
    peer: tuple[str, int]
    connection: int
