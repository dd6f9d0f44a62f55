"""A campaign's live figures: as one answer, and as a stream of events."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.access.keys import hash_key
from app.api import stopping
from app.api.at_once import AtOnce
from app.api.v1 import live
from app.db.models import ApiKey, Job
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.delivery.live import LiveState
from app.mailer.ports import LimiterAway
from tests.integration.api.conftest import Api
from tests.integration.api.letters import Letters, build, by

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(live, "_STEP_SECONDS", 0.02)
    monkeypatch.setattr(live, "LONGEST_SECONDS", 20.0)
    monkeypatch.setattr("app.mailer.services.live.FRESH_SECONDS", 0.0)
    monkeypatch.setattr("app.mailer.services.live._REST", 0)


@pytest.fixture
def letters(api: Api, tmp_path: Path) -> Letters:
    """Three letters that are queued, to be sent by a server that nobody asks."""
    made = build(api, tmp_path, 3, **by(9))
    made.post("queue")
    return made


def events(client: TestClient, made: Letters, query: str = "", **headers: str) -> list[Any]:
    """All events of a stream, as pairs of name and data."""
    answer = client.get(f"{made.url}/live{query}", headers={**EVENTS, **headers})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["cache-control"] == "no-store"
    return list(parsed(answer.text))


def parsed(text: str) -> Iterator[tuple[str, Any]]:
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if lines:
            yield lines["event"], json.loads(lines["data"])


def settle(made: Letters, *entries: str, status: SendStatus = SendStatus.SENT) -> None:
    with made.api.program.sessions() as session:
        session.execute(
            update(Job)
            .where(Job.version_id == made.version_id, Job.entry_id.in_(entries))
            .values(send_status=status, sent_at=made.api.program.clock.now())
        )
        session.commit()


def later(seconds: float, what: Any, *args: Any) -> threading.Timer:
    timer = threading.Timer(seconds, what, args)
    timer.start()
    return timer


def test_the_figures_are_one_answer(letters: Letters) -> None:
    found = letters.get("live")
    assert (found["state"], found["remaining"], found["sent"]) == ("starting", 3, 0)
    assert found["newest"]["id"] == str(letters.version_id)
    assert found["is_over"] is False
    assert found["text"]
    entries = letters.entries()
    settle(letters, entries[0])
    settle(letters, entries[1], status=SendStatus.FAILED)
    found = letters.get("live")
    assert (found["sent"], found["failed"], found["remaining"]) == (1, 1, 1)
    assert [each["entry"] for each in found["errors"]] == [entries[1]]


def test_limits_that_are_away_are_told(letters: Letters, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_allowances: object) -> Any:
        raise LimiterAway("Redis does not answer.")

    monkeypatch.setattr(letters.api.program.limiter, "standing", away)
    found = letters.get("live")
    assert found["state"] == LiveState.LIMITS_AWAY
    assert found["text"].startswith("Redis does not answer.")
    assert found["no_end_reason"] == found["text"]


def test_a_stream_tells_each_change_and_ends_with_the_last(letters: Letters) -> None:
    entries = letters.entries()

    def send() -> None:
        for entry in entries:
            settle(letters, entry)
            time.sleep(0.4)

    timer = later(0.4, send)
    found = events(letters.api.acme, letters)
    timer.join()
    assert [name for name, _ in found[-2:]] == ["figures", "end"]
    assert {name for name, _ in found[:-1]} == {"figures"}
    assert [data["sent"] for _, data in found] == sorted(data["sent"] for _, data in found)
    assert {data["sent"] for _, data in found} == {0, 1, 2, 3}
    assert found[-1][1]["state"] == "done"


def test_what_is_over_is_told_once_and_ended_at_once(letters: Letters) -> None:
    settle(letters, *letters.entries())
    found = events(letters.api.acme, letters)
    assert [name for name, _ in found] == ["figures", "end"]


def test_who_follows_is_told_what_comes_later(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LONGEST_SECONDS", 2.0)
    entries = letters.entries()
    settle(letters, *entries, status=SendStatus.CANCELLED)
    timer = later(0.6, settle, letters, entries[0])
    found = events(letters.api.acme, letters, "?follow=true")
    timer.join()
    assert "end" not in {name for name, _ in found}
    assert found[-1][1]["sent"] == 1


def test_nothing_is_told_twice_but_that_the_stream_lives(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters.post("pause")
    monkeypatch.setattr(live, "_HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(live, "_AGAIN_SECONDS", 60.0)
    monkeypatch.setattr(live, "LONGEST_SECONDS", 1.0)
    answer = letters.api.acme.get(f"{letters.url}/live", headers=EVENTS)
    assert answer.text.count("event: figures") == 1
    assert answer.text.count(": ping\n\n") >= 2
    event_id = answer.text.partition("id: ")[2].partition("\n")[0]
    seen = {**EVENTS, "Last-Event-ID": event_id}
    assert "event:" not in letters.api.acme.get(f"{letters.url}/live", headers=seen).text
    # But after a while all the same: whoever waits sees that the figures are still these.
    monkeypatch.setattr(live, "_AGAIN_SECONDS", 0.2)
    assert letters.api.acme.get(f"{letters.url}/live", headers=EVENTS).text.count("figures\n") >= 3


@pytest.mark.parametrize("lost", ["key", "scope"])
def test_a_stream_ends_with_the_right_to_watch(
    letters: Letters, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(live, "_ADMIT_SECONDS", 0.1)
    watcher = letters.api.client("campaign:read")
    values = {"scopes": ["audit:read"]} if lost == "scope" else {"revoked_at": NOW}

    def take_away() -> None:
        with letters.api.program.sessions() as session:
            digest = hash_key(watcher.headers["X-API-Key"])
            session.execute(update(ApiKey).where(ApiKey.key_hash == digest).values(values))
            session.commit()

    timer, begun = later(0.5, take_away), time.monotonic()
    found = events(watcher, letters)
    timer.join()
    assert time.monotonic() - begun < 15
    assert found
    assert {name for name, _ in found} == {"figures"}


def test_a_stream_ends_with_the_service(letters: Letters) -> None:
    timer = later(0.5, stopping.stopping.set)
    try:
        begun = time.monotonic()
        assert events(letters.api.acme, letters, "?follow=true")
        assert time.monotonic() - begun < 10
    finally:
        timer.join()
        stopping.stopping.clear()


def test_a_stream_ends_with_its_campaign(letters: Letters) -> None:
    with letters.api.program.sessions() as session:
        session.execute(
            update(Job)
            .where(Job.version_id == letters.version_id)
            .values(send_status=SendStatus.UNQUEUED, queued_at=None)
        )
        session.commit()

    def delete() -> None:
        assert letters.api.acme.delete(letters.url).status_code == 204

    timer = later(0.5, delete)
    assert events(letters.api.acme, letters, "?follow=true")
    timer.join()


def test_a_tenant_has_so_many_streams_and_the_next_one_is_told(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = AtOnce(2, "streams of figures")
    monkeypatch.setattr(live, "_STREAMS", places)
    with places.place(letters.api.acme_id), places.place(letters.api.acme_id):
        answer = letters.api.acme.get(f"{letters.url}/live", headers=EVENTS)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "2 streams of figures" in answer.json()["detail"]
        assert letters.get("live")["remaining"] == 3
    settle(letters, *letters.entries())
    for _ in range(5):  # each gives its place back, those that are not begun as well
        assert events(letters.api.acme, letters)
        assert letters.api.rival.get(f"{letters.url}/live", headers=EVENTS).status_code == 404


def test_watchers_of_one_campaign_share_its_looks(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the service has them: within a second all get the same figures."""
    monkeypatch.setattr("app.mailer.services.live.FRESH_SECONDS", 0.9)
    monkeypatch.setattr(live, "LONGEST_SECONDS", 3.0)
    monkeypatch.setattr(live, "_LOOK_SECONDS", 1.0)
    looks: list[float] = []
    look = letters.api.program.live._look

    def counted(*args: Any) -> Any:
        looks.append(time.monotonic())
        return look(*args)

    monkeypatch.setattr(letters.api.program.live, "_look", counted)
    watchers = [threading.Thread(target=events, args=(letters.api.acme, letters)) for _ in range(8)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    assert 1 <= len(looks) <= 8
    assert all(after - before >= 0.85 for before, after in itertools.pairwise(looks))


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html, */*;q=0.8", ""])
def test_who_asks_for_no_stream_gets_one_answer(letters: Letters, accept: str) -> None:
    answer = letters.api.acme.get(f"{letters.url}/live", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/json"


def test_a_reader_may_watch_and_others_may_not(letters: Letters) -> None:
    assert letters.api.client("campaign:read").get(f"{letters.url}/live").status_code == 200
    for headers in ({}, EVENTS):
        other = letters.api.client("files:read")
        assert other.get(f"{letters.url}/live", headers=headers).status_code == 403
        assert letters.api.anonymous.get(f"{letters.url}/live", headers=headers).status_code == 401
        assert letters.api.rival.get(f"{letters.url}/live", headers=headers).status_code == 404
