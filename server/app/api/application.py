"""Puts the application together: routes, errors, headers, and what happens at start and stop."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline

from app.api import errors, stopping
from app.api.headers import SecurityHeaders
from app.api.openapi import describe
from app.api.tus import TusHeaders
from app.api.v1 import (
    accounts,
    api_keys,
    approvals,
    audit,
    auth,
    builds,
    campaigns,
    coverage,
    decisions,
    delivery,
    files,
    groups,
    health,
    jobs,
    live,
    operations,
    reports,
    roles,
    schemas,
    tenant,
    uploads,
    users,
    version_diff,
    version_workflow,
    versions,
)
from app.bootstrap.program import Program
from app.mailer.domain.errors import ConfigurationError

_log = logging.getLogger(__name__)

PREFIX = "/api/v1"


def make_application(program: Program) -> FastAPI:
    """The service over `program`."""
    app = FastAPIOffline(
        title="MultiMailer",
        version="1.0",
        openapi_url="/openapi.json",
        # It fetches a picture from its maker.
        redoc_url=None,
        lifespan=_lifespan(program),
        redirect_slashes=False,
    )
    app.state.program = program
    app.include_router(health.routes)
    v1 = APIRouter(prefix=PREFIX)
    for noun in (
        accounts,
        api_keys,
        approvals,
        audit,
        auth,
        builds,
        campaigns,
        coverage,
        decisions,
        delivery,
        files,
        groups,
        jobs,
        live,
        operations,
        reports,
        roles,
        schemas,
        tenant,
        uploads,
        users,
        version_diff,
        version_workflow,
        versions,
    ):
        v1.include_router(noun.routes)
    app.include_router(v1)
    errors.install(app)
    app.add_middleware(TusHeaders)
    app.add_middleware(SecurityHeaders)
    describe(app)
    return app


def _lifespan(program: Program) -> Callable[[FastAPI], AbstractAsyncContextManager[Any]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            program.start()
        except ConfigurationError as error:
            # The server shows where it was raised; this is what an operator needs.
            _log.critical("%s", error)
            raise
        try:
            with stopping.noticed():
                yield
        finally:
            program.stop()

    return lifespan
