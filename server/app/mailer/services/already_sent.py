"""The guard across campaigns: a personal file that went to the same address not long ago.

A build tells of it, and a person decides. Of two campaigns that were built before either was
queued, the builds know nothing: then the queue refuses the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.db.repositories.access import tenants
from app.db.repositories.already_sent import repeats, sent_files
from app.db.repositories.jobs import NewJob
from app.db.repositories.queueing import Gate
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.codes import CODES
from app.mailer.domain.errors import Conflict
from app.mailer.domain.issues import Issue, Severity
from app.mailer.domain.letters.compiled import CompiledCampaign
from app.mailer.domain.letters.letter import Letter


def judge_already_sent(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    compiled: CompiledCampaign,
    made: Sequence[tuple[Letter, NewJob]],
    *,
    since: datetime,
) -> list[NewJob]:
    """The jobs of some letters, each with `already-sent` where it repeats what somebody got.

    One look into the database for all of them. What the campaign's own versions sent is the
    queue's business, and the letters of mode `test` go to the testers alone.
    """
    takers: dict[str, list[tuple[Letter, NewJob]]] = {}
    for letter, job in made:
        for file in job.attachments:
            if file.is_personal:
                takers.setdefault(file.sha256, []).append((letter, job))
    if takers and compiled.campaign.campaign.mode != "test":
        _note(session, tenant_id, campaign_id, compiled, takers, since)
    return [_judged(letter, job) for letter, job in made]


def refuse_repeats(session: Session, campaign: Campaign, gate: Gate, now: datetime) -> None:
    """Raises `Conflict` where what this version would send was sent or queued by another campaign
    since it was built. No other campaign is queued meanwhile.
    """
    effect = campaign.validation_policy.already_sent
    if campaign.campaign.mode == "test" or effect in (Severity.WARN, Severity.IGNORE):
        return
    days = tenants.tenant(session, gate.tenant_id).already_sent_days
    entries: set[str] = set()
    example = ""
    for each in repeats(session, gate, since=now - timedelta(days=days)):
        reached = {address.lower() for address in each.other_recipients}
        address = next((own for own in each.recipients if own.lower() in reached), None)
        if address is None:
            continue
        entries.add(each.entry_id)
        example = example or (
            f"the file “{each.filename}” to {address} in the campaign “{each.campaign}”"
        )
    if entries:
        count = "1 letter" if len(entries) == 1 else f"{len(entries)} letters"
        raise Conflict(
            f"Since this version was built, another campaign was queued that sends what {count} of "
            f"it would send again: {example}.",
            "Build it again; then each such letter can be looked at, and accepted or excluded.",
        )


def _note(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    compiled: CompiledCampaign,
    takers: dict[str, list[tuple[Letter, NewJob]]],
    since: datetime,
) -> None:
    told: set[tuple[UUID, str, str]] = set()
    found = sent_files(session, tenant_id, takers.keys(), except_campaign=campaign_id, since=since)
    for sent in found:
        before = {address.lower() for address in sent.recipients}
        for letter, job in takers[sent.sha256]:
            for address in job.recipients:
                key = (job.id, sent.sha256, address.lower())
                if address.lower() not in before or key in told:
                    continue
                told.add(key)
                name = next(f.filename for f in job.attachments if f.sha256 == sent.sha256)
                issue = Issue(
                    "already-sent",
                    CODES["already-sent"].severity,
                    letter.entry.pointer,
                    f"The file “{name}” went to {address} on {sent.at:%Y-%m-%d} already, in the "
                    f"campaign “{sent.campaign}”.",
                    "If it is meant to go there again, accept it; else exclude it.",
                    letter.id,
                )
                letter.issues.extend(compiled.judge([issue]))


def _judged(letter: Letter, job: NewJob) -> NewJob:
    job = replace(job, build_status=letter.state, issues=tuple(letter.issues))
    if letter.buildable:
        return job
    # The campaign's policy may block or exclude it; then there is no message, as elsewhere.
    return replace(
        job,
        envelope_from=None,
        message_id=None,
        message_date=None,
        needs_smtputf8=False,
        size=None,
        sha256=None,
        content_sha256=None,
        frame=None,
        attachments=(),
    )
