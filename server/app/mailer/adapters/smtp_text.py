"""What may go over SMTP: addresses that cannot inject, text that cannot smuggle, dot-stuffing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from app.mailer.ports import Envelope, Stage, TransportFailure

# White space, line breaks of any kind, controls and angle brackets would end the path early.
_UNSAFE_IN_PATH = re.compile("[\\s\x00-\x20\x7f-\x9f<>\u2028\u2029\ud800-\udfff]")

PIECE = 128 * 1024  # octets handed to the socket at once


class UnsafeText(Exception):
    """The text breaks a rule of RFC 5321 and must not leave, not even in part."""


def refuse_unsafe(envelope: Envelope) -> None:
    """Raises `TransportFailure` (this message only) for an envelope that must not be spoken."""
    if not envelope.recipients:
        raise _refused("The message has no recipient.")
    for address in (envelope.sender, *envelope.recipients):
        if not address or _UNSAFE_IN_PATH.search(address):
            raise _refused(
                f"The address {address!r} is empty or has a space, a line break or an angle "
                "bracket; it is not sent to the server."
            )
        if not address.isascii() and not envelope.needs_smtputf8:
            raise _refused(
                f"The address {address!r} is not ASCII, but the message does not ask for SMTPUTF8."
            )


def checked(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The chunks as they are, while they are `size` octets of lines that end in CRLF.

    Raises `UnsafeText` at the first bare CR or LF (some servers see an end of text there and
    take what follows for commands: SMTP smuggling), and at the end for a wrong size or a last
    line without CRLF.
    """
    seen = 0
    pending_cr = False
    last = b""
    for chunk in chunks:
        if not chunk:
            continue
        ends_in_cr = chunk.endswith(b"\r")
        pairs = chunk.count(b"\r\n")
        starts_with_lf = pending_cr and chunk.startswith(b"\n")
        if (
            pending_cr != starts_with_lf
            or chunk.count(b"\n") - starts_with_lf != pairs
            or chunk.count(b"\r") - ends_in_cr != pairs
        ):
            raise UnsafeText("The message has a line break that is not CRLF.")
        seen += len(chunk)
        pending_cr = ends_in_cr
        last = (last + chunk[-2:])[-2:]
        yield chunk
    if seen != size:
        raise UnsafeText(f"The message has {seen} octets where {size} were announced.")
    if last != b"\r\n":
        raise UnsafeText("The message does not end in CRLF.")


def stuffed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Doubles each dot that begins a line (RFC 5321, 4.5.2), in pieces of about `PIECE` octets.

    Wants text that `checked` has passed: there every LF begins a new line.
    """
    pending = bytearray()
    at_line_start = True
    for chunk in chunks:
        if at_line_start and chunk.startswith(b"."):
            pending += b"."
        pending += chunk.replace(b"\n.", b"\n..") if b"\n." in chunk else chunk
        at_line_start = chunk.endswith(b"\n")
        if len(pending) >= PIECE:
            yield bytes(pending)
            pending.clear()
    if pending:
        yield bytes(pending)


def _refused(message: str) -> TransportFailure:
    return TransportFailure(Stage.MAIL, message, permanent_here=True)
