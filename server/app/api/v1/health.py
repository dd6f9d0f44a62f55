"""Whether the service lives, and whether what it depends on does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fastapi import Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from app.api.routing import router
from app.api.state import ProgramDep
from app.mailer.domain.errors import MailerError

routes = router("health")


class Health(BaseModel):
    status: Literal["ok"]


class Dependency(BaseModel):
    status: Literal["ok", "failing"]
    detail: str = Field(default="", description="What is wrong, without anything secret")


class Readiness(BaseModel):
    status: Literal["ok", "failing"]
    dependencies: dict[str, Dependency]


@routes.get("/health")
def get_health() -> Health:
    """The process lives. Asks nothing else, so that a database's fault restarts nothing."""
    return Health(status="ok")


@routes.get("/health/ready", responses={503: {"model": Readiness, "description": "Not ready"}})
def get_readiness(program: ProgramDep, response: Response) -> Readiness:
    """Whether requests can be served: each dependency by its name."""
    found = {
        "database": _asked(program.check_database),
        "file_store": _asked(program.blobs.check),
        "master_key": _asked(program.check_secrets),
    }
    ready = all(each.status == "ok" for each in found.values())
    response.status_code = 200 if ready else 503
    return Readiness(status="ok" if ready else "failing", dependencies=found)


def _asked(check: Callable[[], None]) -> Dependency:
    try:
        check()
    except MailerError as error:
        return Dependency(status="failing", detail=f"{error.message} {error.hint}".rstrip())
    except SQLAlchemyError as error:
        # Its text may name hosts and users, and anybody may ask here.
        return Dependency(status="failing", detail=type(error).__name__)
    return Dependency(status="ok")
