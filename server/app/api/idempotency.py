"""Requests that may be repeated: a POST with an `Idempotency-Key` is done once.

After draft-ietf-httpapi-idempotency-key-header. A key belongs to one tenant and one person. The
first request of a key is done and its answer kept for a day; the same request again gets that
answer, another request under the same key is refused. The answer is sealed, since some show a
secret. Where the process died between the work and the answer, nobody knows what became of the
request, and that is what the next one is told.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from inspect import iscoroutinefunction
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.types import Message, Receive

from app.api.access import current_actor
from app.api.errors import ApiError
from app.api.state import get_program
from app.bootstrap.program import Program
from app.db.repositories import idempotency
from app.db.repositories.idempotency import Kept, Place
from app.db.session import DATABASE_AWAY, what_is_away
from app.mailer.domain.errors import ConfigurationError
from app.mailer.domain.sealed import sealed_place

_log = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
#: Headers that are part of an answer; all others are made anew.
_KEPT_HEADERS = ("content-type", "location", "etag", "preference-applied")
#: They tell of the asker or the moment, not of what was done.
_NOT_KEPT = frozenset({401, 403, 413, 429})
#: A request that has taken so long has probably lost its process.
_DOUBTFUL = timedelta(minutes=1)

#: How the header is described in the OpenAPI document.
PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": (
        "A name of your own for this request, so that it can be repeated when its answer was lost: "
        "it is done once, and the same request again gets the same answer, with "
        "`Idempotent-Replayed: true`. Good for 24 hours. 422 for another request under the same "
        "key, 409 while the first one is under way or where nobody knows what became of it."
    ),
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,200}$", "maxLength": 200},
    "example": "5b1f1d0e-7a55-4a3c-9a40-0f2c5f1e8b11",
}


async def once(request: Request, handler: Handler) -> Response:
    """The answer of `handler`, or the one that this request got before."""
    keys = request.headers.getlist(HEADER)
    if not keys:
        return await handler(request)
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise ApiError(
            422,
            "idempotency-key",
            f"{HEADER} must be 1 to 200 visible ASCII characters.",
            "A UUID will do.",
        )
    program = get_program(request)
    actor = current_actor(request)
    place = Place(actor.tenant_id, actor.identity, keys[0])
    now = program.clock.now()
    body = _Hashed(request)
    kept = await run_in_threadpool(_reserve, program, place, now)
    if kept is not None:
        return await _again(program, place, kept, body, now)
    try:
        response = await handler(Request(request.scope, body))
    except Exception as error:
        told = await _told(request, error)
        if told is None:
            await run_in_threadpool(_release, program, place, now)
            raise
        response = told
    await _keep(program, place, now, body, response)
    return response


class _Hashed:
    """A request's body as it comes, hashed on its way."""

    def __init__(self, request: Request) -> None:
        self._receive: Receive = request.receive
        self._digest = hashlib.sha256(
            f"{request.method} {request.url.path}?{request.url.query}\n".encode()
        )
        self.is_whole = False

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._digest.update(message.get("body", b""))
            self.is_whole = not message.get("more_body", False)
        return message

    async def digest(self) -> str | None:
        """Of all of it, its rest read for that; None where it never came."""
        while not self.is_whole:
            if (await self())["type"] == "http.disconnect":
                return None
        return self._digest.hexdigest()


async def _again(
    program: Program, place: Place, kept: Kept, body: _Hashed, now: datetime
) -> Response:
    if kept.answer is None:
        if now - kept.created_at < _DOUBTFUL:
            raise ApiError(
                409,
                "idempotency-key-in-use",
                "The first request of this key is under way.",
                "Ask again in a moment.",
                headers={"Retry-After": "1"},
            )
        raise ApiError(
            409,
            "idempotency-key-in-use",
            "The first request of this key has no answer yet, and may never get one: it is not "
            "known what became of it.",
            "Look whether it was done. If not, send it with another key.",
        )
    if await body.digest() != kept.request_sha256:
        raise ApiError(
            422,
            "idempotency-key-reused",
            "This key was used for another request.",
            "Take a new key for each request, and the same one only to repeat it.",
        )
    try:
        text = program.box.open(kept.answer, _context(place))
    except ConfigurationError:
        raise ApiError(
            409,
            "idempotency-answer-lost",
            "This request was done, but its answer can no longer be read.",
            "Look at what it made; do not repeat it.",
        ) from None
    answer = orjson.loads(text)
    return Response(
        base64.b64decode(answer["body"]),
        answer["status"],
        headers={**answer["headers"], "Idempotent-Replayed": "true"},
    )


async def _keep(
    program: Program, place: Place, reserved_at: datetime, body: _Hashed, response: Response
) -> None:
    content = getattr(response, "body", None)
    status = response.status_code
    try:
        digest = await body.digest()
        if digest is None or content is None or status >= 500 or status in _NOT_KEPT:
            await run_in_threadpool(_release, program, place, reserved_at)
            return
        answer = orjson.dumps(
            {
                "status": status,
                "headers": {
                    name: response.headers[name]
                    for name in _KEPT_HEADERS
                    if name in response.headers
                },
                "body": base64.b64encode(content).decode(),
            }
        )
        await run_in_threadpool(_store, program, place, reserved_at, digest, answer)
    except DATABASE_AWAY as error:
        # What was asked for is done, and its answer goes out; only a repetition learns nothing.
        _log.warning("An answer could not be kept: %s", what_is_away(error))


async def _told(request: Request, error: Exception) -> Response | None:
    """What the application answers to `error`; None where it is nothing that anybody expected."""
    handlers = request.app.exception_handlers
    for kind in type(error).__mro__:
        if kind is not Exception and kind in handlers:
            handler = handlers[kind]
            if iscoroutinefunction(handler):
                answer = await handler(request, error)
            else:
                answer = await run_in_threadpool(handler, request, error)
            assert isinstance(answer, Response)
            return answer
    return None


def _reserve(program: Program, place: Place, now: datetime) -> Kept | None:
    with program.sessions() as session:
        kept = idempotency.reserve(session, place, now)
        session.commit()
    return kept


def _release(program: Program, place: Place, reserved_at: datetime) -> None:
    with program.sessions() as session:
        idempotency.release(session, place, reserved_at)
        session.commit()


def _store(
    program: Program, place: Place, reserved_at: datetime, digest: str, answer: bytes
) -> None:
    with program.sessions() as session:
        sealed = program.box.seal(answer, _context(place))
        idempotency.keep(session, place, reserved_at, digest, sealed)
        session.commit()


def _context(place: Place) -> str:
    return sealed_place(
        place.tenant_id, "idempotency_keys", f"{place.actor_id}/{place.key}", "answer"
    )
