"""The audit log: who did what, and the proof that nobody changed it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query

from app.api.access import CurrentActor
from app.api.errors import ApiError
from app.api.forms import form
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.audit import AuditEntryOut, ChainOut
from app.api.v1.models.moment import Moment
from app.audit.log import page_entries
from app.db.repositories import audit as rows
from app.db.repositories.audit import AuditFilter
from app.mailer.domain.audit_chain import Head
from app.mailer.services.verify_audit import verify_audit

routes = router("audit", "/audit")

Sort = Literal["-sequence", "sequence"]
Word = Annotated[str | None, Query(max_length=200)]


@routes.get("", response_model=Page[AuditEntryOut])
def list_audit_entries(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    action: Annotated[str | None, Query(max_length=200, examples=["campaign.queued"])] = None,
    object_type: Annotated[str | None, Query(max_length=200, examples=["campaign"])] = None,
    object_id: Word = None,
    actor_id: Word = None,
    since: Annotated[Moment | None, Query(description="At or after this time")] = None,
    until: Annotated[Moment | None, Query(description="Before this time")] = None,
    offset: Annotated[
        int, Query(ge=0, le=1_000_000, description="Skip so many; `cursor` is quicker")
    ] = 0,
    sort: Sort = "-sequence",
) -> Any:
    """Who did what to which thing, newest first. All filters given have to fit."""
    if offset and page.cursor is not None:
        raise ApiError(422, "cursor", "A page begins at `cursor` or at `offset`.", "Leave one out.")
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    wanted = AuditFilter(
        action=action,
        object_type=object_type,
        object_id=object_id,
        actor_id=actor_id,
        since=since,
        until=until,
        limit=page.limit,
        offset=offset,
    )
    with program.reading() as session:
        found = page_entries(session, actor, wanted, order=order, after=after)
    return page_of(found, sort, AuditEntryOut.of)


@routes.get("/verify", response_model=ChainOut)
def verify_audit_chain(
    actor: CurrentActor,
    program: ProgramDep,
    after: Annotated[
        str | None,
        Query(
            pattern=form(r"^[1-9][0-9]{0,17}:[0-9a-f]{64}$", "`next` of a part before"),
            max_length=83,
            description="`next` of the part before, or a `head` that was noted earlier",
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=50_000, description="How many entries at most")] = 10_000,
) -> Any:
    """Prove the chain of hashes entry by entry, in parts: go on with `next` until it is null.

    Each part follows from the one before, so all of them together prove the whole log. On the
    server `python -m app.mailer.commands.verify_audit` does it in one go.
    """
    begin = Head.parse(after) if after is not None else None
    with program.reading() as session:
        return ChainOut.of(verify_audit(session, actor, after=begin, limit=limit))
