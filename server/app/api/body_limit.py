"""No request may be larger than it should: 413 as problem details, whatever it declares.

The framework's own limit answers in plain text, and in the place of a 401, too.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Where pieces of uploads go, whose size is limited in another way: their quota.
_UPLOADS = "/api/v1/files/uploads/"


class BodyLimit:
    """ASGI middleware; the error is raised where the body is read, so that whoever may not ask is
    told that first.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_upload(scope):
            await self._app(scope, receive, send)
            return
        seen = 0
        declared = Headers(scope=scope).get("content-length", "")
        is_too_large = declared.isdecimal() and int(declared) > self._max_bytes

        async def limited() -> Message:
            nonlocal seen
            if is_too_large:
                raise HTTPException(413)
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                raise HTTPException(413)
            return message

        await self._app(scope, limited, send)


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "PATCH" and str(scope["path"]).startswith(_UPLOADS)
