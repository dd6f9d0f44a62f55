"""The edit lock: one person says that the version is in work, for as long as that is so."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import CampaignVersion
from app.db.repositories import campaigns
from app.db.repositories.access import users
from app.mailer.domain.errors import Conflict, Locked
from app.mailer.domain.version import VersionEvent, move
from app.mailer.services.versions import locked_version

#: A lock that nobody renewed for so long is none any more. Saving renews it.
LOCK_FOR = timedelta(minutes=15)


def lock_version(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    *,
    force: bool,
    now: datetime,
) -> CampaignVersion:
    """Keep others from writing in a version; asking again renews it. The caller commits.

    `Locked` where somebody else has it. Taking it over (`force`) needs `campaign:approve`.
    """
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaigns.lock(session, actor.tenant_id, campaign_id)
    version = locked_version(session, actor.tenant_id, campaign_id, version_id)
    if actor.user_id is None:
        raise Conflict(
            "A lock is somebody's, and this key is nobody's.", "Sign in, or use a person's key."
        )
    move(version.workflow_state, VersionEvent.SAVE)
    before = version.locked_by_user_id if is_locked(version, now) else None
    if before not in (None, actor.user_id):
        if not force:
            raise _locked(session, version)
        require_scope(actor, Scope.CAMPAIGN_APPROVE)
    version.locked_by_user_id, version.locked_at = actor.user_id, now
    session.flush()
    if before != actor.user_id:
        _record(session, actor, version, "campaign.locked", before, now)
    return version


def unlock_version(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    *,
    force: bool,
    now: datetime,
) -> CampaignVersion:
    """Let others write again; nothing happens where there is no lock. The caller commits.

    `Locked` where it is somebody else's: taking that away (`force`) needs `campaign:approve`.
    """
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaigns.lock(session, actor.tenant_id, campaign_id)
    version = locked_version(session, actor.tenant_id, campaign_id, version_id)
    before = version.locked_by_user_id
    if before is None:
        return version
    if is_locked(version, now) and before != actor.user_id:
        if not force:
            raise _locked(session, version)
        require_scope(actor, Scope.CAMPAIGN_APPROVE)
    version.locked_by_user_id = version.locked_at = None
    session.flush()
    _record(session, actor, version, "campaign.unlocked", before, now)
    return version


def is_locked(version: CampaignVersion, now: datetime) -> bool:
    """Whether somebody has a lock that still counts."""
    return (
        version.locked_by_user_id is not None
        and version.locked_at is not None
        and now - version.locked_at < LOCK_FOR
    )


def refuse_locked(session: Session, version: CampaignVersion, actor: Actor, now: datetime) -> None:
    """Raises `Locked` where somebody else has the lock."""
    if is_locked(version, now) and version.locked_by_user_id != actor.user_id:
        raise _locked(session, version)


def renew_lock(version: CampaignVersion, actor: Actor, now: datetime) -> None:
    """Whoever has the lock has it anew."""
    if version.locked_by_user_id is not None and version.locked_by_user_id == actor.user_id:
        version.locked_at = now


def _locked(session: Session, version: CampaignVersion) -> Locked:
    assert version.locked_by_user_id is not None
    holder = users.user(session, version.tenant_id, version.locked_by_user_id)
    return Locked(
        f"{holder.display_name if holder else 'Somebody else'} has the edit lock of version "
        f"{version.number}.",
        f"Wait until it is unlocked, or not used for {LOCK_FOR.seconds // 60} minutes; with "
        "campaign:approve you can take it over: lock it with force.",
    )


def _record(
    session: Session,
    actor: Actor,
    version: CampaignVersion,
    action: str,
    before: UUID | None,
    now: datetime,
) -> None:
    holder = version.locked_by_user_id
    log.record(
        session,
        actor,
        action,
        "campaign",
        version.campaign_id,
        {"version_id": str(version.id), "version": version.number},
        now,
        before={"locked_by": None if before is None else str(before)},
        after={"locked_by": None if holder is None else str(holder)},
    )
