"""Check one section of a version while it is being written."""

from __future__ import annotations

from functools import partial
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.repositories import campaigns
from app.db.repositories.access import tenants
from app.mailer.domain.campaign.snapshot import with_secrets
from app.mailer.domain.letters.partial import Section, SectionFindings, check_section
from app.mailer.ports import SecretBox
from app.mailer.services.account_servers import with_servers
from app.mailer.services.import_campaign import kept_secrets
from app.mailer.services.version_workflow import other_id
from app.mailer.services.versions import version_of


def check_part(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    section: Section,
    *,
    box: SecretBox,
) -> SectionFindings:
    """What is wrong in a section, as far as the version itself and the mail account that it names
    tell; files are not looked at."""
    require_scope(actor, Scope.CAMPAIGN_WRITE)
    campaign = campaigns.get(session, actor.tenant_id, campaign_id)
    version = version_of(session, actor.tenant_id, campaign_id, version_id)
    config = with_secrets(version.config, kept_secrets(version, box))
    found = check_section(
        config,
        section,
        time_zones=available_timezones(),
        jinja_allowed=tenants.tenant(session, actor.tenant_id).jinja_allowed,
        resolve=partial(with_servers, version, box=box),
    )
    info = config.get("campaign")
    written = info.get("id") if isinstance(info, dict) else None
    if section in (Section.BASICS, Section.ALL) and isinstance(written, str):
        found.issues.extend(other_id(written, campaign.external_id))
    return found
