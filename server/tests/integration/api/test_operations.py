"""Long work as the API shows it: lists, one, its events, and an end to it."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.access.keys import hash_key
from app.api.v1 import operations
from app.db.models import ApiKey
from tests.integration.api.conftest import Api
from tests.integration.api.work import take, watched, work

V1 = "/api/v1"
ALL = f"{V1}/operations"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def begin(api: Api, folder: Path, kind: str = "build", name: str = "cards") -> dict[str, Any]:
    made = take(api, folder, campaign={"id": name, "name": name, "mode": "draft"})
    answer = api.acme.post(f"{V1}/campaigns/versions/{made.version_id}/{kind}")
    assert answer.status_code == 202, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


def test_operations_come_newest_first_in_pages(api: Api, tmp_path: Path) -> None:
    ids = [begin(api, tmp_path, name=f"c{number}")["id"] for number in range(5)]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.acme.get(ALL, params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        found += [each["id"] for each in page.json()["items"]]
        cursor = page.json()["next_cursor"]
    assert found == ids[::-1]
    oldest = api.acme.get(ALL, params={"sort": "created_at"}).json()["items"]
    assert [each["id"] for each in oldest] == ids


def test_operations_can_be_filtered(api: Api, tmp_path: Path) -> None:
    build = begin(api, tmp_path, "build", "a")
    validation = begin(api, tmp_path, "validate", "b")
    api.acme.post(f"{ALL}/{build['id']}/cancel")
    for params, wanted in (
        ({"kind": "validate"}, [validation]),
        ({"status": "cancelled"}, [build]),
        ({"status": "running"}, []),
        ({"campaign_id": build["campaign_id"]}, [build]),
        ({"version_id": validation["version_id"]}, [validation]),
        ({"version_id": validation["version_id"], "kind": "build"}, []),
    ):
        items = api.acme.get(ALL, params=params).json()["items"]
        assert [each["id"] for each in items] == [each["id"] for each in wanted], params
    assert api.acme.get(ALL, params={"kind": "other"}).status_code == 422


def test_cancelling_is_done_once_and_told_again(api: Api, tmp_path: Path) -> None:
    operation = begin(api, tmp_path)["id"]
    first = api.acme.post(f"{ALL}/{operation}/cancel")
    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert first.json()["cancel_requested"] is True
    again = api.acme.post(f"{ALL}/{operation}/cancel")
    assert (again.status_code, again.json()) == (200, first.json())
    audit = api.acme.get(f"{V1}/audit", params={"action": "operation.cancelled"}).json()
    entries = audit["items"] if isinstance(audit, dict) else audit
    assert [each["object_id"] for each in entries] == [operation]


def test_what_is_done_cannot_be_cancelled(api: Api, tmp_path: Path) -> None:
    operation = begin(api, tmp_path)["id"]
    work(api)
    answer = api.acme.post(f"{ALL}/{operation}/cancel")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    assert watched(api, operation)["status"] == "succeeded"


def test_who_only_reads_watches_and_cancels_nothing(api: Api, tmp_path: Path) -> None:
    operation = begin(api, tmp_path)["id"]
    reader = api.client("campaign:read")
    assert reader.get(f"{ALL}/{operation}").status_code == 200
    assert reader.post(f"{ALL}/{operation}/cancel").status_code == 403


def test_a_stream_has_a_heartbeat_and_an_end(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(operations, "_HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(operations, "LONGEST_SECONDS", 0.5)
    operation = begin(api, tmp_path)["id"]
    text = api.acme.get(f"{ALL}/{operation}/events").text
    assert text.count("event: progress\n") == 1
    assert text.count(": ping\n\n") >= 2
    assert "event: finished" not in text
    event_id = text.partition("id: ")[2].partition("\n")[0]
    again = api.acme.get(f"{ALL}/{operation}/events", headers={"Last-Event-ID": event_id})
    assert "event:" not in again.text
    assert ": ping" in again.text


@pytest.mark.parametrize("lost", ["key", "scope"])
def test_a_stream_ends_with_the_right_to_watch(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(operations, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(operations, "_ADMIT_SECONDS", 0.1)
    monkeypatch.setattr(operations, "LONGEST_SECONDS", 20)
    operation = begin(api, tmp_path)["id"]
    watcher = api.client("campaign:read")
    values = {"scopes": ["audit:read"]} if lost == "scope" else {"revoked_at": NOW}

    def take_away() -> None:
        with api.program.sessions() as session:
            digest = hash_key(watcher.headers["X-API-Key"])
            session.execute(update(ApiKey).where(ApiKey.key_hash == digest).values(values))
            session.commit()

    timer = threading.Timer(0.5, take_away)
    timer.start()
    begun = time.monotonic()
    text = watcher.get(f"{ALL}/{operation}/events").text
    timer.join()
    assert time.monotonic() - begun < 15
    assert "event: progress" in text
    assert "event: finished" not in text


def test_the_stream_of_what_is_over_tells_its_end_and_closes(api: Api, tmp_path: Path) -> None:
    operation = begin(api, tmp_path)["id"]
    work(api)
    answer = api.acme.get(f"{ALL}/{operation}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.splitlines()
    assert lines[0] == "event: finished"
    data = next(line for line in lines if line.startswith("data: "))
    assert json.loads(data.removeprefix("data: ")) == watched(api, operation)


def test_a_stream_of_nothing_is_404(api: Api) -> None:
    answer = api.acme.get(f"{ALL}/00000000-0000-0000-0000-000000000000/events")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
