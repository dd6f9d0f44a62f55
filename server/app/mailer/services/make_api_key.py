"""Make the key that an installation's operator works with."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy.orm import Session

from app.access.actor import Actor
from app.access.keys import NewApiKey, create_api_key
from app.access.roles import found_tenant
from app.access.scopes import Scope
from app.audit import log
from app.db.models import Tenant
from app.db.repositories import access
from app.mailer.domain.errors import MailerError
from app.mailer.ports import Clock

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")


def make_operator_key(session: Session, tenant_slug: str, name: str, *, clock: Clock) -> NewApiKey:
    """A key with every scope, for the tenant of this slug, which is made where it is new.

    For whoever already has the database in hand, so it asks for no scope. Raises `MailerError`
    for a blank name or a slug that is none. The caller commits.
    """
    if not name.strip():
        raise MailerError("A key needs a name.", "Name who or what will use it.")
    now = clock.now()
    tenant = tenant_to_operate(session, tenant_slug, now)
    key = create_api_key(session, tenant.id, name, [Scope.EVERYTHING], now)
    actor = Actor.system(tenant.id, "init_db")
    details = {"name": name, "prefix": key.prefix, "scopes": [Scope.EVERYTHING]}
    log.record(session, actor, "api_key.created", "api_key", key.id, details, now)
    return key


def tenant_to_operate(session: Session, slug: str, now: datetime) -> Tenant:
    """The tenant of this slug, made with its first roles where it is new.

    Raises `MailerError` for a slug that is none.
    """
    if not _SLUG.fullmatch(slug):
        raise MailerError(
            f"“{slug}” is no name for a tenant.",
            "Use small letters, digits and hyphens, 60 at the most.",
        )
    tenant = access.tenant_by_slug(session, slug)
    return tenant or found_tenant(session, slug, slug.capitalize(), now)
