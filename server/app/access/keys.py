"""API keys: made, shown once, and recognised by their hash."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from app.access.actor import Actor, ActorKind
from app.access.scopes import common, known_scopes
from app.db.models import ApiKey
from app.db.repositories import access
from app.db.repositories.access.keys import api_key
from app.mailer.domain.errors import AccessDenied

_PREFIX_LENGTH = 12
_MARK = "mm_"
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key as its maker gets to see it, this once; `secret` is the key itself."""

    id: UUID
    prefix: str
    secret: str = field(repr=False)


def create_api_key(
    session: Session,
    tenant_id: UUID,
    name: str,
    scopes: Iterable[str],
    now: datetime,
    *,
    user_id: UUID | None = None,
    made_with: str | None = None,
    expires_at: datetime | None = None,
    development_secret: str | None = None,
) -> NewApiKey:
    """Stores the hash of a new key of 256 random bits and returns the key.

    `made_with` is the identity of the key of nobody that asks for one more, if one does. With
    `development_secret` the key is that, and worth something in development only. Raises
    `MailerError` for an unknown scope.
    """
    secret = development_secret or _MARK + secrets.token_urlsafe(32)
    key = ApiKey(
        id=uuid4(),
        tenant_id=tenant_id,
        user_id=user_id,
        made_with=made_with,
        name=name,
        prefix=secret[:_PREFIX_LENGTH],
        key_hash=hash_key(secret),
        scopes=known_scopes(scopes),
        is_development=development_secret is not None,
        created_at=now,
        expires_at=expires_at,
    )
    access.add_api_key(session, tenant_id, key)
    return NewApiKey(key.id, key.prefix, secret)


@dataclass(frozen=True, slots=True)
class Recognised:
    """Whose key or session something is; `use_is_news` where its use is to be written down."""

    actor: Actor
    use_is_news: bool


def authenticate_api_key(
    session: Session, raw_key: str, now: datetime, *, development: bool = False
) -> Actor:
    """`recognise_api_key`, and notes the use; the caller commits."""
    found = recognise_api_key(session, raw_key, now, development=development)
    if found.use_is_news:
        access.note_api_key_use(session, found.actor.tenant_id, UUID(found.actor.id), now)
    return found.actor


def recognise_api_key(
    session: Session, raw_key: str, now: datetime, *, development: bool = False
) -> Recognised:
    """The actor that `raw_key` stands for, with the key's scopes.

    The key of a person allows nothing that his roles do not allow him now. A key that is unknown,
    revoked, expired or of a disabled user gives one and the same `AccessDenied`. The development
    key counts only with `development` (`APP_ENV=dev`), even where a copied database still has it.
    The time of use is news once a minute.
    """
    # Looked up by its hash, the key tells nothing by the time that a comparison takes.
    found = access.api_key_by_hash(session, hash_key(raw_key))
    if found is None or not _usable(session, found, now, development=development):
        raise AccessDenied(
            "This API key is not valid.",
            "Check it for completeness; it may also have been revoked, or have expired.",
        )
    return Recognised(
        Actor(
            found.tenant_id,
            ActorKind.API_KEY,
            str(found.id),
            found.name,
            _scopes_of(session, found),
            user_id=found.user_id,
            made_with=found.made_with,
        ),
        use_is_news=found.last_used_at is None or now - found.last_used_at >= _USE_NOTED_EVERY,
    )


def as_now(session: Session, actor: Actor, now: datetime, *, development: bool = False) -> Actor:
    """`actor` with no more than it may still do: for what was asked for earlier.

    Raises `AccessDenied` where the key would be recognised no more, or the user is gone or
    disabled. Having signed out takes nothing back.
    """
    if actor.kind is ActorKind.SYSTEM:
        return actor
    if actor.kind is ActorKind.API_KEY:
        key = api_key(session, actor.tenant_id, UUID(actor.id))
        if key is None or not _usable(session, key, now, development=development):
            raise AccessDenied(
                f"The API key “{actor.name}” that asked for this is not valid any more.",
                "Ask for it again with another key.",
            )
        scopes = _scopes_of(session, key)
    else:
        user = access.user(session, actor.tenant_id, UUID(actor.id))
        if user is None or not user.is_active:
            raise AccessDenied(
                f"{actor.name}, who asked for this, may not sign in any more.",
                "Have somebody else ask for it again.",
            )
        scopes = access.scopes_of_user(session, actor.tenant_id, user.id)
    return replace(actor, scopes=common(actor.scopes, scopes))


def _scopes_of(session: Session, key: ApiKey) -> frozenset[str]:
    scopes = frozenset(key.scopes)
    if key.user_id is None:
        return scopes
    return common(scopes, access.scopes_of_user(session, key.tenant_id, key.user_id))


def _usable(session: Session, key: ApiKey, now: datetime, *, development: bool) -> bool:
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        return False
    if key.is_development and not development:
        return False
    if key.user_id is None:
        return True
    user = access.user(session, key.tenant_id, key.user_id)
    return user is not None and user.is_active


def hash_key(secret: str) -> str:
    """What is stored of a key. SHA-256 is enough, since a key is random: no list has it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
