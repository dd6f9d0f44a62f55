"""Hand a version in for review, and give it back for writing."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import CampaignVersion
from app.db.repositories import campaigns
from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.campaign.snapshot import with_secrets
from app.mailer.domain.codes import CODES
from app.mailer.domain.errors import CampaignInvalid
from app.mailer.domain.issues import Issue
from app.mailer.domain.version import VersionEvent, WorkflowState, move
from app.mailer.ports import SecretBox
from app.mailer.services.import_campaign import kept_secrets
from app.mailer.services.lock_version import refuse_locked
from app.mailer.services.version_conditions import Expected, refuse_stale
from app.mailer.services.versions import locked_version


def publish_version(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    expected: Expected | None,
    *,
    now: datetime,
    box: SecretBox,
) -> CampaignVersion:
    """Hand in a version: it is complete, and nobody writes in it any more. The caller commits.

    Raises `CampaignInvalid` with everything that keeps it from being a campaign file.
    """
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaign = campaigns.lock(session, actor.tenant_id, campaign_id)
    version = locked_version(session, actor.tenant_id, campaign_id, version_id)
    refuse_stale(version, expected)
    state = move(version.workflow_state, VersionEvent.PUBLISH)
    refuse_locked(session, version, actor, now)
    shape, found = read_shape_of(with_secrets(version.config, kept_secrets(version, box)))
    if shape is None:
        raise CampaignInvalid(found)
    if found := other_id(shape.campaign.id, campaign.external_id):
        raise CampaignInvalid(found)
    version.is_complete = True
    version.published_at = now
    version.locked_at = version.locked_by_user_id = None
    return _moved(session, actor, version, state, "campaign.published", now)


def reopen_version(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    expected: Expected | None,
    *,
    now: datetime,
) -> CampaignVersion:
    """Give a version that was handed in back for writing. The caller commits."""
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaigns.lock(session, actor.tenant_id, campaign_id)
    version = locked_version(session, actor.tenant_id, campaign_id, version_id)
    refuse_stale(version, expected)
    state = move(version.workflow_state, VersionEvent.REOPEN)
    return _moved(session, actor, version, state, "campaign.reopened", now)


def other_id(written: str, external_id: str) -> list[Issue]:
    """`invalid-value` where a file says another id than that of the campaign it is a version of."""
    if written == external_id:
        return []
    return [
        Issue(
            "invalid-value",
            CODES["invalid-value"].severity,
            "/campaign/id",
            f"This is the campaign “{external_id}”, and its id stays.",
            "Write that id; for another one make a new campaign.",
        )
    ]


def _moved(
    session: Session,
    actor: Actor,
    version: CampaignVersion,
    state: WorkflowState,
    action: str,
    now: datetime,
) -> CampaignVersion:
    before = {"workflow_state": version.workflow_state.value}
    version.workflow_state = state
    version.revision += 1
    session.flush()
    log.record(
        session,
        actor,
        action,
        "campaign",
        version.campaign_id,
        {"version_id": str(version.id), "version": version.number},
        now,
        before=before,
        after={"workflow_state": state.value},
    )
    return version
