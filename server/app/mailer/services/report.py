"""What became of a campaign: the dashboard's report, and one row for each job.

Give these a session of `db.session.reading`: all numbers are then of one moment, and nobody waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.models import AppendAttemptOutcome, AttemptOutcome, Campaign, CampaignVersion
from app.db.repositories import accounts, campaigns, reports
from app.db.repositories.queueing import Gate
from app.db.repositories.reports import Trouble
from app.mailer.domain import report as shape
from app.mailer.domain.campaign import RateLimit
from app.mailer.domain.codes import CODES
from app.mailer.domain.delivery.job import OPEN, Decision, ImapStatus, SendStatus
from app.mailer.domain.issues import EntryState
from app.mailer.domain.mail_account import AccountTerms, slowest
from app.mailer.domain.report import IN_DOUBT_EXPLANATION, Card, JobGroup
from app.mailer.services.account_servers import terms_of
from app.mailer.services.versions import version_of

#: How many jobs each list of a report names; its count is of all.
RECENT_FAILURES = 20
LISTED_IN_DOUBT = 100
_PAGE = 1_000
_TROUBLE = (SendStatus.FAILED, SendStatus.DEFERRED, SendStatus.IN_DOUBT)


def campaign_report(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    include_jobs: bool,
    now: datetime,
) -> dict[str, Any]:
    """The report on a version (None: as `version_of`), ready for JSON; times in ISO 8601, UTC.

    A fixed number of statements, however large the campaign; `jobs` only with `include_jobs`.
    """
    require_scope(actor, Scope.CAMPAIGN_READ)
    return report_on(
        session,
        version_of(session, actor.tenant_id, campaign_id, version_id),
        include_jobs=include_jobs,
        now=now,
    )


def campaign_summary(
    session: Session, actor: Actor, campaign_id: UUID, *, version_id: UUID | None, now: datetime
) -> dict[str, Any]:
    """The counts alone, for a dashboard that asks often: what `campaign_report` begins with."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    version = version_of(session, actor.tenant_id, campaign_id, version_id)
    return _summary(session, version, now)


def job_rows(
    session: Session, actor: Actor, campaign_id: UUID, *, version_id: UUID | None
) -> Iterator[dict[str, Any]]:
    """A flat row for each job, in order, with the keys of `domain.report.JOB_COLUMNS`.

    Read in pages as they are used, three statements each, so the session has to stay open.
    """
    require_scope(actor, Scope.CAMPAIGN_READ)
    return rows_of(session, version_of(session, actor.tenant_id, campaign_id, version_id))


def unsettled(
    session: Session, actor: Actor, campaign_id: UUID, *, version_id: UUID | None
) -> dict[str, Any]:
    """The messages that only a person can settle: `in_doubt` and `failed`, all of a version.

    `other_versions` are those that have some as well, as in the report.
    """
    require_scope(actor, Scope.CAMPAIGN_READ)
    version = version_of(session, actor.tenant_id, campaign_id, version_id)
    lines = [
        _version_line(each, counted)
        for each, counted in reports.versions(session, actor.tenant_id, campaign_id)
        if each.id != version.id
    ]
    return {
        "in_doubt": _listed(session, version, (SendStatus.IN_DOUBT,), None),
        "failed": _listed(session, version, (SendStatus.FAILED,), None),
        "other_versions": [line for line in lines if line["in_doubt"] or line["failed"]],
    }


def report_on(
    session: Session, version: CampaignVersion, *, include_jobs: bool, now: datetime
) -> dict[str, Any]:
    """As `campaign_report`, for whoever has checked the scope."""
    tenant_id, campaign_id = version.tenant_id, version.campaign_id
    report = _summary(session, version, now)
    report |= {
        "attachments": asdict(reports.attachment_totals(session, tenant_id, version.id)),
        "issues": [
            {
                "code": code,
                "severity": severity.value,
                "count": count,
                "meaning": CODES[code].meaning if code in CODES else "",
            }
            for code, severity, count in reports.issue_counts(session, tenant_id, version.id)
        ],
        "send_attempts": _attempts(
            AttemptOutcome, reports.send_attempts(session, tenant_id, version.id)
        ),
        "append_attempts": _attempts(
            AppendAttemptOutcome, reports.append_attempts(session, tenant_id, version.id)
        ),
        "in_doubt": {
            "count": report["send"][SendStatus.IN_DOUBT],
            "explanation": IN_DOUBT_EXPLANATION,
            "jobs": _listed(session, version, (SendStatus.IN_DOUBT,), LISTED_IN_DOUBT),
        },
        "recent_failures": _listed(session, version, _TROUBLE, RECENT_FAILURES),
        "versions": [
            _version_line(each, counted)
            for each, counted in reports.versions(session, tenant_id, campaign_id)
        ],
    }
    if include_jobs:
        report["jobs"] = list(rows_of(session, version))
    return report


def _summary(session: Session, version: CampaignVersion, now: datetime) -> dict[str, Any]:
    groups = reports.job_groups(
        session,
        Gate(version.tenant_id, version.campaign_id, version.id, True, version.mode == "send"),
    )
    cards = shape.cards(groups)
    due = [group.next_due_at for group in groups if group.next_due_at is not None]
    next_due_at = min(due, default=None)
    campaign = campaigns.get(session, version.tenant_id, version.campaign_id)
    limit, account = _rate_limit(version), _account(session, version)
    at_most = None if account is None else account.concurrency
    return {
        "generated_at": now.isoformat(),
        "campaign": _heading(campaign, version),
        "cards": cards,
        "build": shape.every(EntryState, _counted(groups, "build")),
        "send": shape.every(SendStatus, _counted(groups, "send")),
        "imap": shape.every(ImapStatus, _counted(groups, "imap")),
        "copies_held": _copies_held(campaign),
        "review": {
            "undecided": cards[Card.NEEDS_REVIEW],
            "accepted": _counted(groups, "decision")[Decision.ACCEPT],
            "excluded": _counted(groups, "decision")[Decision.EXCLUDE],
        },
        "rate_limit": shape.time_left(
            per_minute=slowest(limit.messages_per_minute, account.pace if account else None),
            concurrency=min(limit.concurrency, at_most or limit.concurrency),
            waiting=cards[Card.WAITING],
            ready=cards[Card.READY_TO_SEND],
            next_due_at=next_due_at,
            now=now,
        ),
        "next_due_at": _iso(next_due_at),
        "waiting_in_other_versions": reports.waiting_elsewhere(
            session, version.tenant_id, version.campaign_id, version.id
        ),
    }


def rows_of(session: Session, version: CampaignVersion) -> Iterator[dict[str, Any]]:
    """As `job_rows`, for whoever has checked the scope."""
    after = -1
    tenant_id = version.tenant_id
    while page := reports.job_page(session, tenant_id, version.id, after=after, limit=_PAGE):
        after = page[-1].position
        ids = [job.id for job in page]
        codes = reports.codes_of(session, tenant_id, ids)
        files = reports.files_of(session, tenant_id, ids)
        for job in page:
            yield _job_row(job, codes.get(job.id, []), files.get(job.id, []))


def _job_row(job: Row[Any], codes: list[str], files: list[str]) -> dict[str, Any]:
    return {
        "entry_id": job.entry_id,
        "pointer": job.pointer,
        "to": job.to_display,
        "subject": job.subject,
        "build_status": job.build_status.value,
        "decision": job.decision.value if job.decision is not None else None,
        "decided_by": job.decided_by,
        "decided_at": _iso(job.decided_at),
        "decision_reason": job.decision_reason,
        "send_status": job.send_status.value,
        "imap_status": job.imap_status.value,
        "attempts": job.attempt_count,
        "last_code": job.last_code,
        "last_reply": job.last_reply,
        "last_error": job.last_error,
        "queued_at": _iso(job.queued_at),
        "sent_at": _iso(job.sent_at),
        "message_id": job.message_id,
        "size": job.size,
        "sha256": job.sha256,
        "attachments": files,
        "issues": codes,
    }


def _heading(campaign: Campaign, version: CampaignVersion) -> dict[str, Any]:
    return {
        "id": str(campaign.id),
        "external_id": campaign.external_id,
        "name": campaign.name,
        "description": campaign.description,
        "version_id": str(version.id),
        "version_number": version.number,
        "mode": version.mode,
        "workflow_state": version.workflow_state.value,
        "created_at": _iso(version.created_at),
        "created_by": version.created_by,
        "validated_at": _iso(version.validated_at),
        "built_at": _iso(version.built_at),
    }


def _copies_held(campaign: Campaign) -> dict[str, Any] | None:
    """Why workers could file no copies of the campaign, and when they try again."""
    if campaign.append_held_until is None:
        return None
    # After that they try again; until that went well, the reason still tells something.
    return {
        "until": _iso(campaign.append_held_until),
        "reason": campaign.append_hold_reason or "",
    }


def _version_line(version: CampaignVersion, counted: Counter[SendStatus]) -> dict[str, Any]:
    """What somebody who looks at one version must not miss in another."""
    return {
        "id": str(version.id),
        "number": version.number,
        "mode": version.mode,
        "workflow_state": version.workflow_state.value,
        "total": counted.total(),
        "waiting": sum(counted[status] for status in OPEN),
        "sent": counted[SendStatus.SENT],
        "failed": counted[SendStatus.FAILED],
        "in_doubt": counted[SendStatus.IN_DOUBT],
    }


def _rate_limit(version: CampaignVersion) -> RateLimit:
    """The version's rate limit; an unfinished draft may have none that can be read."""
    delivery = version.config.get("delivery")
    said = delivery.get("rate_limit") if isinstance(delivery, dict) else None
    try:
        return RateLimit.model_validate(said or {})
    except ValidationError:
        return RateLimit()


def _account(session: Session, version: CampaignVersion) -> AccountTerms | None:
    """What the stored account asks for that the version is sent by, None where it names none."""
    server = version.config.get("server")
    name = server.get("account") if isinstance(server, dict) else None
    if not isinstance(name, str):
        return None
    account = accounts.for_campaign(session, version.tenant_id, version.campaign_id, name)
    return None if account is None else terms_of(account)


def _counted(groups: list[JobGroup], axis: str) -> Counter[Any]:
    counted: Counter[Any] = Counter()
    for group in groups:
        counted[getattr(group, axis)] += group.count
    return counted


def _attempts(
    kind: type[AttemptOutcome] | type[AppendAttemptOutcome], counted: Mapping[Any, int]
) -> dict[str, int]:
    return {
        "total": sum(counted.values()),
        **shape.every(kind, counted),
        "running": counted.get(None, 0),
    }


def _listed(
    session: Session, version: CampaignVersion, statuses: tuple[SendStatus, ...], limit: int | None
) -> list[dict[str, Any]]:
    found = reports.trouble(session, version.tenant_id, version.id, statuses, limit=limit)
    return [_trouble(each) for each in found]


def _trouble(each: Trouble) -> dict[str, Any]:
    return {
        "entry": each.entry_id,
        "to": each.to,
        "send_status": each.send_status.value,
        "code": each.code,
        "reply": each.reply,
        "error": each.error,
        "message_id": each.message_id,
        "attempts": each.attempts,
        "look_count": each.look_count,
        "looked_at": _iso(each.looked_at),
        "at": _iso(each.at),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
