"""No request may be larger than it should: 413 as problem details, whatever it declares.

JSON is parsed in the event loop, and takes some thirty times its size in memory meanwhile. So what
may be large is said for each operation, and nothing is for whoever is not signed in.
"""

from __future__ import annotations

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import Message

from app.api.scopes import SCOPES, Open
from app.api.state import get_program

_PUBLIC = 64 * 2**10
_USUAL = 2**20
#: A campaign with all of its entries comes with these: `REQUEST_MAX_BYTES`.
_WITH_CAMPAIGN = frozenset({"create_campaign", "update_version", "autosave_version"})
#: Pieces of uploads are limited in another way: by their announced size and the quota.
_UNLIMITED = frozenset({"append_upload"})


def within_limit(request: Request, operation: str) -> Request:
    """The same request, which raises where more of its body is read than `operation` takes."""
    if operation in _UNLIMITED:
        return request
    most = _most(operation, get_program(request).settings.request_max_bytes)
    declared = request.headers.get("content-length", "")
    is_too_large = declared.isdecimal() and int(declared) > most
    receive = request.receive
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        if is_too_large:
            raise HTTPException(413)
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(413)
        return message

    return Request(request.scope, limited)


def _most(operation: str, largest: int) -> int:
    if operation in _WITH_CAMPAIGN:
        return largest
    return min(largest, _PUBLIC if SCOPES[operation] is Open.PUBLIC else _USUAL)
