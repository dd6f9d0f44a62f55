"""What happens to a campaign as a whole: made, renamed, put away, taken out again, deleted."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import Campaign, CampaignVersion
from app.db.repositories import campaigns, versions
from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.delivery.approval import Approval, is_looser, why_not_approver
from app.mailer.domain.errors import AccessDenied, CampaignInvalid, Conflict
from app.mailer.domain.files.confinement import UPLOADS
from app.mailer.domain.version import VersionEvent, WorkflowState, move, unarchived_by
from app.mailer.services.approve_version import approval_rule
from app.mailer.services.edit_version import mode_of, sha256_of
from app.mailer.services.versions import discard_unfinished

#: In the place of a value that is not to be changed, where None is a value.
UNCHANGED: Any = object()


def new_campaign(
    session: Session,
    actor: Actor,
    *,
    external_id: str,
    name: str,
    description: str,
    current_flow: str | None,
    current_step: str | None,
    now: datetime,
) -> tuple[Campaign, CampaignVersion]:
    """Begin a campaign with an empty draft. The caller commits.

    `Conflict` where the tenant has a campaign of this external id.
    """
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    info = {"id": external_id, "name": name, "description": description, "mode": "draft"}
    config: dict[str, Any] = {"version": "1.0", "campaign": info}
    shape, found = read_shape_of(config)
    if shape is None:
        raise CampaignInvalid(found)
    campaign = campaigns.add(
        session,
        actor.tenant_id,
        Campaign(
            id=uuid4(),
            external_id=external_id,
            name=name,
            description=description,
            created_at=now,
            updated_at=now,
        ),
    )
    version = versions.add(
        session,
        actor.tenant_id,
        CampaignVersion(
            id=uuid4(),
            campaign_id=campaign.id,
            mode=mode_of(config),
            config=config,
            config_sha256=sha256_of(config),
            source_base_path=UPLOADS,
            is_confined=True,
            workflow_state=WorkflowState.EDITING,
            current_flow=current_flow,
            current_step=current_step,
            is_complete=False,
            revision=1,
            created_at=now,
            created_by=actor.name,
            author_ids=[actor.identity],
        ),
    )
    details: dict[str, object] = {"version_id": str(version.id), "external_id": external_id}
    _record(session, actor, campaign, "campaign.created", details, now, after=_seen(campaign))
    return campaign, version


def update_campaign(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    name: str = UNCHANGED,
    description: str = UNCHANGED,
    approval: Approval | None = UNCHANGED,
    now: datetime,
) -> Campaign:
    """Change what a campaign is called, and what it needs before it is queued. The caller commits.

    Asking for less approval than before needs `campaign:approve`; with `two_person` it is
    `AccessDenied` for whoever wrote in a version, else a single person could approve after all.
    """
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaign = campaigns.lock(session, actor.tenant_id, campaign_id)
    before = _seen(campaign)
    if approval is not UNCHANGED:
        if is_looser(approval, campaign.approval):
            require_scope(actor, Scope.CAMPAIGN_APPROVE)
            _refuse_authors(session, actor, campaign)
        campaign.approval = approval
    if name is not UNCHANGED:
        campaign.name = name
    if description is not UNCHANGED:
        campaign.description = description
    if _seen(campaign) != before:
        campaign.updated_at = now
        session.flush()
        _record(
            session, actor, campaign, "campaign.updated", {}, now, before=before,
            after=_seen(campaign),
        )  # fmt: skip
    return campaign


def delete_campaign(session: Session, actor: Actor, campaign_id: UUID, *, now: datetime) -> None:
    """Delete a campaign of which nothing was ever queued. The caller commits.

    `Conflict` otherwise: what may have been sent is never forgotten.
    """
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaign = campaigns.lock(session, actor.tenant_id, campaign_id)
    if campaigns.was_queued(session, actor.tenant_id, campaign_id):
        raise Conflict(
            "Letters of this campaign were queued, so it cannot be deleted.",
            "Put it into the archive.",
        )
    before = _seen(campaign)
    campaigns.delete(session, actor.tenant_id, campaign_id)
    _record(session, actor, campaign, "campaign.deleted", {}, now, before=before)


def archive_campaign(
    session: Session, actor: Actor, campaign_id: UUID, *, now: datetime
) -> Campaign:
    """Put a campaign away with all its versions. The caller commits.

    `IllegalMove` while letters of it wait to be sent.
    """
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaign = campaigns.lock(session, actor.tenant_id, campaign_id)
    if campaign.archived_at is not None:
        raise Conflict("This campaign is in the archive already.")
    for version in versions.of_campaign(session, actor.tenant_id, campaign_id, lock=True):
        discard_unfinished(session, version)
        version.workflow_state = move(version.workflow_state, VersionEvent.ARCHIVE)
    campaign.archived_at = campaign.updated_at = now
    session.flush()
    _record(session, actor, campaign, "campaign.archived", {}, now)
    return campaign


def unarchive_campaign(
    session: Session, actor: Actor, campaign_id: UUID, *, now: datetime
) -> Campaign:
    """Take a campaign out of the archive, each version to where it stood. The caller commits."""
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaign = campaigns.lock(session, actor.tenant_id, campaign_id)
    if campaign.archived_at is None:
        raise Conflict("This campaign is not in the archive.")
    released = campaigns.released_counts(session, actor.tenant_id, campaign_id)
    for version in versions.of_campaign(session, actor.tenant_id, campaign_id, lock=True):
        if version.workflow_state is not WorkflowState.ARCHIVED:
            continue
        queued, cancelled = released.get(version.id, (0, 0))
        event = unarchived_by(
            built=version.built_at is not None,
            queued=queued > 0,
            all_cancelled=queued == cancelled,
        )
        version.workflow_state = move(version.workflow_state, event)
    campaign.archived_at, campaign.updated_at = None, now
    session.flush()
    _record(session, actor, campaign, "campaign.unarchived", {}, now)
    return campaign


def _refuse_authors(session: Session, actor: Actor, campaign: Campaign) -> None:
    rule = approval_rule(session, campaign)
    for version in versions.of_campaign(session, actor.tenant_id, campaign.id):
        if why_not_approver(rule, actor.identity, version.maker_ids):
            raise AccessDenied(
                f"You wrote in version {version.number} or uploaded a file of it, and a second "
                "person has to approve it, so you cannot ask for less approval.",
                "Ask somebody who neither wrote in it nor uploaded its files.",
            )


def _seen(campaign: Campaign) -> dict[str, object]:
    approval = campaign.approval
    return {
        "external_id": campaign.external_id,
        "name": campaign.name,
        "description": campaign.description,
        "approval": None if approval is None else approval.value,
    }


def _record(
    session: Session,
    actor: Actor,
    campaign: Campaign,
    action: str,
    details: dict[str, object],
    now: datetime,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    log.record(
        session,
        actor,
        action,
        "campaign",
        campaign.id,
        details,
        now,
        before=before,
        after=after,
    )
