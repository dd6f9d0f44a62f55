"""People who are signed in: opaque tokens, recognised by their hash, that end by themselves."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from app.access.actor import Actor, ActorKind
from app.access.keys import Recognised
from app.db.models import LoginSession, User
from app.db.repositories.access import keys, sessions, users
from app.mailer.domain.errors import AccessDenied

#: What every token begins with; no API key does.
MARK = "ms_"

_SEEN_EVERY = timedelta(minutes=1)
_AGENT_LENGTH = 300


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """How long a session lasts: without a request, and at all."""

    idle: timedelta
    longest: timedelta

    @property
    def noted_every(self) -> timedelta:
        """How often a use is written down; much less than `idle`, so that use counts as use."""
        return min(_SEEN_EVERY, self.idle / 4)

    def seen_after(self, now: datetime) -> datetime:
        """A session that was not used since then has ended."""
        return now - self.idle


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session as its owner's program gets to see it, this once."""

    id: UUID
    expires_at: datetime
    token: str = field(repr=False)


def open_session(
    session: Session,
    user: User,
    now: datetime,
    terms: SessionTerms,
    *,
    is_cookie: bool,
    address: str | None,
    user_agent: str | None,
) -> NewSession:
    """Stores the hash of a token of 256 random bits; the user's sessions that ended are deleted."""
    sessions.forget_ended(
        session, user.tenant_id, user.id, now=now, seen_after=terms.seen_after(now)
    )
    token = MARK + secrets.token_urlsafe(32)
    opened = sessions.add_session(
        session,
        user.tenant_id,
        LoginSession(
            id=uuid4(),
            user_id=user.id,
            token_hash=_hash(token),
            is_cookie=is_cookie,
            address=address,
            user_agent=user_agent[:_AGENT_LENGTH] if user_agent else None,
            created_at=now,
            last_seen_at=now,
            expires_at=now + terms.longest,
        ),
    )
    return NewSession(opened.id, opened.expires_at, token)


def recognise_session(
    session: Session, token: str, now: datetime, terms: SessionTerms, *, in_cookie: bool
) -> Recognised:
    """The person behind `token`, with the scopes that his roles and groups give him now.

    One and the same `AccessDenied` for a token that is unknown, ended, of a disabled user, or that
    comes in another way than it was given out: a cookie's token in a header, or the reverse.
    """
    found = sessions.session_by_hash(session, _hash(token))
    user = None if found is None else users.user(session, found.tenant_id, found.user_id)
    if (
        found is None
        or user is None
        or not user.is_active
        or found.is_cookie is not in_cookie
        or found.revoked_at is not None
        or found.expires_at <= now
        or found.last_seen_at <= terms.seen_after(now)
    ):
        raise AccessDenied("This session has ended.", "Sign in again.")
    return Recognised(
        Actor(
            user.tenant_id,
            ActorKind.USER,
            str(user.id),
            name_of(user),
            users.scopes_of_user(session, user.tenant_id, user.id),
            user_id=user.id,
            session_id=found.id,
        ),
        use_is_news=now - found.last_seen_at >= terms.noted_every,
    )


def note_use(session: Session, found: Recognised, now: datetime) -> None:
    """Writes down that a key or session was used; the caller commits."""
    actor = found.actor
    if actor.session_id is not None:
        sessions.note_seen(session, actor.tenant_id, actor.session_id, now)
    else:
        keys.note_api_key_use(session, actor.tenant_id, UUID(actor.id), now)


def name_of(user: User) -> str:
    """What people and the audit log call the user."""
    return user.display_name or user.email


def csrf_token(token: str) -> str:
    """What a page must send beside the cookie that holds `token`.

    Only who knows the token can work it out, and it does not tell the token.
    """
    return hmac.new(token.encode(), b"multimailer csrf", hashlib.sha256).hexdigest()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
