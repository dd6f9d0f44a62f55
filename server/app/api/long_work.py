"""Requests that begin long work: answered at once with an operation, or, where the client would
rather wait, with its end.

    operation = await begin(program, actor, Kind.BUILD, version_id=version_id)
    return await answer(program, actor, operation, wait)
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

import anyio
from fastapi import Depends, Header
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from app.access.actor import Actor
from app.api.errors import ApiError
from app.api.stopping import stopping
from app.api.v1.models.operations import OperationOut
from app.bootstrap.program import Program
from app.db.models import Operation
from app.db.repositories.operations import LIVE
from app.mailer.services.operations import (
    AlreadyRunning,
    Kind,
    get_operation,
    start_operation,
)

#: Where operations are.
PATH = "/api/v1/operations"
_MOST_SECONDS = 30
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE)
_FIRST_LOOK_SECONDS, _LOOK_SECONDS = 0.1, 0.4

#: For `responses` of a route that answers with `answer`.
OPERATION: dict[int | str, dict[str, Any]] = {
    200: {
        "model": OperationOut,
        "description": "It ended while you waited; `status` says how",
        "headers": {
            "Preference-Applied": {
                "schema": {"type": "string"},
                "description": "`wait=` and the seconds that were granted",
            }
        },
    },
    202: {
        "model": OperationOut,
        "description": "It is put down for a worker",
        "headers": {
            "Location": {
                "schema": {"type": "string", "format": "uri-reference"},
                "description": "Where to watch it",
            }
        },
    },
}


def _seconds(
    prefer: Annotated[
        str | None,
        Header(
            max_length=200,
            description="`wait=20`: wait so many seconds (30 at most) for the end (RFC 7240)",
            examples=["wait=20"],
        ),
    ] = None,
) -> int | None:
    # What cannot be understood is passed over: a preference never makes a request fail.
    found = _WAIT.search(prefer or "")
    return None if found is None else min(int(found[1]), _MOST_SECONDS)


#: Seconds that the client would wait; None: it did not say.
Wait = Annotated[int | None, Depends(_seconds)]


async def begin(
    program: Program,
    actor: Actor,
    kind: Kind,
    *,
    request: dict[str, Any] | None = None,
    campaign_id: UUID | None = None,
    version_id: UUID | None = None,
) -> Operation:
    """Put work down; 409 `operation-running`, with the other one's id, where it is already."""

    def put_down() -> Operation:
        with program.sessions() as session:
            operation = start_operation(
                session,
                actor,
                kind,
                now=program.clock.now(),
                request=request,
                campaign_id=campaign_id,
                version_id=version_id,
            )
            session.commit()
            return operation

    try:
        return await run_in_threadpool(put_down)
    except AlreadyRunning as error:
        location = f"{PATH}/{error.operation_id}"
        raise ApiError(
            409,
            "operation-running",
            error.message,
            error.hint,
            headers={"Location": location},
            operation_id=str(error.operation_id),
        ) from None


async def answer(
    program: Program, actor: Actor, operation: Operation, wait: int | None
) -> Response:
    """202 with the operation; 200 where it ended within `wait` seconds."""
    if wait is not None:
        operation = await _ended(program, actor, operation, wait)
    headers = {"Location": f"{PATH}/{operation.id}"}
    if wait is not None:
        headers["Preference-Applied"] = f"wait={wait}"
    return JSONResponse(
        OperationOut.of(operation).model_dump(mode="json"),
        202 if operation.status in LIVE else 200,
        headers=headers,
    )


async def _ended(program: Program, actor: Actor, operation: Operation, wait: int) -> Operation:
    pause = _FIRST_LOOK_SECONDS
    with anyio.move_on_after(wait):
        while operation.status in LIVE and not stopping.is_set():
            await anyio.sleep(pause)
            pause = _LOOK_SECONDS
            operation = await look(program, actor, operation.id)
    return operation


async def look(program: Program, actor: Actor, operation_id: UUID) -> Operation:
    """The operation as it stands now; no connection is held after it."""

    def read() -> Operation:
        with program.reading() as session:
            return get_operation(session, actor, operation_id)

    return await run_in_threadpool(read)
