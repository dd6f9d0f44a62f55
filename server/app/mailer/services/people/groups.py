"""Administer groups: users who share roles."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.keyset import Order, Slice
from app.db.models import Group, Role
from app.db.repositories.access import groups, users
from app.mailer.domain.errors import Conflict, NotFound
from app.mailer.services.people.grants import (
    administering,
    no_user,
    require_all,
    roles_to_give,
)


@dataclass(frozen=True, slots=True)
class Team:
    """A group, with the roles that it gives and the number of its members."""

    group: Group
    roles: Sequence[Role] = ()
    member_count: int = 0


class GroupChanges(TypedDict, total=False):
    """What is to be changed; what is left out stays."""

    name: str


def page_groups(
    session: Session, actor: Actor, *, order: Order, after: tuple[Any, Any] | None, limit: int
) -> Slice[Team]:
    """A page of the tenant's groups; `order` and `after` as `db.keyset.fetch` takes them."""
    require_scope(actor, Scope.ADMIN_USERS)
    found = groups.page(session, actor.tenant_id, order=order, after=after, limit=limit)
    return Slice(_teams(session, actor, found.rows), found.next_after)


def get_group(session: Session, actor: Actor, group_id: UUID) -> Team:
    require_scope(actor, Scope.ADMIN_USERS)
    return _team(session, actor, group_id)


def create_group(session: Session, actor: Actor, name: str, now: datetime) -> Team:
    """Makes a group without members and roles. `Conflict` where the name has one."""
    with administering(session, actor):
        _refuse_taken(session, actor, name)
        group = groups.add_group(session, actor.tenant_id, Group(name=name, created_at=now))
        log.record(
            session, actor, "group.created", "group", group.id, {}, now, after={"name": name}
        )
    return Team(group)


def update_group(
    session: Session, actor: Actor, group_id: UUID, changes: GroupChanges, now: datetime
) -> Team:
    """Changes what `changes` names."""
    with administering(session, actor):
        team = _team_under(session, actor, group_id)
        old, name = team.group.name, changes.get("name", team.group.name)
        if name != old:
            _refuse_taken(session, actor, name)
            team.group.name = name
            log.record(
                session,
                actor,
                "group.updated",
                "group",
                group_id,
                {},
                now,
                before={"name": old},
                after={"name": name},
            )
    return team


def delete_group(session: Session, actor: Actor, group_id: UUID, now: datetime) -> None:
    """Deletes a group; its members lose the roles that they had through it."""
    with administering(session, actor):
        team = _team_under(session, actor, group_id)
        told = {"name": team.group.name, "member_count": team.member_count}
        groups.delete_group(session, actor.tenant_id, group_id)
        log.record(session, actor, "group.deleted", "group", group_id, {}, now, before=told)


def set_members(
    session: Session, actor: Actor, group_id: UUID, user_ids: Collection[UUID], now: datetime
) -> Team:
    """Makes these users the group's members, and nobody else."""
    wanted = set(user_ids)
    with administering(session, actor):
        team = _team_under(session, actor, group_id)
        missing = wanted - users.known(session, actor.tenant_id, wanted)
        if missing:
            raise no_user(min(missing))
        before = groups.members(session, actor.tenant_id, group_id)
        groups.set_members(session, actor.tenant_id, group_id, sorted(wanted))
        details = {
            "name": team.group.name,
            "added": sorted(map(str, wanted - before)),
            "removed": sorted(map(str, before - wanted)),
        }
        log.record(session, actor, "group.members_set", "group", group_id, details, now)
    return Team(team.group, team.roles, len(wanted))


def set_roles(
    session: Session, actor: Actor, group_id: UUID, role_ids: Collection[UUID], now: datetime
) -> Team:
    """Gives the group's members these roles, and takes all others that they had through it."""
    with administering(session, actor):
        team = _team_under(session, actor, group_id)
        given = roles_to_give(session, actor, role_ids)
        groups.set_roles(session, actor.tenant_id, group_id, [role.id for role in given])
        log.record(
            session,
            actor,
            "group.roles_set",
            "group",
            group_id,
            {"name": team.group.name},
            now,
            before={"roles": [role.name for role in team.roles]},
            after={"roles": [role.name for role in given]},
        )
    return Team(team.group, given, team.member_count)


def _team_under(session: Session, actor: Actor, group_id: UUID) -> Team:
    """The group, which gives no more than the actor himself has."""
    team = _team(session, actor, group_id)
    require_all(actor, [scope for role in team.roles for scope in role.scopes])
    return team


def _team(session: Session, actor: Actor, group_id: UUID) -> Team:
    found = groups.group(session, actor.tenant_id, group_id)
    if found is None:
        raise NotFound(f"There is no group {group_id}.")
    return _teams(session, actor, [found])[0]


def _teams(session: Session, actor: Actor, found: Sequence[Group]) -> list[Team]:
    ids = [group.id for group in found]
    roles = groups.roles_of(session, actor.tenant_id, ids)
    counts = groups.member_counts(session, actor.tenant_id, ids)
    return [Team(group, roles.get(group.id, ()), counts.get(group.id, 0)) for group in found]


def _refuse_taken(session: Session, actor: Actor, name: str) -> None:
    if groups.group_by_name(session, actor.tenant_id, name) is not None:
        raise Conflict(f"There is already a group “{name}”.", "Choose another name.")
