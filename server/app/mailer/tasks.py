"""Celery's tasks: each a few lines around a service, and safe to run late, twice or never."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any
from uuid import UUID

from celery.signals import worker_process_shutdown, worker_shutting_down

from app.bootstrap.delivery import PostOffice
from app.bootstrap.program import Program
from app.celery_app import celery
from app.mailer.adapters.shared_flag import SharedFlag
from app.mailer.worker_steps import supervise

#: How long a task sends before it lets others have their turn.
SECONDS = 10.0

#: Set in the worker's main process, and seen by its pool: letters in hand are finished, the rest
#: is given back. Made before the pool is forked.
_ending = SharedFlag()

supervise(celery)


@celery.task(name="send_email")  # type: ignore[untyped-decorator]
def send_email(tenant: str, version: str) -> None:
    """Send what a version has due, for a while."""
    _office(os.getpid()).send(UUID(tenant), UUID(version), SECONDS)


@celery.task(name="append_sent")  # type: ignore[untyped-decorator]
def append_sent(tenant: str, campaign: str) -> None:
    """File copies of a campaign's letters in the Sent folder, for a while."""
    _office(os.getpid()).append(UUID(tenant), UUID(campaign), SECONDS)


@celery.task(name="dispatch")  # type: ignore[untyped-decorator]
def dispatch() -> None:
    """Clean up after the dead, and ring for everything that is due."""
    _office(os.getpid()).dispatch()


@lru_cache(maxsize=1)
def _office(_process: int) -> PostOffice:
    """One for each process of the pool: nothing that is open survives a fork."""
    program = Program()
    return PostOffice(program, program.bell, _ending)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _end_soon(**_: Any) -> None:
    _ending.set()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def _say_goodbye(**_: Any) -> None:
    if _office.cache_info().currsize:
        _office(os.getpid()).close()
