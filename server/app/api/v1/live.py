"""How a campaign that is being sent stands just now."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated, Any
from uuid import UUID

import anyio
from fastapi import Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.exc import SQLAlchemyError

from app.access.actor import Actor
from app.access.scopes import Scope
from app.api.access import CurrentActor, admit
from app.api.at_once import AtOnce
from app.api.errors import ApiError
from app.api.events import LONGEST_SECONDS, MEDIA_TYPE, RETRY_MILLISECONDS, event_schema
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.stopping import stopping
from app.api.v1.models.live import LiveOut
from app.api.watching import Stream, figures
from app.bootstrap.program import Program
from app.mailer.domain.delivery.figures import Figures
from app.mailer.domain.errors import AccessDenied, NotFound

routes = router("delivery", "/campaigns/{campaign_id}")

#: What one event is, once a client has read it.
_EVENT = event_schema("figures", "end", data="The figures, as in the other answer")
_LOOK_SECONDS = 1.0
#: How long a stream waits at a time, so that it ends soon when the service does.
_STEP_SECONDS = 0.25
_HEARTBEAT_SECONDS = 5.0
#: Where nothing happened for so long, the figures are told all the same.
_AGAIN_SECONDS = 15.0
#: How often it is asked whether whoever watches still may: a session ends, a key is revoked.
_ADMIT_SECONDS = 10.0

_STREAMS = AtOnce(20, "streams of figures")


@routes.get(
    "/live",
    response_model=LiveOut,
    responses={
        200: {
            "description": "The figures; with `Accept: text/event-stream` a stream of them",
            "content": {MEDIA_TYPE: {"schema": _EVENT}},
        }
    },
)
async def get_live_figures(
    request: Request,
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    follow: Annotated[
        bool, Query(description="Of a stream: go on when nothing is left to happen")
    ] = False,
    last_event_id: Annotated[
        str | None, Header(max_length=100, description="The id of the last event that came")
    ] = None,
) -> Any:
    """What happens just now: letters sent and left, pace, expected end, limits, the last errors.

    With `Accept: text/event-stream` server-sent events: `figures` when something changed, once a
    second at most and every 15 seconds at least, and `end` when nothing is left to happen. A
    stream lasts ten minutes at most, and ends with the session or key that it was opened with;
    connect again then. A tenant may have 20 at once; 503 for one more.
    """
    if not _wants_events(request.headers.get("accept", "")):
        return LiveOut.of(await figures(program, actor, campaign_id))
    with ExitStack() as held:
        held.enter_context(_STREAMS.place(actor.tenant_id))
        first = await figures(program, actor, campaign_id)
        events = _events(request, program, actor, first, last_event_id, follow=follow)
        return Stream(events, held.pop_all())


def _wants_events(accept: str) -> bool:
    return any(each.partition(";")[0].strip().lower() == MEDIA_TYPE for each in accept.split(","))


async def _events(
    request: Request,
    program: Program,
    actor: Actor,
    found: Figures,
    last_id: str | None,
    *,
    follow: bool,
) -> AsyncIterator[bytes]:
    began = said = told = admitted = anyio.current_time()
    while True:
        now, is_over = anyio.current_time(), found.is_over and not follow
        event_id = _id_of(found)
        if event_id != last_id or is_over or now - told >= _AGAIN_SECONDS:
            yield _event("figures", found, event_id)
            last_id, said, told = event_id, now, now
        elif now - said >= _HEARTBEAT_SECONDS:
            yield KEEPALIVE_COMMENT
            said = now
        if is_over:
            yield _event("end", found, event_id)
            return
        while anyio.current_time() - now < _LOOK_SECONDS:
            await anyio.sleep(_STEP_SECONDS)
            if stopping.is_set() or anyio.current_time() - began >= LONGEST_SECONDS:
                return
        if anyio.current_time() - admitted >= _ADMIT_SECONDS:
            if not await _still_may(request):
                return
            admitted = anyio.current_time()
        try:
            found = await figures(program, actor, found.campaign_id)
        except NotFound:
            return  # the campaign is gone
        except SQLAlchemyError:
            return  # the client connects again, and is told what is away


async def _still_may(request: Request) -> bool:
    try:
        await run_in_threadpool(admit, request, Scope.CAMPAIGN_READ)
    except (ApiError, AccessDenied, SQLAlchemyError):
        return False
    return True


def _event(name: str, found: Figures, event_id: str) -> bytes:
    return format_sse_event(
        event=name,
        data_str=LiveOut.of(found).model_dump_json(),
        id=event_id,
        retry=RETRY_MILLISECONDS,
    )


def _id_of(found: Figures) -> str:
    """The same as long as nothing happens but that time passes."""
    return hashlib.sha256(LiveOut.of(found.still).model_dump_json().encode()).hexdigest()[:16]
