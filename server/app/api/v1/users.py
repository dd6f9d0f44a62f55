"""Administer users."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import Depends, Query, Response

from app.api.access import CurrentActor
from app.api.forms import ONE_LINE
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.auth import SessionSort
from app.api.v1.models.auth import SessionOut
from app.api.v1.models.users import (
    NewPasswordIn,
    RoleIdsIn,
    SessionsEnded,
    UserIn,
    UserOut,
    UserPatch,
)
from app.db.repositories.access import sessions as session_rows
from app.db.repositories.access import users as rows
from app.db.repositories.access.users import UserFilter
from app.mailer.services.people import sessions, users
from app.mailer.services.people.users import UserChanges

routes = router("users", "/admin/users")

Sort = Literal["email", "-email", "display_name", "-display_name", "created_at", "-created_at"]
_Search = Annotated[
    str | None,
    Query(
        max_length=200,
        pattern=ONE_LINE,
        description="A part of the address or the name",
    ),
]


@routes.get("", response_model=Page[UserOut])
def list_users(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: Sort = "email",
    search: _Search = None,
    q: Annotated[
        _Search, Query(deprecated=True, description="The older name of `search`, which goes first")
    ] = None,
    is_active: bool | None = None,
    role_id: Annotated[UUID | None, Query(description="Also through a group")] = None,
    group_id: UUID | None = None,
) -> Any:
    """The users of the tenant."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    wanted = UserFilter(q if search is None else search, is_active, role_id, group_id)
    with program.reading() as session:
        found = users.page_users(session, actor, wanted, order=order, after=after, limit=page.limit)
    return page_of(found, sort, UserOut.of)


@routes.post("", status_code=201)
def create_user(
    body: UserIn, actor: CurrentActor, program: ProgramDep, response: Response
) -> UserOut:
    """Make a user. Roles need scopes that you have yourself."""
    with program.sessions() as session:
        person = users.create_user(session, actor, body.new(), program.clock.now())
        session.commit()
    made = UserOut.of(person)
    response.headers["Location"] = f"/api/v1/admin/users/{made.id}"
    return made


@routes.get("/{user_id}")
def get_user(user_id: UUID, actor: CurrentActor, program: ProgramDep) -> UserOut:
    """One user."""
    with program.reading() as session:
        return UserOut.of(users.get_user(session, actor, user_id))


@routes.patch("/{user_id}")
def update_user(
    user_id: UUID, body: UserPatch, actor: CurrentActor, program: ProgramDep
) -> UserOut:
    """Change what the body names. Disabling somebody ends their sessions, and stops their keys."""
    changes = cast("UserChanges", body.model_dump(exclude_unset=True))
    with program.sessions() as session:
        person = users.update_user(session, actor, user_id, changes, program.clock.now())
        session.commit()
    return UserOut.of(person)


@routes.delete("/{user_id}", status_code=204)
def delete_user(user_id: UUID, actor: CurrentActor, program: ProgramDep) -> None:
    """Delete a user with sessions and keys. The audit log keeps what they did."""
    with program.sessions() as session:
        users.delete_user(session, actor, user_id, program.clock.now())
        session.commit()


@routes.put("/{user_id}/password", status_code=204)
def set_user_password(
    user_id: UUID, body: NewPasswordIn, actor: CurrentActor, program: ProgramDep
) -> None:
    """Give somebody a new password, and end their sessions. For one's own: /auth/password."""
    with program.sessions() as session:
        users.set_password(session, actor, user_id, body.password, program.clock.now())
        session.commit()


@routes.put("/{user_id}/roles")
def set_user_roles(
    user_id: UUID, body: RoleIdsIn, actor: CurrentActor, program: ProgramDep
) -> UserOut:
    """Give a user these roles and no others; those of the groups stay."""
    with program.sessions() as session:
        person = users.set_roles(session, actor, user_id, body.role_ids, program.clock.now())
        session.commit()
    return UserOut.of(person)


@routes.post("/{user_id}/totp/reset", status_code=204)
def reset_user_totp(user_id: UUID, actor: CurrentActor, program: ProgramDep) -> None:
    """Take a second factor away that was lost, and end the user's sessions."""
    with program.sessions() as session:
        users.reset_totp(session, actor, user_id, program.clock.now())
        session.commit()


@routes.get("/{user_id}/sessions", response_model=Page[SessionOut])
def list_user_sessions(
    user_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: SessionSort = "-last_seen_at",
) -> Any:
    """Where a user is signed in."""
    order, after = place(page, sort, session_rows.SORTABLE, session_rows.KEY)
    with program.reading() as session:
        found = sessions.page_sessions_of(
            session,
            actor,
            user_id,
            program.session_terms,
            program.clock.now(),
            order=order,
            after=after,
            limit=page.limit,
        )
    return page_of(found, sort, lambda row: SessionOut.of(row, actor.session_id))


@routes.post("/{user_id}/sessions/revoke")
def revoke_user_sessions(user_id: UUID, actor: CurrentActor, program: ProgramDep) -> SessionsEnded:
    """End all sessions of a user."""
    with program.sessions() as session:
        ended = sessions.revoke_sessions_of(session, actor, user_id, program.clock.now())
        session.commit()
    return SessionsEnded(ended=ended)
