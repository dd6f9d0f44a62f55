"""Bodies of imports: small ones are read, large ones go to a worker as they come.

A large one is never parsed here, nor held in memory: parsing 100 MB of JSON would keep every other
request of this process waiting for seconds.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.access.actor import Actor
from app.api.at_once import AtOnce, busy
from app.api.errors import ApiError
from app.api.long_work import begin
from app.bootstrap.program import Program
from app.db.models import Operation
from app.db.repositories import operations
from app.mailer.services.operations import Kind
from app.mailer.services.stored_body import Sealer

#: Bytes of a body that is read here and now.
SMALL = 2**20
_STAGED_AT_ONCE = 4 * 2**20
#: No quota knows of the bodies that wait, so of each tenant few do. As many may be on their way to
#: each process: how large they are is known at their ends.
_MOST_WAITING = 8
_COMING = AtOnce(_MOST_WAITING, "imports")


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """For `openapi_extra` of a route that reads its body itself."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def check_body(model: type[BaseModel], body: bytes) -> None:
    """The same answer for a body that does not fit `model` as where FastAPI reads it.

    What is no JSON passes: whoever reads it says more precisely what is wrong with it.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    try:
        model.model_validate(document)
    except ValidationError as error:
        raise RequestValidationError(
            [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        ) from None


async def receive_import(program: Program, actor: Actor, request: Request) -> bytes | Operation:
    """The body of a request that imports a campaign; where it is large, the operation that does.

    What is not declared as JSON is 415: a page of another origin could send it without asking. 503
    where too many large ones of the tenant come or wait.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise ApiError(
            415,
            "content-type",
            "The body must be JSON, and say so.",
            "Send Content-Type: application/json.",
        )
    head = bytearray()
    rest = request.stream()
    async for chunk in rest:
        head += chunk
        if len(head) > SMALL:
            break
    else:
        return bytes(head)

    with _COMING.place(actor.tenant_id):
        await run_in_threadpool(_refuse_beyond_waiting, program, actor)
        return await _put_down(program, actor, bytes(head), rest)


def _refuse_beyond_waiting(program: Program, actor: Actor) -> None:
    with program.reading() as session:
        waiting = operations.count_live(session, actor.tenant_id, Kind.IMPORT)
    if waiting >= _MOST_WAITING:
        raise busy(f"{waiting} imports of this tenant wait already.")


async def _put_down(
    program: Program, actor: Actor, head: bytes, rest: AsyncIterator[bytes]
) -> Operation:
    body_id = uuid4()
    sealer = Sealer(program.box, actor.tenant_id, body_id)
    size, offset = len(head), 0
    waiting = bytearray(sealer.feed(head))

    async def stage(least: int) -> None:
        nonlocal offset
        while len(waiting) > least:
            data = bytes(waiting[:_STAGED_AT_ONCE])
            del waiting[: len(data)]
            await run_in_threadpool(
                program.stored_files.stage, actor.tenant_id, body_id, offset, 0, data
            )
            offset += len(data)

    try:
        async for chunk in rest:
            size += len(chunk)
            waiting += sealer.feed(chunk)
            await stage(_STAGED_AT_ONCE)
        waiting += sealer.end()
        await stage(0)
        return await begin(
            program, actor, Kind.IMPORT, request={"body_id": str(body_id), "bytes": size}
        )
    except Exception:
        await run_in_threadpool(program.stored_files.unstage, actor.tenant_id, body_id)
        raise
