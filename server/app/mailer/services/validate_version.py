"""Validate a stored version, whatever state its file is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from app.access.actor import Actor
from app.audit import log
from app.db.repositories import issues, versions
from app.mailer.domain.errors import CampaignInvalid
from app.mailer.domain.issues import EntryState, Issue, Severity
from app.mailer.services.build_version import Workshop, prepare_version, record_validation


def validate_version(workshop: Workshop, actor: Actor, version_id: UUID) -> dict[str, Any]:
    """Check a version with its files, keep every finding, and count: entries by state, issues by
    severity and by code.

    A file that cannot be read as a campaign is a finding like any other, with no entries.
    """
    try:
        prepared = prepare_version(workshop, actor, version_id)
    except CampaignInvalid as error:
        _record_unreadable(workshop, actor, version_id, error.issues)
        return _counted({state.value: 0 for state in EntryState}, error.issues, has_findings=True)
    record_validation(workshop, actor, version_id, prepared)
    return _counted(prepared.summary(), prepared.found, has_findings=prepared.has_findings)


def _record_unreadable(
    workshop: Workshop, actor: Actor, version_id: UUID, found: Sequence[Issue]
) -> None:
    now = workshop.clock.now()
    with workshop.sessions() as session:
        version = versions.get(session, actor.tenant_id, version_id, lock=True)
        version.validated_at = now
        issues.replace_for_version(session, actor.tenant_id, version_id, found)
        log.record(
            session,
            actor,
            "campaign.validated",
            "campaign",
            version.campaign_id,
            {"version_id": str(version_id), "unreadable": True},
            now,
        )
        session.commit()


def _counted(
    entries: dict[str, int], found: Iterable[Issue], *, has_findings: bool
) -> dict[str, Any]:
    by_severity: Counter[Severity] = Counter()
    by_code: Counter[str] = Counter()
    for issue in found:
        by_severity[issue.severity] += 1
        by_code[issue.code] += 1
    return {
        "entries": entries,
        "severities": {each.value: by_severity[each] for each in Severity},
        "codes": dict(by_code.most_common()),
        "has_findings": has_findings,
    }
