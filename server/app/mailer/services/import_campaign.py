"""Import a campaign file as the next version of its campaign, secrets sealed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.base import dump_document
from app.db.models import CampaignVersion, WorkflowState
from app.db.repositories import campaigns, versions
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.campaign.snapshot import with_absolute_paths, with_secrets, without_secrets
from app.mailer.domain.errors import CampaignInvalid
from app.mailer.ports import Clock, SecretBox
from app.mailer.services.prepare import read_campaign


@dataclass(frozen=True, slots=True)
class Imported:
    """The version that an import made."""

    campaign_id: UUID
    external_id: str
    name: str
    version_id: UUID
    version_number: int


def import_campaign(
    session: Session,
    actor: Actor,
    text: bytes,
    *,
    folder: str,
    source_filename: str | None,
    clock: Clock,
    box: SecretBox,
) -> Imported:
    """Store a campaign file; the same campaign again becomes its next version, never a twin.

    `folder` is where relative paths in the file begin. Raises `CampaignInvalid` with everything
    wrong in the file; then nothing is stored. The caller commits.
    """
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaign = read_campaign(text)
    # Read twice, since the stored copy is the file as written, not as the models complete it.
    raw = json.loads(text.decode("utf-8-sig"), parse_float=Decimal)
    config = with_absolute_paths(raw, lambda path: str(PurePath(folder) / path))
    config, secrets = without_secrets(config, campaign)

    now = clock.now()
    row = campaigns.put(
        session,
        actor.tenant_id,
        external_id=campaign.campaign.id,
        name=campaign.campaign.name,
        description=campaign.campaign.description,
        now=now,
    )
    version = CampaignVersion(
        campaign_id=row.id,
        mode=campaign.campaign.mode,
        config=config,
        config_sha256=hashlib.sha256(dump_document(config).encode()).hexdigest(),
        source_filename=source_filename,
        source_base_path=folder,
        workflow_state=WorkflowState.EDITING,
        is_complete=True,
        created_at=now,
        created_by=actor.name,
    )
    versions.add(session, actor.tenant_id, version)
    if secrets:
        version.secrets = box.seal(dump_document(secrets).encode(), _context(version))
    session.flush()
    log.record(
        session,
        actor,
        "campaign.imported",
        "campaign",
        row.id,
        {
            "version_id": str(version.id),
            "version": version.number,
            "external_id": row.external_id,
            "source_filename": source_filename,
            "config_sha256": version.config_sha256,
        },
        now,
    )
    return Imported(row.id, row.external_id, row.name, version.id, version.number)


def stored_campaign(version: CampaignVersion, box: SecretBox) -> Campaign:
    """The campaign of a stored version, secrets in their places."""
    config: dict[str, Any] = version.config
    if version.secrets is not None:
        secrets = json.loads(box.open(version.secrets, _context(version)), parse_float=Decimal)
        config = with_secrets(config, secrets)
    campaign, issues = read_shape_of(config)
    if campaign is None:
        raise CampaignInvalid(issues)
    return campaign


def _context(version: CampaignVersion) -> str:
    """What a version's sealed secrets are bound to: tenant, row and field."""
    return f"{version.tenant_id}/campaign_versions/{version.id}/secrets"
