"""Answers that a browser saves as a file, and never opens within the service's own pages."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from fastapi.responses import StreamingResponse


def download(
    chunks: Iterable[bytes], *, filename: str, size: int, media_type: str
) -> StreamingResponse:
    """`chunks`, `size` bytes in all, to be saved as `filename` (RFC 6266, 8187)."""
    headers = {
        "Content-Disposition": content_disposition(filename),
        "Content-Length": str(size),
        "Content-Type": media_type,
    }
    return StreamingResponse(chunks, headers=headers)


def content_disposition(filename: str) -> str:
    """The header for any name; old programs get one in ASCII."""
    plain = "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\%;' else "_"
        for char in filename
    )
    if plain == filename:
        return f'attachment; filename="{filename}"'
    named = quote(filename, safe="", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{named}"
