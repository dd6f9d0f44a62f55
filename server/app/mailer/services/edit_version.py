"""Write in a version: no work is lost to somebody else's, and what was built never changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.base import dump_document
from app.db.models import Campaign, CampaignVersion
from app.db.repositories import campaigns, issues, versions
from app.mailer.domain.campaign.shape import unstorable
from app.mailer.domain.campaign.snapshot import resealed
from app.mailer.domain.errors import CampaignInvalid
from app.mailer.domain.version import VersionEvent, WorkflowState, move, sources_of
from app.mailer.ports import Clock, SecretBox
from app.mailer.services.import_campaign import keep_secrets, kept_secrets
from app.mailer.services.lock_version import refuse_locked, renew_lock
from app.mailer.services.version_conditions import (
    EditedMeanwhile,
    Expected,
    refuse_stale,
    refuse_unseen,
)
from app.mailer.services.versions import discard_unfinished, locked_version

_MODES = ("draft", "test", "send")


@dataclass(frozen=True, slots=True)
class Writing:
    """What somebody writes; None leaves a part as it is. `config` need not be a whole campaign."""

    config: Mapping[str, Any] | None = None
    current_flow: str | None = None
    current_step: str | None = None
    is_complete: bool | None = None
    editor_state: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """The version that has it now; `is_next`: a new one, since the old one was built."""

    version: CampaignVersion
    is_next: bool


def save_version(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    writing: Writing,
    expected: Expected | None,
    *,
    autosave: bool,
    clock: Clock,
    box: SecretBox,
) -> Saved:
    """Write in a version or, where it was built, in the next one. The caller commits.

    Secrets are sealed; a reference (`secret:/…`) in the place of one keeps it. From now on the
    campaign reads the tenant's uploads and what is below FILE_ROOTS, nothing else. Raises
    `EditedMeanwhile` where it is not the expected one, `ConditionMissing` where somebody else wrote
    last and nothing is expected, `Locked`, and `IllegalMove` where nobody may write in it now.
    """
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    now = clock.now()
    campaign = campaigns.lock(session, actor.tenant_id, campaign_id)
    version = locked_version(session, actor.tenant_id, campaign_id, version_id)
    refuse_stale(version, expected)
    if version.workflow_state in (WorkflowState.UNDER_REVIEW, WorkflowState.ARCHIVED):
        move(version.workflow_state, VersionEvent.SAVE)
    if writing.config is not None and (found := unstorable(writing.config)):
        raise CampaignInvalid(found)
    content = _content(version, writing, box)
    if version.workflow_state in sources_of(VersionEvent.SAVE):
        refuse_locked(session, version, actor, now)
        refuse_unseen(version, expected, actor)
        made = version
    elif content is None:
        # Built, and only the editor's own notes are new.
        made = version
    else:
        made = _next_version(session, actor, version, now)
    before = _seen(made)
    if content is not None:
        _put_content(session, campaign, made, *content, box=box)
    if _put_notes(made, writing) or content is not None:
        _note_author(made, actor, now, is_new=made is not version)
    renew_lock(made, actor, now)
    made.autosaved_at = now if autosave else made.autosaved_at
    session.flush()
    if _seen(made) != before or made is not version:
        campaign.updated_at = now
        log.record(
            session,
            actor,
            "campaign.autosaved" if autosave else "campaign.saved",
            "campaign",
            campaign_id,
            {"version_id": str(made.id), "version": made.number},
            now,
            before=None if made is not version else before,
            after=_seen(made),
        )
    return Saved(made, made is not version)


def set_step(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    *,
    current_flow: str | None,
    current_step: str | None,
    now: datetime,
) -> CampaignVersion:
    """Note where in the editor people are, in any state. Not content: the ETag stays."""
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaigns.lock(session, actor.tenant_id, campaign_id)
    version = locked_version(session, actor.tenant_id, campaign_id, version_id)
    before = _seen(version)
    if current_flow is not None:
        version.current_flow = current_flow
    if current_step is not None:
        version.current_step = current_step
    session.flush()
    if _seen(version) != before:
        log.record(
            session,
            actor,
            "campaign.step_set",
            "campaign",
            campaign_id,
            {"version_id": str(version.id), "version": version.number},
            now,
            before=before,
            after=_seen(version),
        )
    return version


def mode_of(config: Mapping[str, Any]) -> str:
    """How far a version may go; a draft where its config does not say it well."""
    info = config.get("campaign")
    mode = info.get("mode") if isinstance(info, dict) else None
    return mode if mode in _MODES else "draft"


def sha256_of(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(dump_document(config).encode()).hexdigest()


def _content(
    version: CampaignVersion, writing: Writing, box: SecretBox
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Config and secrets as they are to be stored, or None where nothing of them is new."""
    if writing.config is None:
        return None
    kept = kept_secrets(version, box)
    config, secrets = resealed(writing.config, version.config, kept)
    same = sha256_of(config) == version.config_sha256
    if same and dump_document(secrets) == dump_document(kept):
        return None
    return config, secrets


def _next_version(
    session: Session, actor: Actor, built: CampaignVersion, now: datetime
) -> CampaignVersion:
    newer = versions.newest_unbuilt(session, actor.tenant_id, built.campaign_id)
    if newer is not None and newer.number > built.number:
        raise EditedMeanwhile(
            f"Version {built.number} was built and does not change any more; version "
            f"{newer.number} is being written already.",
            "Write in that one.",
            newer,
        )
    version = CampaignVersion(
        id=uuid4(),
        campaign_id=built.campaign_id,
        mode=built.mode,
        config=built.config,
        config_sha256=built.config_sha256,
        source_filename=built.source_filename,
        source_base_path=built.source_base_path,
        workflow_state=WorkflowState.EDITING,
        current_flow=built.current_flow,
        current_step=built.current_step,
        is_complete=built.is_complete,
        editor_state=built.editor_state,
        revision=0,
        created_at=now,
        created_by=actor.name,
        # Who wrote what it begins with is an author of it, too.
        author_ids=list(built.author_ids),
    )
    return versions.add(session, actor.tenant_id, version)


def _put_content(
    session: Session,
    campaign: Campaign,
    version: CampaignVersion,
    config: dict[str, Any],
    secrets: dict[str, Any],
    *,
    box: SecretBox,
) -> None:
    old, new = _info(version.config), _info(config)
    for key in ("name", "description"):
        # The campaign is called what its file says, where that is what was changed.
        if isinstance(new.get(key), str) and new.get(key) != old.get(key):
            setattr(campaign, key, new[key])
    version.config = config
    version.config_sha256 = sha256_of(config)
    keep_secrets(version, secrets, box)
    version.mode = mode_of(config)
    version.is_confined = True
    # A build that is under way is one of something else now, and so are the letters it made.
    discard_unfinished(session, version)
    version.validated_at = version.validation_summary = None
    issues.replace_for_version(session, version.tenant_id, version.id, [])


def _put_notes(version: CampaignVersion, writing: Writing) -> bool:
    """Whether anything of it is new."""
    changed = False
    for name in ("current_flow", "current_step", "is_complete", "editor_state"):
        value = getattr(writing, name)
        if value is not None and value != getattr(version, name):
            setattr(version, name, value)
            changed = True
    return changed


def _note_author(version: CampaignVersion, actor: Actor, now: datetime, *, is_new: bool) -> None:
    version.revision = 1 if is_new else version.revision + 1
    version.edited_at, version.edited_by = now, actor.name
    others = [each for each in version.author_ids if each != actor.identity]
    version.author_ids = [*others, actor.identity]


def _seen(version: CampaignVersion) -> dict[str, object]:
    return {
        "revision": version.revision,
        "config_sha256": version.config_sha256,
        "mode": version.mode,
        "current_flow": version.current_flow,
        "current_step": version.current_step,
        "is_complete": version.is_complete,
    }


def _info(config: Mapping[str, Any]) -> dict[str, Any]:
    info = config.get("campaign")
    return info if isinstance(info, dict) else {}
