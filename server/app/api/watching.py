"""Figures for many watchers: no thread and no connection of the database is held while they wait.

All who watch one campaign wait for one and the same look at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from functools import partial
from uuid import UUID
from weakref import WeakKeyDictionary

from fastapi.concurrency import run_in_threadpool

from app.access.actor import Actor
from app.api.events import HEADERS, MEDIA_TYPE
from app.api.patient import PatientResponse
from app.bootstrap.program import Program
from app.mailer.domain.delivery.figures import Figures
from app.mailer.services.live import LiveBoard

#: Who does not read what comes for so long is not waited for.
_PATIENCE_SECONDS = 20.0

_Look = asyncio.Task[Figures]
_Key = tuple[LiveBoard, UUID, UUID]
#: The looks under way, of each event loop.
_looks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, _Look]] = WeakKeyDictionary()


async def figures(program: Program, actor: Actor, campaign_id: UUID) -> Figures:
    """How the campaign stands; who asks while somebody looks waits for the same answer."""
    looks = _looks.setdefault(asyncio.get_running_loop(), {})
    key = program.live, actor.tenant_id, campaign_id
    look = looks.get(key)
    if look is None:
        look = asyncio.create_task(run_in_threadpool(program.live.figures, actor, campaign_id))
        looks[key] = look
        look.add_done_callback(partial(_looked, looks, key))
    # Whoever goes away ends his own waiting alone.
    return await asyncio.shield(look)


def _looked(looks: dict[_Key, _Look], key: _Key, look: _Look) -> None:
    looks.pop(key, None)
    if not look.cancelled():
        look.exception()  # where nobody waits any more, nobody needs to hear of it


class Stream(PatientResponse):
    """Server-sent events; `held` is let go when they end, or nobody takes them."""

    def __init__(self, events: AsyncIterator[bytes], held: AbstractContextManager[object]) -> None:
        super().__init__(
            events,
            held,
            _PATIENCE_SECONDS,
            media_type=MEDIA_TYPE,
            headers=HEADERS,
        )
