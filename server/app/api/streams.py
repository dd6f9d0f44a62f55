"""Answers that are made while they are sent, so that no size of them fills the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session, sessionmaker

from app.api.download import content_disposition

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
    headers = {} if filename is None else {"Content-Disposition": content_disposition(filename)}
    body = in_pieces(_within(session, pieces))
    return StreamingResponse(body, media_type=media_type, headers=headers)


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
