"""Long work: what there is, how far it is, and an end to it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

import anyio
from fastapi import Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from app.access.actor import Actor
from app.access.scopes import Scope
from app.api.access import CurrentActor, admit
from app.api.errors import ApiError
from app.api.events import (
    HEADERS,
    LONGEST_SECONDS,
    MEDIA_TYPE,
    RETRY_MILLISECONDS,
    event_schema,
)
from app.api.long_work import look
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.stopping import stopping
from app.api.v1.models.operations import OperationOut
from app.bootstrap.program import Program
from app.db.models import Operation, OperationStatus
from app.db.repositories import operations as rows
from app.db.repositories.operations import LIVE, OperationFilter
from app.mailer.domain.errors import AccessDenied
from app.mailer.services.operations import Kind, page_operations
from app.mailer.services.operations import get_operation as find_operation
from app.mailer.services.works import cancel_operation as end_operation

routes = router("operations", "/operations")

Sort = Literal["created_at", "-created_at"]

#: What one event is, once a client has read it.
_EVENT = event_schema("progress", "finished", data="The operation")
_LOOK_SECONDS = 0.4
#: How often it is asked whether whoever watches still may: a session ends, a key is revoked.
_ADMIT_SECONDS = 5.0
_HEARTBEAT_SECONDS = 15.0


@routes.get("", response_model=Page[OperationOut])
def list_operations(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    kind: Kind | None = None,
    status: OperationStatus | None = None,
    campaign_id: UUID | None = None,
    version_id: UUID | None = None,
    sort: Sort = "-created_at",
) -> Any:
    """All long work of the tenant, what was asked for last first."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    filters = OperationFilter(kind, status, campaign_id, version_id)
    with program.reading() as session:
        found = page_operations(session, actor, filters, order=order, after=after, limit=page.limit)
    return page_of(found, sort, OperationOut.of)


@routes.get("/{operation_id}")
def get_operation(actor: CurrentActor, program: ProgramDep, operation_id: UUID) -> OperationOut:
    """How far it is, or how it ended."""
    with program.reading() as session:
        return OperationOut.of(find_operation(session, actor, operation_id))


@routes.get(
    "/{operation_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A stream of events, until the operation is over",
            "content": {MEDIA_TYPE: {"schema": _EVENT}},
        }
    },
)
async def watch_operation(
    request: Request,
    actor: CurrentActor,
    program: ProgramDep,
    operation_id: UUID,
    last_event_id: Annotated[
        str | None, Header(max_length=100, description="The id of the last event that came")
    ] = None,
) -> StreamingResponse:
    """Server-sent events: `progress` each time that something changed, `finished` at the end.

    The data of each is the operation. A stream lasts ten minutes at most, and ends with the session
    or key that it was opened with; connect again then.
    """
    operation = await look(program, actor, operation_id)
    return StreamingResponse(
        _events(request, program, actor, operation, last_event_id),
        media_type=MEDIA_TYPE,
        headers=HEADERS,
    )


@routes.post("/{operation_id}/cancel")
def cancel_operation(actor: CurrentActor, program: ProgramDep, operation_id: UUID) -> OperationOut:
    """Have it end. One that runs ends a moment later: `cancel_requested` is true until then.

    Nothing half done stays; what was done completely before does. Asking again changes nothing.
    """
    return OperationOut.of(end_operation(program.workbench(), actor, operation_id))


async def _events(
    request: Request, program: Program, actor: Actor, operation: Operation, last_id: str | None
) -> AsyncIterator[bytes]:
    began = told = admitted = anyio.current_time()
    while True:
        now = anyio.current_time()
        is_over = operation.status not in LIVE
        text = OperationOut.of(operation).model_dump_json()
        event_id = hashlib.sha256(text.encode()).hexdigest()[:16]
        if event_id != last_id or is_over:
            yield format_sse_event(
                event="finished" if is_over else "progress",
                data_str=text,
                id=event_id,
                retry=RETRY_MILLISECONDS,
            )
            last_id, told = event_id, now
        elif now - told >= _HEARTBEAT_SECONDS:
            yield KEEPALIVE_COMMENT
            told = now
        if is_over or stopping.is_set() or now - began >= LONGEST_SECONDS:
            return
        await anyio.sleep(_LOOK_SECONDS)
        if anyio.current_time() - admitted >= _ADMIT_SECONDS:
            try:
                await run_in_threadpool(admit, request, Scope.CAMPAIGN_READ)
            except (ApiError, AccessDenied):
                return
            admitted = anyio.current_time()
        operation = await look(program, actor, operation.id)
