"""Puts the application together: routes, errors, headers, and what happens at start and stop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline

from app.api import errors
from app.api.headers import SecurityHeaders
from app.api.openapi import describe
from app.api.v1 import campaigns, health
from app.bootstrap.program import Program

PREFIX = "/api/v1"


def make_application(program: Program) -> FastAPI:
    """The service over `program`."""
    app = FastAPIOffline(
        title="MultiMailer",
        version="1.0",
        openapi_url="/openapi.json",
        lifespan=_lifespan(program),
        redirect_slashes=False,
    )
    app.state.program = program
    app.include_router(health.routes)
    v1 = APIRouter(prefix=PREFIX)
    for noun in (campaigns,):
        v1.include_router(noun.routes)
    app.include_router(v1)
    errors.install(app)
    app.add_middleware(SecurityHeaders)
    describe(app)
    return app


def _lifespan(program: Program) -> Callable[[FastAPI], AbstractAsyncContextManager[Any]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        program.start()
        try:
            yield
        finally:
            program.stop()

    return lifespan
