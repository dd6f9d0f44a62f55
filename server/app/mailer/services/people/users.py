"""Administer the users of a tenant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.passwords import check_new_password, hash_password
from app.access.scopes import Scope
from app.audit import log
from app.db.keyset import Order, Slice
from app.db.models import Tenant, User
from app.db.repositories.access import sessions, users
from app.db.repositories.access.users import UserFilter
from app.mailer.domain.errors import Conflict, MailerError
from app.mailer.domain.mailbox import InvalidMailbox, parse_mailbox
from app.mailer.services.people.grants import administering, no_user, roles_to_give, user_under

Named = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class Person:
    """A user, with the id and name of each role that is his own, and of each of his groups."""

    user: User
    roles: Sequence[Named] = ()
    groups: Sequence[Named] = ()


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be made; without a password he cannot sign in yet."""

    email: str
    display_name: str = ""
    password: str | None = field(default=None, repr=False)
    role_ids: Collection[UUID] = ()


class UserChanges(TypedDict, total=False):
    """What is to be changed; what is left out stays."""

    email: str
    display_name: str
    is_active: bool


def page_users(
    session: Session,
    actor: Actor,
    wanted: UserFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Person]:
    """A page of the tenant's users; `order` and `after` as `db.keyset.fetch` takes them."""
    require_scope(actor, Scope.ADMIN_USERS)
    found = users.page(session, actor.tenant_id, wanted, order=order, after=after, limit=limit)
    return Slice(_persons(session, actor, found.rows), found.next_after)


def get_user(session: Session, actor: Actor, user_id: UUID) -> Person:
    require_scope(actor, Scope.ADMIN_USERS)
    found = users.user(session, actor.tenant_id, user_id)
    if found is None:
        raise no_user(user_id)
    return _persons(session, actor, [found])[0]


def create_user(session: Session, actor: Actor, new: NewUser, now: datetime) -> Person:
    """Makes a user with these roles. `Conflict` where the address has one."""
    require_scope(actor, Scope.ADMIN_USERS)
    # Before the first statement: hashing takes long, and a transaction would wait for it.
    password_hash = hash_password(new.password) if new.password is not None else None
    email = _address(new.email)
    with administering(session, actor) as tenant:
        _refuse_taken(session, tenant, email)
        if new.password is not None:
            check_new_password(new.password, guessed_first(tenant, email))
        roles = roles_to_give(session, actor, new.role_ids)
        user = users.add_user(
            session,
            tenant.id,
            User(
                email=email,
                display_name=new.display_name,
                password_hash=password_hash,
                password_changed_at=now if password_hash else None,
                is_active=True,
                created_at=now,
            ),
        )
        users.set_roles(session, tenant.id, user.id, [role.id for role in roles])
        details = {"roles": [role.name for role in roles]}
        log.record(session, actor, "user.created", "user", user.id, details, now, after=_told(user))
    return _persons(session, actor, [user])[0]


def update_user(
    session: Session, actor: Actor, user_id: UUID, changes: UserChanges, now: datetime
) -> Person:
    """Changes what `changes` names. Disabling a user ends his sessions, and his keys' use."""
    with administering(session, actor) as tenant:
        user = user_under(session, actor, user_id)
        before = _told(user)
        if "email" in changes:
            email = _address(changes["email"])
            if email != user.email:
                _refuse_taken(session, tenant, email)
                user.email = email
        user.display_name = changes.get("display_name", user.display_name)
        user.is_active = changes.get("is_active", user.is_active)
        session.flush()
        if not user.is_active:
            sessions.revoke(session, tenant.id, user.id, now)
        if before != _told(user):
            log.record(
                session,
                actor,
                "user.updated",
                "user",
                user.id,
                {},
                now,
                before=before,
                after=_told(user),
            )
    return _persons(session, actor, [user])[0]


def delete_user(session: Session, actor: Actor, user_id: UUID, now: datetime) -> None:
    """Deletes a user with his sessions and keys; the audit log keeps what he did."""
    with administering(session, actor):
        user = user_under(session, actor, user_id)
        told = _told(user)
        users.delete_user(session, actor.tenant_id, user_id)
        log.record(session, actor, "user.deleted", "user", user_id, {}, now, before=told)


def set_password(
    session: Session, actor: Actor, user_id: UUID, password: str, now: datetime
) -> None:
    """Gives somebody else a new password, and ends his sessions."""
    require_scope(actor, Scope.ADMIN_USERS)
    _refuse_own(actor, user_id, "password")
    password_hash = hash_password(password)
    with administering(session, actor) as tenant:
        user = user_under(session, actor, user_id)
        check_new_password(password, guessed_first(tenant, user.email))
        user.password_hash = password_hash
        user.password_changed_at = now
        ended = sessions.revoke(session, tenant.id, user.id, now)
        details = {"email": user.email, "sessions_ended": ended}
        log.record(session, actor, "user.password_set", "user", user.id, details, now)


def set_roles(
    session: Session, actor: Actor, user_id: UUID, role_ids: Collection[UUID], now: datetime
) -> Person:
    """Gives the user these roles, and takes all others that are his own."""
    with administering(session, actor) as tenant:
        user = user_under(session, actor, user_id)
        before = _persons(session, actor, [user])[0]
        roles = roles_to_give(session, actor, role_ids)
        users.set_roles(session, tenant.id, user.id, [role.id for role in roles])
        after = replace(before, roles=[(role.id, role.name) for role in roles])
        log.record(
            session,
            actor,
            "user.roles_set",
            "user",
            user.id,
            {"email": user.email},
            now,
            before={"roles": [name for _, name in before.roles]},
            after={"roles": [name for _, name in after.roles]},
        )
    return after


def reset_totp(session: Session, actor: Actor, user_id: UUID, now: datetime) -> None:
    """Takes somebody else's second factor away, which was lost, and ends his sessions."""
    require_scope(actor, Scope.ADMIN_USERS)
    _refuse_own(actor, user_id, "second factor")
    with administering(session, actor) as tenant:
        user = user_under(session, actor, user_id)
        forget_totp(session, user)
        ended = sessions.revoke(session, tenant.id, user.id, now)
        details = {"email": user.email, "sessions_ended": ended}
        log.record(session, actor, "user.totp_reset", "user", user.id, details, now)


def forget_totp(session: Session, user: User) -> None:
    """Takes the second factor away, with its recovery codes."""
    user.totp_secret = None
    user.totp_confirmed_at = None
    user.totp_last_step = None
    sessions.set_recovery_codes(session, user.tenant_id, user.id, [])


def guessed_first(tenant: Tenant, email: str) -> list[str]:
    """What a guesser of passwords tries first."""
    return [email, email.partition("@")[0], tenant.slug, tenant.name]


def _persons(session: Session, actor: Actor, found: Sequence[User]) -> list[Person]:
    ids = [user.id for user in found]
    roles = users.roles_of(session, actor.tenant_id, ids)
    groups = users.groups_of(session, actor.tenant_id, ids)
    return [Person(user, roles.get(user.id, ()), groups.get(user.id, ())) for user in found]


def _told(user: User) -> dict[str, object]:
    return {
        "email": user.email,
        "display_name": user.display_name,
        "is_active": user.is_active,
    }


def _address(text: str) -> str:
    try:
        return parse_mailbox(text).address.lower()
    except InvalidMailbox as fault:
        raise MailerError(str(fault), "A user signs in with a mail address.") from None


def _refuse_taken(session: Session, tenant: Tenant, email: str) -> None:
    if users.user_by_email(session, tenant.id, email) is not None:
        raise Conflict(f"There is already a user {email}.", "Each address has one user.")


def _refuse_own(actor: Actor, user_id: UUID, what: str) -> None:
    if actor.user_id == user_id:
        raise Conflict(
            f"Your own {what} is not changed this way.",
            "Under /auth you can, with your password.",
        )
