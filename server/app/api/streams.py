"""Answers of any size: made first, in a temporary file where they are large, and then sent.

Whoever reads slowly would otherwise keep a connection of the database for as long.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from tempfile import SpooledTemporaryFile
from typing import IO

from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session
from starlette.types import Scope

from app.access.actor import Actor
from app.api.at_once import AtOnce
from app.api.download import content_disposition
from app.api.patient import PatientResponse
from app.bootstrap.program import Program
from app.mailer.adapters.local_disk import local_disk

_log = logging.getLogger(__name__)

#: Bytes that are sent at a time.
_PIECE = 64 * 1024
#: Larger answers go to the disk.
_IN_MEMORY = 2**20
#: Whoever takes no piece for so long is not waited for: each answer under way takes room.
_PATIENCE_SECONDS = 60.0

_UNDER_WAY = AtOnce(4, "reports")


def streamed(
    program: Program,
    actor: Actor,
    make: Callable[[Session], Iterator[str] | Iterator[bytes]],
    media_type: str,
    filename: str | None = None,
) -> StreamingResponse:
    """What `make` yields of a reading session; `filename`: as a download."""

    def parts() -> Iterator[str | bytes]:
        with program.reading() as session:
            yield from make(session)

    return made(actor, parts(), media_type, filename)


def made(
    actor: Actor,
    parts: Iterable[str | bytes],
    media_type: str,
    filename: str | None = None,
) -> StreamingResponse:
    """All of `parts`, taken before this returns: what they raise becomes an answer of its own.

    503 where too many of the tenant's are being made or sent.
    """
    headers = {} if filename is None else {"Content-Disposition": content_disposition(filename)}
    with ExitStack() as held:
        held.enter_context(_UNDER_WAY.place(actor.tenant_id))
        with local_disk():
            file = held.enter_context(SpooledTemporaryFile(_IN_MEMORY, prefix="multimailer-"))
        for piece in _in_pieces(parts):
            with local_disk():
                file.write(piece)
        headers["Content-Length"] = str(file.tell())
        file.seek(0, os.SEEK_SET)
        return _Made(file, held.pop_all(), media_type, headers)


class _Made(PatientResponse):
    """The bytes of a file; what is `held` is let go once they are sent, or nobody takes them."""

    def __init__(
        self,
        file: IO[bytes],
        held: AbstractContextManager[object],
        media_type: str,
        headers: dict[str, str],
    ) -> None:
        super().__init__(
            iter(lambda: file.read(_PIECE), b""),
            held,
            _PATIENCE_SECONDS,
            media_type=media_type,
            headers=headers,
        )

    def not_taken(self, scope: Scope) -> None:
        _log.warning("Nobody took the answer to %s", scope["path"])


def _in_pieces(parts: Iterable[str | bytes]) -> Iterator[bytes]:
    """The same bytes in fewer and larger pieces: each one that is written costs time."""
    waiting = bytearray()
    for part in parts:
        waiting += part.encode() if isinstance(part, str) else part
        if len(waiting) >= _PIECE:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)
