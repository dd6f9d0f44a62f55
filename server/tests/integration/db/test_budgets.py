from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.db.models import Campaign, CampaignVersion, Job, Tenant
from app.db.repositories import campaigns, jobs, versions
from app.db.repositories.budgets import sent_lately
from app.db.repositories.jobs import NewJob
from app.mailer.domain.delivery.job import SendStatus
from tests.integration.db.conftest import NOW, new_version

Add = Callable[..., None]
SENT, IN_DOUBT = SendStatus.SENT, SendStatus.IN_DOUBT


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.fixture
def add(session: Session, new_job: Callable[..., NewJob]) -> Add:
    """Jobs of a version: for each the state, `sent_at` and `claimed_at`."""

    def add(version: CampaignVersion, *given: tuple[Any, Any, Any]) -> None:
        new = [new_job(position) for position in range(len(given))]
        jobs.add_all(session, version.tenant_id, version.campaign_id, version.id, new)
        for job, (status, sent_at, claimed_at) in zip(new, given, strict=True):
            values = {"send_status": status, "sent_at": sent_at, "claimed_at": claimed_at}
            session.execute(update(Job).where(Job.id == job.id).values(**values))
        session.commit()

    return add


def by_account(session: Session, version: CampaignVersion, account: UUID) -> CampaignVersion:
    version.account_id = account
    session.commit()
    return version


def test_letters_of_the_last_day_are_counted_by_the_minute(
    session: Session, tenant: Tenant, campaign: Campaign, version: CampaignVersion, add: Add
) -> None:
    account = uuid4()
    second = by_account(
        session, versions.add(session, tenant.id, new_version(campaign.id)), account
    )
    add(
        by_account(session, version, account),
        (SENT, ago(0.5), ago(9)),
        (SENT, ago(3660.25), ago(4000)),
        (SENT, ago(3659.75), ago(4000)),
        (SENT, ago(24 * 3600 - 1), ago(24 * 3600 + 5)),
        (SENT, ago(24 * 3600 + 1), ago(24 * 3600 + 5)),
        (SendStatus.QUEUED, None, None),
    )
    add(second, (SENT, ago(3661), None))
    found = sent_lately(session, tenant.id, account, NOW)
    assert sum(count for _ago, count in found) == 5
    assert [found[0], found[-1]] == [(24 * 3600 - 1, 1), (0.5, 1)]
    # Each group is as old as its youngest letter: 3659.75 s, or two of them around a full minute.
    assert {seconds for seconds, _count in found[1:-1]} <= {3659.75, 3660.25, 3661.0}
    assert 3659.75 in {seconds for seconds, _count in found}


def test_what_may_have_left_counts_too(
    session: Session, tenant: Tenant, version: CampaignVersion, add: Add
) -> None:
    account = uuid4()
    add(
        by_account(session, version, account),
        (IN_DOUBT, None, ago(7200)),
        (SendStatus.COMMITTING, None, ago(-5)),  # by a clock that is ahead
        (IN_DOUBT, None, ago(25 * 3600)),
        (SendStatus.CLAIMED, None, ago(5)),
        (SendStatus.DEFERRED, None, ago(5)),
        (SendStatus.FAILED, None, ago(5)),
    )
    assert sent_lately(session, tenant.id, account, NOW) == [(7200.0, 1), (0.0, 1)]


def test_other_accounts_and_other_tenants_do_not(
    session: Session,
    tenant: Tenant,
    other_tenant: Tenant,
    version: CampaignVersion,
    add: Add,
) -> None:
    account = uuid4()
    add(by_account(session, version, account), (SENT, ago(5), None))
    theirs = campaigns.put(
        session, other_tenant.id, external_id="theirs", name="Theirs", description="", now=NOW
    )
    their_version = versions.add(session, other_tenant.id, new_version(theirs.id))
    add(by_account(session, their_version, account), (SENT, ago(6), None))
    assert sent_lately(session, tenant.id, account, NOW) == [(5.0, 1)]
    assert sent_lately(session, other_tenant.id, account, NOW) == [(6.0, 1)]
    assert sent_lately(session, tenant.id, uuid4(), NOW) == []
