"""Sign in: a password, a second factor where there is one, and then a session."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from app.access import second_factor, throttle
from app.access.actor import Actor, ActorKind
from app.access.passwords import (
    DEVELOPMENT_PASSWORD,
    verify_against_nobody,
    verify_password,
)
from app.access.sessions import NewSession, SessionTerms, name_of, open_session
from app.audit import log
from app.db.models import User
from app.db.repositories.access import sessions, users
from app.mailer.domain.errors import AccessDenied
from app.mailer.domain.mailbox import InvalidMailbox, parse_mailbox
from app.mailer.ports import Clock, SecretBox

_log = logging.getLogger(__name__)


class SignInRefused(AccessDenied):
    """Tenant, address and password do not belong together; which of them is wrong is not told."""

    def __init__(self) -> None:
        super().__init__(
            "Tenant, address and password do not fit together.",
            "An administrator can set a new password.",
        )


class SecondFactorNeeded(SignInRefused):
    """The password is right, and a code is missing, wrong or was used before."""

    def __init__(self, *, missing: bool) -> None:
        AccessDenied.__init__(
            self,
            "This account needs a code as well."
            if missing
            else "This code is wrong, or was used before.",
            "Take the code that your app shows now, or one of your recovery codes.",
        )
        self.missing = missing


@dataclass(frozen=True, slots=True)
class FrontDesk:
    """What checking people asks for; `is_development` lets the development password count."""

    sessions: sessionmaker[Session]
    clock: Clock
    box: SecretBox
    terms: SessionTerms
    is_development: bool


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A code of the app, or one of the recovery codes."""

    totp_code: str | None = field(default=None, repr=False)
    recovery_code: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody gives who wants in."""

    tenant_slug: str
    email: str
    password: str = field(repr=False)
    second: SecondFactor = SecondFactor()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody with a new session."""

    session: NewSession
    user: User
    actor: Actor


def sign_in(
    desk: FrontDesk,
    given: Credentials,
    *,
    is_cookie: bool,
    address: str | None,
    user_agent: str | None,
) -> SignedIn:
    """Opens a session. Raises `SignInRefused`, `SecondFactorNeeded` or `TooManyTries`."""
    email = _as_stored(given.email)
    counters = throttle.counters(given.tenant_slug, email, address)

    def find(session: Session) -> User | None:
        return users.user_to_sign_in(session, given.tenant_slug, email)

    try:
        with password_proved(desk, counters, find, given.password) as (session, user):
            now = desk.clock.now()
            take_second_factor(session, desk.box, user, given.second, now)
            opened = open_session(
                session,
                user,
                now,
                desk.terms,
                is_cookie=is_cookie,
                address=address,
                user_agent=user_agent,
            )
            users.note_login(session, user.tenant_id, user.id, now)
            actor = _actor(session, user, opened, address)
            details = {"email": user.email, "cookie": is_cookie}
            log.record(session, actor, "session.opened", "session", opened.id, details, now)
    except SignInRefused:
        # Who it was is left out: people type passwords into the wrong field.
        _log.warning("A sign-in from %s was refused.", address)
        raise
    return SignedIn(opened, user, actor)


@contextmanager
def password_proved(
    desk: FrontDesk,
    counters: Sequence[throttle.Counter],
    find: Callable[[Session], User | None],
    password: str,
) -> Iterator[tuple[Session, User]]:
    """A transaction with the user that `find` finds, whose password this is; commits at its end.

    Whoever it is, and whether there is anybody, the work is the same. A try that ends in an error
    counts as a failure, unless only the second factor was missing.
    """
    with desk.sessions() as session:
        tried = throttle.count_try(session, counters, desk.clock.now())
        found = find(session)
        session.commit()
    # Hashing takes long, so no transaction waits for it.
    if not _is_password(desk, found, password) or found is None:
        raise SignInRefused
    with desk.sessions() as session:
        user = users.lock_user(session, found.tenant_id, found.id)
        if user is None or not user.is_active or user.password_hash != found.password_hash:
            raise SignInRefused  # changed in the meantime
        try:
            yield session, user
        except SecondFactorNeeded as needed:
            if needed.missing:
                session.rollback()
                throttle.take_back(session, tried)
                session.commit()
            raise
        throttle.take_back(session, tried)
        throttle.forgive(session, counters)
        session.commit()


def take_second_factor(
    session: Session, box: SecretBox, user: User, given: SecondFactor, now: datetime
) -> None:
    """Uses a code up, where the user has a second factor; `SecondFactorNeeded` without a good one.

    The user's row is locked.
    """
    if user.totp_confirmed_at is None or user.totp_secret is None:
        return
    if given.recovery_code:
        code_hash = second_factor.hash_recovery_code(user.id, given.recovery_code)
        good = sessions.use_recovery_code(session, user.tenant_id, user.id, code_hash, now)
    elif given.totp_code:
        step = second_factor.matching_step(totp_key(box, user), given.totp_code, now)
        good = step is not None and users.take_totp_step(session, user.tenant_id, user.id, step)
    else:
        raise SecondFactorNeeded(missing=True)
    if not good:
        raise SecondFactorNeeded(missing=False)


def totp_key(box: SecretBox, user: User) -> bytes:
    """The user's key, which is there."""
    assert user.totp_secret is not None
    return box.open(user.totp_secret, second_factor.sealed_for(user.tenant_id, user.id))


def _as_stored(email: str) -> str:
    try:
        return parse_mailbox(email).address.lower()
    except InvalidMailbox:
        return email.lower()


def _is_password(desk: FrontDesk, user: User | None, password: str) -> bool:
    if user is None or not user.is_active or user.password_hash is None:
        return verify_against_nobody(password)
    fits = verify_password(password, user.password_hash)
    return fits and (desk.is_development or password != DEVELOPMENT_PASSWORD)


def _actor(session: Session, user: User, opened: NewSession, address: str | None) -> Actor:
    return Actor(
        user.tenant_id,
        ActorKind.USER,
        str(user.id),
        name_of(user),
        users.scopes_of_user(session, user.tenant_id, user.id),
        user_id=user.id,
        address=address,
        session_id=opened.id,
    )
