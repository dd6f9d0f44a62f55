"""One's own password and second factor: each change asks for the password again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from app.access import second_factor, throttle
from app.access.actor import Actor
from app.access.passwords import check_new_password, hash_password
from app.audit import log
from app.db.models import User
from app.db.repositories.access import sessions, tenants, users
from app.mailer.domain.errors import AccessDenied, Conflict, MailerError
from app.mailer.services.people.sign_in import (
    FrontDesk,
    SecondFactor,
    SecondFactorNeeded,
    SignInRefused,
    password_proved,
    take_second_factor,
    totp_key,
)
from app.mailer.services.people.users import forget_totp, guessed_first


@dataclass(frozen=True, slots=True)
class NewFactor:
    """The key of a second factor, shown this once: as text to type, and as a URI to scan."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


def change_password(desk: FrontDesk, actor: Actor, current: str, new: str) -> None:
    """Sets a new password, and ends all sessions of the person, this one too."""
    with desk.sessions() as session:
        tenant = tenants.tenant(session, actor.tenant_id)
        check_new_password(new, guessed_first(tenant, _person(session, actor).email))
    new_hash = hash_password(new)
    with _proved(desk, actor, current) as (session, user):
        now = desk.clock.now()
        user.password_hash = new_hash
        user.password_changed_at = now
        ended = sessions.revoke(session, user.tenant_id, user.id, now)
        _record(session, actor, "user.password_changed", now, sessions_ended=ended)


def begin_totp(desk: FrontDesk, actor: Actor, password: str) -> NewFactor:
    """A key for an authenticator app; it counts once `confirm_totp` has seen a code of it."""
    with _proved(desk, actor, password) as (session, user):
        if user.totp_confirmed_at is not None:
            raise Conflict("You have a second factor.", "Disable it before you begin another.")
        key = second_factor.new_key()
        forget_totp(session, user)
        user.totp_secret = desk.box.seal(key, second_factor.sealed_for(user.tenant_id, user.id))
        _record(session, actor, "user.totp_begun", desk.clock.now())
        return NewFactor(second_factor.key_text(key), second_factor.key_uri(key, user.email))


def confirm_totp(desk: FrontDesk, actor: Actor, code: str) -> list[str]:
    """From now on signing in needs a code. Answers the recovery codes, this once."""
    now = desk.clock.now()
    with desk.sessions() as session:
        user = _locked(session, actor)
        if user.totp_confirmed_at is not None or user.totp_secret is None:
            raise Conflict("There is no second factor to confirm.", "Begin one first.")
        step = second_factor.matching_step(totp_key(desk.box, user), code, now)
        if step is None:
            raise MailerError(
                "This code is wrong.", "Check the clock of the device, and take the code it shows."
            )
        user.totp_confirmed_at = now
        user.totp_last_step = step
        codes = _new_recovery_codes(session, user)
        _record(session, actor, "user.totp_enabled", now)
        session.commit()
    return codes


def disable_totp(desk: FrontDesk, actor: Actor, password: str, second: SecondFactor) -> None:
    """Signing in needs no code any more."""
    with _proved(desk, actor, password) as (session, user):
        now = desk.clock.now()
        if user.totp_secret is None:
            raise Conflict("You have no second factor.")
        take_second_factor(session, desk.box, user, second, now)
        forget_totp(session, user)
        _record(session, actor, "user.totp_disabled", now)


def renew_recovery_codes(
    desk: FrontDesk, actor: Actor, password: str, second: SecondFactor
) -> list[str]:
    """New recovery codes, shown this once; those before count no more."""
    with _proved(desk, actor, password) as (session, user):
        now = desk.clock.now()
        if user.totp_confirmed_at is None:
            raise Conflict("You have no second factor.", "Recovery codes come with one.")
        take_second_factor(session, desk.box, user, second, now)
        codes = _new_recovery_codes(session, user)
        _record(session, actor, "user.recovery_codes_renewed", now)
    return codes


@contextmanager
def _proved(desk: FrontDesk, actor: Actor, password: str) -> Iterator[tuple[Session, User]]:
    """As `password_proved`, for the person who is signed in: a stolen session is not enough."""
    with desk.sessions() as session:
        person = _person(session, actor)
        tenant = tenants.tenant(session, actor.tenant_id)
    counters = throttle.counters(tenant.slug, person.email, actor.address)

    def find(session: Session) -> User | None:
        return users.user(session, actor.tenant_id, person.id)

    try:
        with password_proved(desk, counters, find, password) as found:
            yield found
    except SecondFactorNeeded:
        raise
    except SignInRefused:
        raise AccessDenied("This password is not yours.", "Give your current password.") from None


def _person(session: Session, actor: Actor) -> User:
    found = None
    if actor.session_id is not None and actor.user_id is not None:
        found = users.user(session, actor.tenant_id, actor.user_id)
    if found is None:
        raise _not_a_person()
    return found


def _locked(session: Session, actor: Actor) -> User:
    found = users.lock_user(session, actor.tenant_id, _person(session, actor).id)
    if found is None:
        raise _not_a_person()
    return found


def _not_a_person() -> AccessDenied:
    return AccessDenied("A key cannot do this.", "It is for people who are signed in.")


def _new_recovery_codes(session: Session, user: User) -> list[str]:
    codes = second_factor.new_recovery_codes()
    hashes = [second_factor.hash_recovery_code(user.id, code) for code in codes]
    sessions.set_recovery_codes(session, user.tenant_id, user.id, hashes)
    return codes


def _record(session: Session, actor: Actor, action: str, now: datetime, **details: object) -> None:
    session.flush()
    log.record(session, actor, action, "user", actor.user_id, details, now)
