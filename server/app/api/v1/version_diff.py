"""Comparing versions."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query

from app.api.access import CurrentActor
from app.api.errors import ApiError
from app.api.exact import exact_answer
from app.api.paging import PageQuery
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.versions import DiffOut, LetterChangeOut
from app.api.version_answers import VERSION
from app.mailer.domain.campaign.diff import Kind
from app.mailer.services.diff_versions import diff_versions as compare

routes = router("versions", "/campaigns")


@routes.get(f"{VERSION}/diff", response_model=DiffOut)
def diff_versions(
    campaign_id: UUID,
    version_id: UUID,
    against: Annotated[UUID, Query(description="The version to compare with")],
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    kind: Annotated[Kind | None, Query(description="Letters of this kind of change alone")] = None,
) -> Any:
    """What is other in a version than in another one: the file, without secrets, and the letters.

    The letters come in pages; the changes of the file (500 at most) are in each of them.
    """
    with program.reading() as session:
        found = compare(
            session,
            actor,
            campaign_id,
            version_id,
            against,
            kind=kind,
            behind=None if page.cursor is None else _entry_of(page.cursor),
            limit=page.limit,
        )
    config = [
        {"pointer": c.pointer, "kind": c.kind.value, "before": c.before, "after": c.after}
        for c in found.config
    ]
    out = DiffOut(
        version_id=version_id,
        against_id=against,
        config=[],
        config_truncated=found.config_truncated,
        basis=found.basis,
        counts={Kind(name): count for name, count in found.counts.items()},
        letters=[LetterChangeOut.model_validate(each._asdict()) for each in found.letters],
        next_cursor=None if found.next_behind is None else _cursor_of(found.next_behind),
    )
    return exact_answer(out, {"config": config})


def _cursor_of(entry_id: str) -> str:
    return base64.urlsafe_b64encode(entry_id.encode()).decode().rstrip("=")


def _entry_of(cursor: str) -> str:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        entry_id = text.decode()
    except (binascii.Error, ValueError):
        entry_id = "\0"
    if "\0" in entry_id:
        raise ApiError(
            422, "cursor", "This cursor is not one that this list gave out.", "Begin without one."
        )
    return entry_id
