"""Whatever people and processes do to one campaign at the same moment: nobody waits in a circle,
and what they leave behind fits together.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import pytest
from sqlalchemy import select

from app.db.models import AuditEntry, CampaignVersion
from app.mailer.domain.delivery.job import Decision, SendStatus
from app.mailer.domain.errors import Conflict, MailerError
from app.mailer.domain.version import WorkflowState
from app.mailer.services.approve_version import approve_version, withdraw_approval
from app.mailer.services.build_version import build_version, prepare_version
from app.mailer.services.cancel_campaign import cancel_campaign
from app.mailer.services.keep_campaign import archive_campaign, unarchive_campaign
from app.mailer.services.review import Selection, decide
from tests.integration.services.sending.house import House, letter

PEOPLE = 8


@pytest.mark.parametrize("seed", range(3))
def test_many_at_one_campaign(house: House, seed: int) -> None:
    chance = random.Random(seed)
    done: set[str] = set()
    for _ in range(12):
        imported = house.build(letter(25, PEOPLE))
        acts = _acts(house, imported.campaign_id, imported.version_id)
        others = chance.sample(sorted(set(acts) - {"build", "queue"}), 2)
        done |= _at_once({name: acts[name] for name in ("build", "queue", *others)})
        _check(house, imported.campaign_id, imported.version_id)
    assert {"build", "queue"} <= done


def _at_once(acts: dict[str, Callable[[], object]]) -> set[str]:
    """Which of them were done; the others found that somebody was faster."""
    done: set[str] = set()
    faults: list[Exception] = []
    start = threading.Barrier(len(acts))

    def work(name: str) -> None:
        start.wait()
        try:
            acts[name]()
            done.add(name)
        except MailerError:
            pass
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(name,)) for name in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    return done


def _check(house: House, campaign_id: UUID, version_id: UUID) -> None:
    with house.sessions() as session:
        version = session.get_one(CampaignVersion, version_id)
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence)).all()
    jobs = [job for job in house.jobs(campaign_id) if job.version_id == version_id]
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    if version.built_at is None:
        assert not any(job.queued_at for job in jobs)
    else:
        assert [job.entry_id for job in jobs] == [f"e{number}" for number in range(PEOPLE)]
    waits = any(job.send_status is SendStatus.QUEUED for job in jobs)
    assert waits == (version.workflow_state is WorkflowState.QUEUED)


def _acts(house: House, campaign_id: UUID, version_id: UUID) -> dict[str, Callable[[], object]]:
    actor, now = house.actor, house.clock.now()

    def build() -> None:
        workshop = house.workshop
        prepared = prepare_version(workshop, actor, version_id)
        build_version(workshop, actor, version_id, prepared)

    def exclude() -> None:
        with house.sessions() as session:
            decide(
                session,
                actor,
                campaign_id,
                version_id=version_id,
                selection=Selection(entry_ids=["e1"]),
                decision=Decision.EXCLUDE,
                reason="left",
                now=now,
            )
            session.commit()

    def approve() -> None:
        with house.sessions() as session:
            approve_version(session, actor, campaign_id, version_id, reason="read", now=now)
            session.commit()

    def withdraw() -> None:
        with house.sessions() as session:
            withdraw_approval(session, actor, campaign_id, version_id, reason="no", now=now)
            session.commit()

    def cancel() -> None:
        with house.sessions() as session:
            cancel_campaign(session, actor, campaign_id, reason="stop", now=now)
            session.commit()

    def archive() -> None:
        with house.sessions() as session:
            archive_campaign(session, actor, campaign_id, now=now)
            session.commit()
        with house.sessions() as session:
            unarchive_campaign(session, actor, campaign_id, now=now)
            session.commit()

    def queue() -> None:
        for _ in range(9):
            # While it is being built it cannot be queued, and that would be all of the race.
            with suppress(Conflict):
                house.queue(campaign_id, version_id=version_id)
                return
            time.sleep(0.02)
        raise Conflict("Others were faster nine times.")

    return {
        "build": build,
        "queue": queue,
        "exclude": exclude,
        "approve": approve,
        "withdraw": withdraw,
        "cancel": cancel,
        "archive": archive,
    }
