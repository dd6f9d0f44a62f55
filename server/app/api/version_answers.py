"""What routes about versions answer with: a version and its tag, or what it is now after a race."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from fastapi import Response
from sqlalchemy.orm import Session

from app.access.actor import Actor
from app.api.conditions import ETAG, etag_of
from app.api.errors import ApiError
from app.api.exact import exact_answer
from app.api.routing import error
from app.api.v1.models.versions import VersionOut
from app.bootstrap.program import Program
from app.db.base import dump_document
from app.db.models import CampaignVersion
from app.mailer.services.version_conditions import ConditionMissing, EditedMeanwhile
from app.mailer.services.version_view import VersionView, view_version

#: Where a version is, below the campaigns.
VERSION = "/{campaign_id}/versions/{version_id}"
#: For `responses` of routes that answer with a version, and of those that a lock may refuse.
TAGGED: dict[int | str, dict[str, Any]] = {200: {"headers": ETAG}}
LOCKED: dict[int | str, dict[str, Any]] = {423: error("Somebody else has the edit lock.")}


def view_of(
    program: Program, session: Session, actor: Actor, version: CampaignVersion
) -> VersionView:
    """The version as this person gets to see it now."""
    return view_version(session, actor, version, program.clock.now())


def _members(view: VersionView) -> dict[str, Any]:
    return {"config": view.version.config, "editor_state": view.version.editor_state}


def detail(view: VersionView, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The version with its content."""
    headers = {"ETag": etag_of(view.version), **(headers or {})}
    return exact_answer(VersionOut.of(view), _members(view), status=status, headers=headers)


def tagged(view: VersionView, response: Response) -> VersionOut:
    """The version without its content, its tag in the answer's headers."""
    response.headers["ETag"] = etag_of(view.version)
    return VersionOut.of(view)


@contextmanager
def conflicts_shown(program: Program, session: Session, actor: Actor) -> Iterator[None]:
    """Answers a lost race with what the version is now."""
    try:
        yield
    except EditedMeanwhile as lost:
        view = view_of(program, session, actor, lost.current)
        shown = VersionOut.of(view).model_dump(mode="json")
        # An exact number becomes a plain one here: it is for reading, not for writing back.
        members = orjson.loads(dump_document(_members(view)))
        raise ApiError(
            409,
            "edited-meanwhile",
            lost.message,
            lost.hint,
            headers={"ETag": etag_of(lost.current)},
            current={**shown, **members},
        ) from None
    except ConditionMissing as missing:
        raise ApiError(428, "condition-missing", missing.message, missing.hint) from None
