"""Import a campaign file as the next version of its campaign, secrets sealed.

The servers' passwords go into the campaign's own mail account, everything else that is secret into
the version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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
from app.mailer.domain.campaign.shape import read_partly_of
from app.mailer.domain.campaign.snapshot import (
    MARK,
    with_absolute_paths,
    with_secrets,
    without_secrets,
)
from app.mailer.domain.errors import CampaignInvalid, Conflict
from app.mailer.domain.files.confinement import UPLOADS
from app.mailer.domain.issues import Issue, Severity
from app.mailer.domain.sealed import sealed_place
from app.mailer.ports import Clock, SecretBox
from app.mailer.services.account_servers import move_passwords, with_servers
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
    confined: bool = False,
) -> Imported:
    """Store a campaign file; the same campaign again becomes its next version, never a twin.

    `folder` is where relative paths in the file begin; those of `UPLOADS` stay as they are.
    `confined`: it may read the tenant's uploads and what is below FILE_ROOTS, nothing else. Raises
    `CampaignInvalid` with everything wrong in the file, and `Conflict` where the campaign is in the
    archive; then nothing is stored. The caller commits.
    """
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaign = read_campaign(text)
    # Read twice, since the stored copy is the file as written, not as the models complete it.
    raw = json.loads(text.decode("utf-8-sig"), parse_float=Decimal)
    if folder != UPLOADS:
        raw = with_absolute_paths(
            raw,
            lambda path: (
                path if confined and path.startswith(UPLOADS) else str(PurePath(folder) / path)
            ),
        )
    config, secrets = without_secrets(raw)
    _refuse_references(secrets)

    now = clock.now()
    row = campaigns.put(
        session,
        actor.tenant_id,
        external_id=campaign.campaign.id,
        name=campaign.campaign.name,
        description=campaign.campaign.description,
        now=now,
    )
    if row.archived_at is not None:
        raise Conflict(
            f"The campaign {row.external_id} is in the archive.", "Take it out of there first."
        )
    secrets = move_passwords(session, actor, row, campaign, secrets, now=now, box=box)
    # Whoever wrote what is imported anew, or replaced, is no second person for it.
    before = versions.newest_of(session, actor.tenant_id, [row.id]).get(row.id)
    earlier = () if before is None else before.author_ids
    version = CampaignVersion(
        campaign_id=row.id,
        mode=campaign.campaign.mode,
        config=config,
        config_sha256=hashlib.sha256(dump_document(config).encode()).hexdigest(),
        source_filename=source_filename,
        source_base_path=folder,
        is_confined=confined,
        workflow_state=WorkflowState.EDITING,
        is_complete=True,
        created_at=now,
        created_by=actor.name,
        author_ids=[*(each for each in earlier if each != actor.identity), actor.identity],
    )
    versions.add(session, actor.tenant_id, version)
    keep_secrets(version, secrets, box)
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


def _refuse_references(secrets: Mapping[str, Any]) -> None:
    """A file that came out of here has references where secrets were: none may pass for a secret.

    Those for the servers' passwords are looked after by `move_passwords`.
    """
    issues = [
        Issue(
            "missing-value",
            Severity.BLOCK,
            pointer,
            "A reference stands here, and this file does not come with the secret that it is for.",
            "Write the secret itself, or edit the campaign where it is stored.",
        )
        for pointer, value in secrets.items()
        if isinstance(value, str)
        and value.startswith(f"{MARK}/")
        and not pointer.startswith("/server/")
    ]
    if issues:
        raise CampaignInvalid(issues)


def keep_secrets(version: CampaignVersion, secrets: Mapping[str, Any], box: SecretBox) -> None:
    """Seal what `snapshot.without_secrets` took out, in the place of what was sealed before.

    The version has its id already, which the sealed bytes are bound to.
    """
    sealed = box.seal(dump_document(secrets).encode(), _context(version)) if secrets else None
    version.secrets = sealed


def kept_secrets(version: CampaignVersion, box: SecretBox) -> dict[str, Any]:
    """The secrets of a version by JSON Pointer; the servers' passwords may be in an account."""
    if version.secrets is None:
        return {}
    found = json.loads(box.open(version.secrets, _context(version)), parse_float=Decimal)
    assert isinstance(found, dict)
    return found


def stored_campaign(version: CampaignVersion, box: SecretBox) -> Campaign:
    """The campaign of a stored version, secrets in their places and its servers resolved.

    `version` belongs to a session: a mail account may be looked up.
    """
    campaign, issues = stored_part(version, box)
    if campaign is None or issues:
        raise CampaignInvalid(issues)
    return campaign


def stored_part(version: CampaignVersion, box: SecretBox) -> tuple[Campaign | None, list[Issue]]:
    """As `stored_campaign`, but with every issue of its shape, as `read_partly` has them."""
    campaign, issues = read_partly_of(with_secrets(version.config, kept_secrets(version, box)))
    return (None if campaign is None else with_servers(version, campaign, box)), issues


def _context(version: CampaignVersion) -> str:
    """What a version's sealed secrets are bound to: tenant, row and field."""
    return sealed_place(version.tenant_id, "campaign_versions", version.id, "secrets")
