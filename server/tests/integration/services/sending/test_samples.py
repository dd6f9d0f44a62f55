"""Some of a campaign's letters first, the rest later; nobody twice, nobody left out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.db.models import AuditEntry, CampaignVersion
from app.db.repositories import queueing
from app.mailer.domain.delivery.job import Decision, SendStatus
from app.mailer.domain.delivery.review import Refused
from app.mailer.domain.delivery.sample import Chosen, First, Random, Sample, lots, rank
from app.mailer.domain.errors import MailerError
from app.mailer.domain.issues import EntryState
from tests.integration.services.sending.house import House, letter, people, recipients
from tests.servers.smtp import SmtpServer


def _queued(house: House, campaign: UUID) -> list[str]:
    return [job.entry_id for job in house.jobs(campaign) if job.send_status is SendStatus.QUEUED]


def test_the_first_ones_go_and_the_rest_later(house: House, smtp_server: SmtpServer) -> None:
    campaign = house.build(letter(smtp_server.port, 6)).campaign_id
    house.change(campaign, 1, build_status=EntryState.BLOCKED)
    rehearsed = house.queue(campaign, sample=First(2), dry_run=True)
    assert (rehearsed.queued, rehearsed.not_in_sample, rehearsed.blocked) == (2, 3, 1)
    assert _queued(house, campaign) == []
    sample = house.queue(campaign, sample=First(2))
    assert (sample.queued, sample.not_in_sample) == (2, 3)
    # In order, of what may go.
    assert _queued(house, campaign) == ["e0", "e2"]
    house.send(campaign)
    # The next two, and not the same ones again.
    house.queue(campaign, sample=First(2))
    assert _queued(house, campaign) == ["e3", "e4"]
    rest = house.queue(campaign)
    assert (rest.queued, rest.already_queued, rest.not_in_sample) == (1, 4, 0)
    house.send(campaign)
    assert recipients(smtp_server) == sorted(set(people(6)) - {"p1@example.org"})


def test_chance_draws_what_its_seed_says_in_every_database(house: House) -> None:
    made = house.build(letter(25, 30))
    campaign = made.campaign_id
    drawn = lots(made.version_id, 4711)
    expected = sorted(range(30), key=lambda position: rank(position, drawn))[:7]
    rehearsed = house.queue(campaign, sample=Random(7, 4711), dry_run=True)
    assert (rehearsed.queued, rehearsed.seed, rehearsed.not_in_sample) == (7, 4711, 23)
    house.queue(campaign, sample=Random(7, 4711))
    assert _queued(house, campaign) == [f"e{position}" for position in sorted(expected)]


def test_a_seed_that_nobody_gave_is_made_and_told(sqlite_house: House) -> None:
    house = sqlite_house
    campaign = house.build(letter(25, 30)).campaign_id
    seeds = {house.queue(campaign, sample=Random(3), dry_run=True).seed for _ in range(5)}
    assert len(seeds) > 1
    queued = house.queue(campaign, sample=Random(3))
    assert queued.seed is not None
    with house.sessions() as session:
        (entry,) = session.query(AuditEntry).where(AuditEntry.action == "campaign.queued")
    assert entry.details["sample"] == {"random": 3, "seed": queued.seed}


def test_a_dry_run_and_the_real_one_choose_the_same(house: House) -> None:
    campaign = house.build(letter(25, 20)).campaign_id
    rehearsed = house.queue(campaign, sample=Random(5), dry_run=True)
    with house.sessions() as session:
        (version,) = session.query(CampaignVersion)
        gate = queueing.Gate(
            house.actor.tenant_id, campaign, version.id, True, True, Random(5, rehearsed.seed)
        )
        would = {row.entry_id for row in session.query(queueing.Job).where(*queueing.passes(gate))}
    house.queue(campaign, sample=Random(5, rehearsed.seed))
    assert set(_queued(house, campaign)) == would


def test_chosen_entries_go_alone(house: House, smtp_server: SmtpServer) -> None:
    campaign = house.build(letter(smtp_server.port, 5)).campaign_id
    sample = house.queue(campaign, sample=Chosen(("e3", "e1", "e3")))
    assert (sample.queued, sample.not_in_sample) == (2, 3)
    house.send(campaign)
    assert recipients(smtp_server) == ["p1@example.org", "p3@example.org"]
    assert house.queue(campaign).queued == 3


def test_each_chosen_entry_that_cannot_go_is_named_with_its_reason(house: House) -> None:
    campaign = house.build(letter(25, 6)).campaign_id
    house.change(campaign, 1, build_status=EntryState.BLOCKED)
    house.change(campaign, 2, build_status=EntryState.NEEDS_REVIEW)
    house.change(campaign, 3, decision=Decision.EXCLUDE)
    house.change(campaign, 4, send_status=SendStatus.SENT)
    chosen: Sample = Chosen(("e0", "e1", "e2", "e3", "e4", "nobody"))
    with pytest.raises(Refused) as refused:
        house.queue(campaign, sample=chosen)
    assert refused.value.refused == {
        "e1": "it is blocked",
        "e2": "it needs a decision",
        "e3": "somebody excluded it",
        "e4": "it is sent already",
        "nobody": "version 1 has no such entry",
    }
    assert _queued(house, campaign) == []
    rehearsed = house.queue(campaign, sample=chosen, dry_run=True)
    assert rehearsed.queued == 1
    (objection,) = rehearsed.would_be_refused
    assert objection.detail == refused.value.message


def test_who_got_an_earlier_version_is_in_no_sample(house: House, smtp_server: SmtpServer) -> None:
    campaign = house.build(letter(smtp_server.port, 4)).campaign_id
    house.queue(campaign, sample=First(2))
    house.send(campaign)
    house.build(letter(smtp_server.port, 4))
    with pytest.raises(Refused, match="another version of this campaign sent it"):
        house.queue(campaign, sample=Chosen(("e0",)))
    second = house.queue(campaign, sample=First(1))
    assert (second.queued, second.already_sent, second.not_in_sample) == (1, 2, 1)
    house.queue(campaign)
    house.send(campaign)
    assert recipients(smtp_server) == people(4)
    # And where somebody says so, to them as well.
    assert house.queue(campaign, sample=Chosen(("e0",)), again=True).queued == 1


def test_a_sample_that_cannot_be_is_refused(sqlite_house: House) -> None:
    campaign = sqlite_house.build(letter(25)).campaign_id
    samples: list[Any] = [First(0), Random(0), Chosen(())]
    for sample in samples:
        with pytest.raises(MailerError):
            sqlite_house.queue(campaign, sample=sample, dry_run=True)


def test_a_test_of_a_sample_reaches_the_testers_alone_and_as_often_as_wanted(
    house: House, smtp_server: SmtpServer
) -> None:
    testers = ["tester@example.org", "second@example.org"]
    document = letter(smtp_server.port, 5, delivery={"test_recipients": testers})
    document["campaign"]["mode"] = "test"
    document["recipients"]["cc"] = ["boss@example.org"]
    document["recipients"]["bcc"] = ["archive@example.org"]
    samples: list[Sample] = [First(2), Random(1, 3), Chosen(("e4",))]
    for sample in samples:
        campaign = house.build(document).campaign_id
        house.queue(campaign, sample=sample)
        house.send(campaign)
    assert recipients(smtp_server) == sorted(testers * 4)
    document["campaign"]["mode"] = "send"
    assert house.queue(house.build(document).campaign_id).queued == 5
