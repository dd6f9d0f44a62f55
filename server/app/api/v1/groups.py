"""Administer groups."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import Depends, Response

from app.api.access import CurrentActor
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.groups import GroupIn, GroupOut, GroupPatch, MembersIn
from app.api.v1.models.users import RoleIdsIn
from app.db.repositories.access import groups as rows
from app.mailer.services.people import groups
from app.mailer.services.people.groups import GroupChanges

routes = router("groups", "/admin/groups")

Sort = Literal["name", "-name", "created_at", "-created_at"]


@routes.get("", response_model=Page[GroupOut])
def list_groups(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: Sort = "name",
) -> Any:
    """The groups of the tenant."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = groups.page_groups(session, actor, order=order, after=after, limit=page.limit)
    return page_of(found, sort, GroupOut.of)


@routes.post("", status_code=201)
def create_group(
    body: GroupIn, actor: CurrentActor, program: ProgramDep, response: Response
) -> GroupOut:
    """Make a group, as yet without members and roles."""
    with program.sessions() as session:
        team = groups.create_group(session, actor, body.name, program.clock.now())
        session.commit()
    made = GroupOut.of(team)
    response.headers["Location"] = f"/api/v1/admin/groups/{made.id}"
    return made


@routes.get("/{group_id}")
def get_group(group_id: UUID, actor: CurrentActor, program: ProgramDep) -> GroupOut:
    """One group."""
    with program.reading() as session:
        return GroupOut.of(groups.get_group(session, actor, group_id))


@routes.patch("/{group_id}")
def update_group(
    group_id: UUID, body: GroupPatch, actor: CurrentActor, program: ProgramDep
) -> GroupOut:
    """Change what the body names."""
    changes = cast("GroupChanges", body.model_dump(exclude_unset=True))
    with program.sessions() as session:
        team = groups.update_group(session, actor, group_id, changes, program.clock.now())
        session.commit()
    return GroupOut.of(team)


@routes.delete("/{group_id}", status_code=204)
def delete_group(group_id: UUID, actor: CurrentActor, program: ProgramDep) -> None:
    """Delete a group. Its members lose the roles that they had through it."""
    with program.sessions() as session:
        groups.delete_group(session, actor, group_id, program.clock.now())
        session.commit()


@routes.put("/{group_id}/members")
def set_group_members(
    group_id: UUID, body: MembersIn, actor: CurrentActor, program: ProgramDep
) -> GroupOut:
    """Make these users the members, and nobody else."""
    with program.sessions() as session:
        team = groups.set_members(session, actor, group_id, body.user_ids, program.clock.now())
        session.commit()
    return GroupOut.of(team)


@routes.put("/{group_id}/roles")
def set_group_roles(
    group_id: UUID, body: RoleIdsIn, actor: CurrentActor, program: ProgramDep
) -> GroupOut:
    """Give the members these roles, and no others through this group."""
    with program.sessions() as session:
        team = groups.set_roles(session, actor, group_id, body.role_ids, program.clock.now())
        session.commit()
    return GroupOut.of(team)
