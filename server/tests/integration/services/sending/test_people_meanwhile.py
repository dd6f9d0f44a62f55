"""What people do about single letters while others of the campaign are being sent."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from uuid import UUID

import pytest
from sqlalchemy import event, select

from app.db.models import AuditEntry, CampaignVersion
from app.mailer.domain.delivery.job import Event, SendStatus
from app.mailer.domain.delivery.sample import First
from app.mailer.domain.errors import MailerError
from app.mailer.services.cancel_campaign import cancel_campaign
from app.mailer.services.pause_campaign import pause_campaign, resume_campaign
from app.mailer.services.review import Selection, resolve
from tests.integration.services.sending.house import House, letter, people, recipients
from tests.servers.smtp import SmtpServer

PEOPLE = 40
_S = SendStatus


def _resolve(house: House, campaign: UUID, what: Event, entries: list[str] | None) -> list[str]:
    with house.sessions() as session:
        settled = resolve(
            session,
            house.actor,
            campaign,
            version_id=None,
            selection=Selection(entry_ids=entries),
            event=what,
            reason="so it shall be",
            now=house.clock.now(),
            box=house.box,
        )
        session.commit()
    return list(settled.entries)


def _pause_for_a_moment(house: House, campaign: UUID) -> None:
    with house.sessions() as session:
        pause_campaign(session, house.actor, campaign, reason="", now=house.clock.now())
        session.commit()
    time.sleep(0.01)
    with house.sessions() as session:
        resume_campaign(session, house.actor, campaign, now=house.clock.now())
        session.commit()


@pytest.mark.parametrize("seed", range(2))
def test_decisions_while_letters_leave(house: House, smtp_server: SmtpServer, seed: int) -> None:
    chance = random.Random(seed)
    document = letter(smtp_server.port, PEOPLE, delivery={"rate_limit": {"concurrency": 4}})
    campaign = house.build(document).campaign_id
    house.queue(campaign, sample=First(PEOPLE - 10))
    for position in range(10):
        status = _S.FAILED if position < 5 else _S.IN_DOUBT
        house.change(campaign, position, send_status=status, due_at=None)
    faults: list[BaseException] = []
    done: Counter[str] = Counter()
    over = threading.Event()

    def send() -> None:
        try:
            while not over.is_set():
                house.send(campaign)
        except BaseException as fault:
            faults.append(fault)

    def decide(name: str) -> None:
        acts = {
            "retry": lambda: _resolve(house, campaign, Event.RETRY, None),
            "resend": lambda: _resolve(house, campaign, Event.RESEND, ["e5", "e6"]),
            "assume": lambda: _resolve(house, campaign, Event.ASSUME_SENT, ["e7", "e8", "e9"]),
            "cancel": lambda: _resolve(
                house, campaign, Event.CANCEL, [f"e{chance.randrange(10, PEOPLE)}"]
            ),
            "queue": lambda: house.queue(campaign, sample=First(3)),
            "pause": lambda: _pause_for_a_moment(house, campaign),
        }
        for _ in range(4):
            try:
                acts[name]()
                done[name] += 1
            except MailerError:
                pass  # too late, or nothing of the kind
            except BaseException as fault:
                faults.append(fault)
            time.sleep(chance.random() * 0.05)

    senders = [threading.Thread(target=send) for _ in range(2)]
    names = ("retry", "resend", "assume", "cancel", "queue", "pause")
    deciders = [threading.Thread(target=decide, args=(name,)) for name in names]
    for thread in senders + deciders:
        thread.start()
    for thread in deciders:
        thread.join()
    over.set()
    for thread in senders:
        thread.join()
    assert faults == []
    assert min(done[name] for name in ("retry", "resend", "assume", "queue")) >= 1
    # What is left, and what was stopped and is queued again, goes too; then all have it but those
    # of whom somebody said that they had it.
    house.queue(campaign)
    house.send(campaign)
    assert set(house.statuses(campaign)) == {"sent"}
    unsent = {f"p{n}@example.org" for n in (7, 8, 9)}
    assert recipients(smtp_server) == sorted(set(people(PEOPLE)) - unsent)
    with house.sessions() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence)).all()
        version = session.scalars(select(CampaignVersion)).one()
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    assert version.workflow_state.value == "completed"


def test_many_are_stopped_in_a_few_statements(house: House) -> None:
    counts = []
    for number in (3, 60):
        document = letter(25, number)
        document["campaign"]["id"] = f"cards-{number}"
        campaign = house.build(document).campaign_id
        counts.append(_statements(house, campaign))
    assert counts[0] == counts[1]


def _statements(house: House, campaign: UUID) -> int:
    said: list[str] = []
    engine = house.sessions.kw["bind"]

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        house.queue(campaign, sample=First(2))
        house.queue(campaign)
        with house.sessions() as session:
            cancel_campaign(session, house.actor, campaign, reason="", now=house.clock.now())
            session.commit()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return len(said)
