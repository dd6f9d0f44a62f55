"""Imports of large files: taken as they come, sealed, and done by a worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.api import large_bodies
from app.api.at_once import AtOnce
from app.db.models import CampaignVersion, Operation
from tests.integration.api.conftest import Api
from tests.integration.api.work import watched, work
from tests.integration.services.pipeline.desk import document, entry

V1 = "/api/v1"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _soon_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_bodies, "SMALL", 2000)
    monkeypatch.setattr(large_bodies, "_STAGED_AT_ONCE", 1000)


def large(**parts: Any) -> dict[str, Any]:
    return {"config": document(entries={"inline": [entry(each) for each in range(100)]}, **parts)}


def test_a_large_campaign_is_imported_by_a_worker(api: Api, tmp_path: Path) -> None:
    answer = api.acme.post(f"{V1}/campaigns", json=large())
    assert answer.status_code == 202, answer.text
    begun = answer.json()
    assert (begun["kind"], begun["campaign_id"]) == ("import", None)
    assert work(api) == 1
    ended = watched(api, begun["id"])
    assert ended["status"] == "succeeded", ended
    version = ended["result"]["version_id"]
    assert ended["version_id"] == version
    shown = api.acme.get(f"{V1}/campaigns/{ended['campaign_id']}/versions/{version}")
    assert shown.status_code == 200
    with api.program.reading() as session:
        assert session.scalars(select(CampaignVersion.is_confined)).all() == [True]
    assert _files(tmp_path) == []


def test_its_secrets_wait_sealed(api: Api, tmp_path: Path) -> None:
    smtp = {"host": "127.0.0.1", "port": 2525, "security": "plain", "password": "hunter2-canary"}
    answer = api.acme.post(f"{V1}/campaigns", json=large(server={"smtp": smtp | {"username": "u"}}))
    assert answer.status_code == 202
    waiting = _files(tmp_path)
    assert len(waiting) > 1
    assert all(b"canary" not in each.read_bytes() for each in waiting)
    assert "canary" not in json.dumps(watched(api, answer.json()["id"]))
    work(api)
    assert watched(api, answer.json()["id"])["status"] == "succeeded"


def test_a_small_campaign_is_imported_at_once(api: Api) -> None:
    answer = api.acme.post(f"{V1}/campaigns", json={"config": document()})
    assert answer.status_code == 201, answer.text
    assert answer.headers["etag"]
    assert answer.headers["location"].endswith(answer.json()["campaign"]["id"])


def test_a_large_body_may_be_repeated_with_its_key(api: Api) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = api.acme.post(f"{V1}/campaigns", json=large(), headers=headers)
    again = api.acme.post(f"{V1}/campaigns", json=large(), headers=headers)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    other = large(template={"subject": "Another", "text": "Hi"})
    assert api.acme.post(f"{V1}/campaigns", json=other, headers=headers).status_code == 422
    with api.program.reading() as session:
        assert session.scalar(select(func.count()).select_from(Operation)) == 1


def test_few_may_wait(api: Api, tmp_path: Path) -> None:
    for _ in range(8):
        assert api.acme.post(f"{V1}/campaigns", json=large()).status_code == 202
    room = sum(each.stat().st_size for each in _files(tmp_path))
    for _ in range(2):
        answer = api.acme.post(f"{V1}/campaigns", json=large(), headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy")
        assert answer.headers["retry-after"] == "5"
    assert sum(each.stat().st_size for each in _files(tmp_path)) == room
    small = api.acme.post(f"{V1}/campaigns", json={"config": document()})
    assert small.status_code == 201
    assert api.rival.post(f"{V1}/campaigns", json=large()).status_code == 202
    work(api)
    again = api.acme.post(f"{V1}/campaigns", json=large(), headers={"Idempotency-Key": "k"})
    assert again.status_code == 202


def test_few_may_come_at_once(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_bodies, "_COMING", AtOnce(0, "imports"))
    answer = api.acme.post(f"{V1}/campaigns", json=large())
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy")
    assert _files(tmp_path) == []


def test_what_is_not_declared_as_json_is_415(api: Api) -> None:
    body = json.dumps({"config": document()})
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = api.acme.post(f"{V1}/campaigns", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert answer.json()["type"] == "/problems/content-type"


@pytest.mark.parametrize("body", ["", "{", "[" * 1900, "null", "[]", '{"config": 3}', '{"x": 1}'])
def test_what_is_no_import_is_422(api: Api, body: str) -> None:
    answer = api.acme.post(f"{V1}/campaigns", content=body, headers=JSON)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/campaigns", "/campaigns/new"])
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_413(
    make_api: Callable[..., Api], tmp_path: Path, path: str, declared: bool
) -> None:
    api = make_api(request_max_bytes=10_000)
    body = json.dumps({"name": "x" * 20_000}).encode()
    chunks = [body[at : at + 3000] for at in range(0, len(body), 3000)]
    content: Any = body if declared else iter(chunks)
    answer = api.acme.post(f"{V1}{path}", content=content, headers=JSON)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/too-large"
    assert _files(tmp_path) == []


def _files(tmp_path: Path) -> list[Path]:
    """What waits in the store."""
    blobs = tmp_path / "blobs"
    return [each for each in blobs.rglob("*") if each.is_file()] if blobs.exists() else []
