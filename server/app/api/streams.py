"""Answers that are made while they are sent, so that no size of them fills the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session, sessionmaker

#: Bytes that are sent at a time.
_PIECE = 64 * 1024


def streamed(
    sessions: sessionmaker[Session],
    make: Callable[[Session], Iterator[str] | Iterator[bytes]],
    media_type: str,
    filename: str | None = None,
) -> StreamingResponse:
    """What `make` yields, with its session open until the end; `filename`: as a download.

    What `make` itself raises becomes an answer of its own; once something was sent, an error can
    only break the connection.
    """
    session = sessions()
    try:
        pieces = make(session)
    except BaseException:
        session.close()
        raise
    headers = {} if filename is None else {"Content-Disposition": attachment(filename)}
    body = in_pieces(_within(session, pieces))
    return StreamingResponse(body, media_type=media_type, headers=headers)


def attachment(filename: str) -> str:
    """A `Content-Disposition` that has a browser save the body (RFC 6266)."""
    plain = "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\' else "_"
        for char in filename
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def in_pieces(parts: Iterable[str | bytes]) -> Iterator[bytes]:
    """The same bytes in fewer and larger pieces: each one that is sent costs time."""
    waiting = bytearray()
    for part in parts:
        waiting += part.encode() if isinstance(part, str) else part
        if len(waiting) >= _PIECE:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _within(session: Session, parts: Iterator[str] | Iterator[bytes]) -> Iterator[str | bytes]:
    with session:
        yield from parts
