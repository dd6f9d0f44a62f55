"""Administer API keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query, Response

from app.api.access import CurrentActor
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.api_keys import KeyIn, KeyOut, NewKeyOut
from app.db.repositories.access import keys as rows
from app.mailer.services.people import api_keys

routes = router("api-keys", "/admin/api-keys")

Sort = Literal["created_at", "-created_at", "name", "-name", "last_used_at", "-last_used_at"]


@routes.get("", response_model=Page[KeyOut])
def list_api_keys(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: Sort = "-created_at",
    user_id: Annotated[UUID | None, Query(description="Only those of this user")] = None,
    usable: Annotated[
        bool, Query(description="Only those that are neither revoked nor expired")
    ] = False,
) -> Any:
    """The keys of the tenant."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = api_keys.page_keys(
            session,
            actor,
            user_id=user_id,
            usable_at=program.clock.now() if usable else None,
            order=order,
            after=after,
            limit=page.limit,
        )
    return page_of(found, sort, KeyOut.of)


@routes.post("", status_code=201)
def create_api_key(
    body: KeyIn, actor: CurrentActor, program: ProgramDep, response: Response
) -> NewKeyOut:
    """Make a key. It is shown this once, and belongs to the person who makes it."""
    with program.sessions() as session:
        made = api_keys.make_key(
            session, actor, body.name, body.scopes, body.expires_at, program.clock.now()
        )
        key = api_keys.get_key(session, actor, made.id)
        session.commit()
    response.headers["Location"] = f"/api/v1/admin/api-keys/{made.id}"
    return NewKeyOut.showing(key, made.secret)


@routes.get("/{key_id}")
def get_api_key(key_id: UUID, actor: CurrentActor, program: ProgramDep) -> KeyOut:
    """One key, without the key itself."""
    with program.reading() as session:
        return KeyOut.of(api_keys.get_key(session, actor, key_id))


@routes.post("/{key_id}/revoke")
def revoke_api_key(key_id: UUID, actor: CurrentActor, program: ProgramDep) -> KeyOut:
    """End a key, for good."""
    with program.sessions() as session:
        key = api_keys.revoke_key(session, actor, key_id, program.clock.now())
        session.commit()
    return KeyOut.of(key)
