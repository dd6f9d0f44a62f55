"""Administer roles."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import Depends, Response

from app.access.scopes import MEANINGS
from app.api.access import CurrentActor
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.roles import RoleIn, RoleOut, RolePatch, ScopeOut
from app.db.repositories.access import roles as rows
from app.mailer.services.people import roles
from app.mailer.services.people.roles import RoleChanges

routes = router("roles", "/admin")

Sort = Literal["name", "-name"]


@routes.get("/scopes")
def list_scopes() -> list[ScopeOut]:
    """Every scope there is. A family as a whole is a scope, too: `campaign:*`."""
    return [ScopeOut(scope=scope, meaning=meaning) for scope, meaning in MEANINGS.items()]


@routes.get("/roles", response_model=Page[RoleOut])
def list_roles(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: Sort = "name",
) -> Any:
    """The roles of the tenant."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = roles.page_roles(session, actor, order=order, after=after, limit=page.limit)
    return page_of(found, sort, RoleOut.of)


@routes.post("/roles", status_code=201)
def create_role(
    body: RoleIn, actor: CurrentActor, program: ProgramDep, response: Response
) -> RoleOut:
    """Make a role of scopes that you have yourself."""
    with program.sessions() as session:
        role = roles.create_role(session, actor, body.name, body.scopes, program.clock.now())
        session.commit()
    made = RoleOut.of(role)
    response.headers["Location"] = f"/api/v1/admin/roles/{made.id}"
    return made


@routes.get("/roles/{role_id}")
def get_role(role_id: UUID, actor: CurrentActor, program: ProgramDep) -> RoleOut:
    """One role."""
    with program.reading() as session:
        return RoleOut.of(roles.get_role(session, actor, role_id))


@routes.patch("/roles/{role_id}")
def update_role(
    role_id: UUID, body: RolePatch, actor: CurrentActor, program: ProgramDep
) -> RoleOut:
    """Change what the body names, at once for everybody who has the role."""
    changes = cast("RoleChanges", body.model_dump(exclude_unset=True))
    with program.sessions() as session:
        role = roles.update_role(session, actor, role_id, changes, program.clock.now())
        session.commit()
    return RoleOut.of(role)


@routes.delete("/roles/{role_id}", status_code=204)
def delete_role(role_id: UUID, actor: CurrentActor, program: ProgramDep) -> None:
    """Delete a role, and so take it from everybody who has it."""
    with program.sessions() as session:
        roles.delete_role(session, actor, role_id, program.clock.now())
        session.commit()
