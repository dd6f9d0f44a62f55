"""`queue_campaign`: samples, planned starts, and what it says about who sends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.desk import Desk, letter


@pytest.fixture
def queue(desk: Desk) -> list[str]:
    """The command for a campaign of one letter that is built."""
    desk.write(letter())
    imported = desk.run("import_campaign", "--campaign", "campaign.json", "--build", "--json")
    assert imported.code == 0, imported
    return ["queue_campaign", "--campaign-id", imported.json["campaign_id"]]


def test_a_random_sample_can_be_drawn_again(desk: Desk, queue: list[str]) -> None:
    drawn = desk.run(*queue, "--dry-run", "--random-sample", "5", "--json")
    assert drawn.code == 0, drawn
    seed = str(drawn.json["seed"])
    shown = desk.run(*queue, "--random-sample", "5", "--seed", seed)
    assert f"--seed {seed} draws the same ones." in shown.out
    assert "They may leave from" in shown.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--sample", "1", "--entry", "e1"], "Give one of --sample, --random-sample and --entry."),
        (["--sample", "1", "--seed", "3"], "A seed draws a random sample."),
        (["--entry", "nobody"], "nobody (version 1 has no such entry)"),
        (["--not-before", "tomorrow"], "--not-before tomorrow is no time."),
        (["--not-before", "2026-12-01T08:00"], "2026-12-01T08:00 has no time zone."),
        (["--not-before", "2020-12-01T08:00Z"], "is over"),
    ],
)
def test_what_cannot_be_asked_for(
    desk: Desk, queue: list[str], options: list[str], says: str
) -> None:
    refused = desk.run(*queue, *options)
    assert refused.code == 2
    assert says in " ".join(refused.err.split())
    assert desk.values("SELECT count(*) FROM jobs WHERE send_status = 'queued'") == [0]


def test_a_planned_start_says_what_becomes_of_it(desk: Desk, queue: list[str]) -> None:
    moment = (datetime.now(UTC) + timedelta(days=1)).replace(second=0, microsecond=0)
    planned = desk.run(*queue, "--not-before", moment.isoformat())
    assert planned.code == 0, planned
    assert f"planned to leave from {moment:%Y-%m-%d %H:%M} UTC on" in planned.out
    assert "A start missed by an hour waits for you." in planned.out


@pytest.mark.parametrize(
    ("settings", "options", "says"),
    [
        ({}, [], "The service sends them while it runs; without it, run send_queued_jobs."),
        ({"DELIVERY_WORKER": "external"}, [], "Run send_queued_jobs."),
        (
            {"REDIS_URL": "redis://127.0.0.1:1/0"},
            [],
            "The workers send them; where none runs, run send_queued_jobs. No worker could be told",
        ),
        (
            {"REDIS_URL": "redis://127.0.0.1:1/0"},
            ["--no-celery"],
            "Run send_queued_jobs; workers that run find them, too.",
        ),
    ],
)
def test_it_says_who_sends(
    desk: Desk, queue: list[str], settings: dict[str, str], options: list[str], says: str
) -> None:
    queued = desk.run(*queue, *options, **settings)
    assert queued.code == 0, queued
    assert says in " ".join(queued.out.split())
    assert ("No worker could be told" in queued.out) == ("No worker" in says)
