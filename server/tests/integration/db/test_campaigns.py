from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, inspect, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from app.db.models import Campaign, CampaignVersion, Job, Tenant, WorkflowState
from app.db.repositories import campaigns, jobs, versions
from app.db.repositories.jobs import NewJob
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.errors import NotFound
from app.mailer.domain.issues import EntryState
from tests.integration.db.conftest import NOW, new_version

LATER = NOW + timedelta(hours=1)


def put(session: Session, tenant_id: UUID, name: str = "Spring 2") -> Campaign:
    return campaigns.put(
        session, tenant_id, external_id="spring", name=name, description="New", now=LATER
    )


def test_the_same_external_id_is_the_same_campaign(
    session: Session, tenant: Tenant, campaign: Campaign
) -> None:
    again = put(session, tenant.id)
    assert again.id == campaign.id
    assert (again.name, again.description) == ("Spring 2", "New")
    assert (again.created_at, again.updated_at) == (NOW, LATER)


def test_tenants_may_use_the_same_external_id(
    session: Session, campaign: Campaign, other_tenant: Tenant
) -> None:
    assert put(session, other_tenant.id).id != campaign.id
    with pytest.raises(NotFound, match=str(campaign.id)):
        campaigns.get(session, other_tenant.id, campaign.id)


def run_together(work: Callable[[], object], threads: int = 5) -> list[Exception]:
    failures: list[Exception] = []
    barrier = threading.Barrier(threads)

    def run() -> None:
        try:
            barrier.wait()
            work()
        except Exception as error:
            failures.append(error)

    started = [threading.Thread(target=run) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return failures


def test_putting_at_once_makes_one_campaign(
    sessions: sessionmaker[Session], tenant: Tenant
) -> None:
    ids: list[UUID] = []

    def work() -> None:
        with sessions.begin() as session:
            ids.append(put(session, tenant.id).id)

    assert run_together(work) == []
    assert len(ids) == 5
    assert len(set(ids)) == 1


def test_adding_versions_at_once_gives_each_its_number(
    sessions: sessionmaker[Session], session: Session, tenant: Tenant, campaign: Campaign
) -> None:
    def work() -> None:
        for _ in range(3):
            with sessions.begin() as own:
                versions.add(own, tenant.id, new_version(campaign.id))

    assert run_together(work) == []
    found = versions.of_campaign(session, tenant.id, campaign.id)
    assert [version.number for version in found] == list(range(15, 0, -1))
    assert versions.latest(session, tenant.id, campaign.id).number == 15


def test_a_version_belongs_to_a_campaign_of_the_tenant(
    session: Session, campaign: Campaign, other_tenant: Tenant, version: CampaignVersion
) -> None:
    for look in (
        lambda: versions.add(session, other_tenant.id, new_version(campaign.id)),
        lambda: versions.get(session, other_tenant.id, version.id),
        lambda: versions.latest(session, other_tenant.id, campaign.id),
        lambda: versions.latest(session, campaign.tenant_id, uuid4()),
    ):
        with pytest.raises(NotFound):
            look()
    assert versions.of_campaign(session, other_tenant.id, campaign.id) == []


def test_a_campaign_without_version_says_so(
    session: Session, tenant: Tenant, campaign: Campaign
) -> None:
    with pytest.raises(NotFound, match="has no version"):
        versions.latest(session, tenant.id, campaign.id)


def test_a_snapshot_keeps_order_and_numbers(
    sessions: sessionmaker[Session], tenant: Tenant, campaign: Campaign
) -> None:
    config = {"z": Decimal("1.10"), "a": {"nested": [1, 10**30, None, True, "ß"]}}
    with sessions.begin() as session:
        version = new_version(campaign.id)
        version.config = config
        version.secrets = b"\x00sealed"
        version_id = versions.add(session, tenant.id, version).id
    with sessions() as session:
        found = versions.get(session, tenant.id, version_id, lock=True)
        assert list(found.config) == ["z", "a"]
        assert str(found.config["z"]) == "1.10"
        assert found.config == config
        assert found.secrets == b"\x00sealed"
        assert found.workflow_state is WorkflowState.EDITING
        assert found.editor_state is None
        null = text("SELECT count(*) FROM campaign_versions WHERE editor_state IS NULL")
        assert session.scalar(null) == 1


def test_lists_do_not_load_the_snapshots(
    session: Session, tenant: Tenant, version: CampaignVersion
) -> None:
    session.expunge_all()
    (found,) = versions.of_campaign(session, tenant.id, version.campaign_id)
    assert {"config", "secrets"} <= inspect(found).unloaded
    assert found.config == {"version": "1.0"}


@pytest.mark.parametrize(
    ("column", "value"), [("workflow_state", "'lost'"), ("number", "0"), ("number", "-1")]
)
def test_the_database_refuses_bad_versions(
    session: Session, version: CampaignVersion, column: str, value: str
) -> None:
    with pytest.raises(IntegrityError, match="ck_campaign_versions"):
        session.execute(text(f"UPDATE campaign_versions SET {column} = {value}"))


def test_summaries_count_the_last_version(
    session: Session,
    tenant: Tenant,
    other_tenant: Tenant,
    version: CampaignVersion,
    new_job: Callable[..., NewJob],
) -> None:
    campaign_id = version.campaign_id
    jobs.add_all(session, tenant.id, campaign_id, version.id, [new_job(0), new_job(1)])
    second = versions.add(session, tenant.id, new_version(campaign_id))
    new = [new_job(n, build_status=EntryState.WARNING) for n in range(3)]
    jobs.add_all(session, tenant.id, campaign_id, second.id, new)
    session.execute(update(Job).where(Job.id == new[0].id).values(send_status=SendStatus.SENT))
    empty = campaigns.put(
        session, tenant.id, external_id="empty", name="Empty", description="", now=LATER
    )
    put(session, other_tenant.id)
    session.commit()

    statements = []
    engine = session.get_bind()
    event.listen(engine, "after_cursor_execute", lambda *args: statements.append(args[2]))
    first, last = campaigns.summaries(session, tenant.id)
    assert len([text for text in statements if text.startswith("SELECT")]) == 2
    assert (first.id, first.version_number, first.build_counts) == (empty.id, None, Counter())
    assert (last.id, last.version_id, last.version_number) == (campaign_id, second.id, 2)
    assert last.workflow_state is WorkflowState.EDITING
    assert last.build_counts == Counter(warning=3)
    assert last.send_counts == Counter(sent=1, unqueued=2)


def test_a_nul_in_a_text_is_stored_as_what_every_database_takes(
    session: Session, tenant: Tenant
) -> None:
    """A campaign file can spell one, and Postgres refuses it."""
    stored = put(session, tenant.id, "Cards\0 2026")
    session.commit()
    session.expire_all()
    assert campaigns.get(session, tenant.id, stored.id).name == "Cards\ufffd 2026"
