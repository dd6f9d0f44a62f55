"""The service: `uvicorn app.main:app --no-proxy-headers`."""

from __future__ import annotations

import sys

from fastapi import FastAPI

from app.api.application import make_application
from app.bootstrap.program import Program
from app.mailer.domain.errors import ConfigurationError


def create_app(program: Program | None = None) -> FastAPI:
    """The application, over the program of this process's settings or one that is handed in."""
    return make_application(program or Program())


try:
    app = create_app()
except ConfigurationError as error:
    sys.exit(str(error))
