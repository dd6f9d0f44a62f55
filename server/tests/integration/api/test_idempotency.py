"""A POST with an Idempotency-Key is done once, and answered as often as it comes."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from app.db.models import IdempotencyKey, Operation
from app.mailer.adapters.secret_box import AesSecretBox
from tests.integration.api.conftest import Api
from tests.integration.api.work import take

V1 = "/api/v1"


@pytest.fixture
def build(api: Api, tmp_path: Path) -> str:
    """Where a build is asked for: what it makes is an operation."""
    return f"{V1}/campaigns/versions/{take(api, tmp_path).version_id}/build"


@pytest.fixture
def trial(api: Api, tmp_path: Path) -> str:
    """Where a test letter is asked for: a second one is as good as the first."""
    made = take(api, tmp_path)
    return f"{V1}/campaigns/{made.campaign_id}/versions/{made.version_id}/test-message"


TO = {"to": "tess@example.org"}


def test_the_same_request_again_gets_the_same_answer(api: Api, build: str) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = api.acme.post(build, headers=headers)
    assert first.status_code == 202
    assert "idempotent-replayed" not in first.headers
    again = api.acme.post(build, headers=headers)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert _operations(api) == 1


def test_without_a_key_it_is_done_again(api: Api, trial: str) -> None:
    assert api.acme.post(trial, json=TO).json()["id"] != api.acme.post(trial, json=TO).json()["id"]


def test_another_body_or_path_under_the_same_key_is_422(api: Api, trial: str, build: str) -> None:
    headers = {"Idempotency-Key": "k-1"}
    assert api.acme.post(trial, json=TO, headers=headers).status_code == 202
    for url, body in ((trial, {"to": "bob@example.org"}), (build, TO)):
        answer = api.acme.post(url, json=body, headers=headers)
        assert answer.status_code == 422
        assert answer.json()["type"] == "/problems/idempotency-key-reused"
    assert _operations(api) == 1


def test_an_error_is_an_answer_too(api: Api, build: str) -> None:
    assert api.acme.post(build).status_code == 202
    headers = {"Idempotency-Key": "k-1"}
    refused = api.acme.post(build, headers=headers)
    assert refused.status_code == 409
    again = api.acme.post(build, headers=headers)
    assert (again.status_code, again.content) == (409, refused.content)
    assert again.headers["content-type"] == "application/problem+json"


def test_a_key_is_its_persons_own(api: Api, trial: str) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = api.acme.post(trial, json=TO, headers=headers)
    other = api.client("campaign:send").post(trial, json=TO, headers=headers)
    assert other.status_code == 202
    assert other.json()["id"] != first.json()["id"]
    assert api.rival.post(trial, json=TO, headers=headers).status_code == 404


def test_who_may_not_ask_is_not_answered_from_what_is_kept(api: Api, trial: str) -> None:
    headers = {"Idempotency-Key": "k-1"}
    assert api.acme.post(trial, json=TO, headers=headers).status_code == 202
    assert api.anonymous.post(trial, json=TO, headers=headers).status_code == 401
    assert api.client("audit:read").post(trial, json=TO, headers=headers).status_code == 403
    assert _keys(api) == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "two words", "k\u00e9y", "tab\t"])
def test_a_key_that_is_none_is_422(api: Api, trial: str, key: str) -> None:
    answer = api.acme.post(trial, json=TO, headers={"Idempotency-Key": key.encode("utf-8")})
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/idempotency-key"
    assert _operations(api) == 0


def test_of_many_at_once_one_is_done(api: Api, trial: str) -> None:
    gate = threading.Barrier(8)
    answers: list[tuple[int, str]] = []

    def ask() -> None:
        gate.wait()
        answer = api.acme.post(trial, json=TO, headers={"Idempotency-Key": "race"})
        answers.append((answer.status_code, answer.json().get("id", answer.json().get("type"))))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert _operations(api) == 1
    statuses = Counter(status for status, _ in answers)
    assert set(statuses) <= {202, 409}
    assert statuses[202] >= 1
    assert len({what for status, what in answers if status == 202}) == 1
    assert {what for status, what in answers if status == 409} <= {
        "/problems/idempotency-key-in-use"
    }


def test_one_under_way_is_409_and_after_a_minute_its_outcome_is_unknown(
    api: Api, trial: str
) -> None:
    headers = {"Idempotency-Key": "k-1"}
    assert api.acme.post(trial, json=TO, headers=headers).status_code == 202
    _change(api, answer=None)
    young = api.acme.post(trial, json=TO, headers=headers)
    assert young.status_code == 409
    assert young.json()["type"] == "/problems/idempotency-key-in-use"
    assert young.headers["retry-after"] == "1"
    _change(api, created_at=api.program.clock.now() - timedelta(minutes=2))
    old = api.acme.post(trial, json=TO, headers=headers)
    assert old.status_code == 409
    assert "not known" in old.json()["detail"]
    assert _operations(api) == 1


def test_after_a_day_the_key_is_free_again(api: Api, trial: str) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = api.acme.post(trial, json=TO, headers=headers).json()["id"]
    _change(api, created_at=api.program.clock.now() - timedelta(hours=25))
    again = api.acme.post(trial, json={"to": "bob@example.org"}, headers=headers)
    assert again.status_code == 202
    assert again.json()["id"] != first
    _change(api, created_at=api.program.clock.now() - timedelta(hours=25))
    worker = api.program.worker("w", shutdown := threading.Event())
    shutdown.set()
    worker._do_chores()
    assert _keys(api) == 0


def test_a_fault_keeps_nothing_so_that_it_can_be_repeated(
    api: Api, trial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Idempotency-Key": "k-1"}

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("x", {}, Exception("gone"))

    def break_down(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault")

    for failing, status in ((fail, 503), (break_down, 500)):
        with monkeypatch.context() as patch:
            patch.setattr("app.api.long_work.start_operation", failing)
            assert api.acme.post(trial, json=TO, headers=headers).status_code == status
        assert _keys(api) == 0
    assert api.acme.post(trial, json=TO, headers=headers).status_code == 202


def test_a_secret_that_is_shown_once_is_shown_again_to_its_key_alone(api: Api) -> None:
    headers = {"Idempotency-Key": "k-1"}
    body = {"name": "Robot", "scopes": ["campaign:read"]}
    first = api.acme.post(f"{V1}/admin/api-keys", json=body, headers=headers)
    assert first.status_code == 201, first.text
    again = api.acme.post(f"{V1}/admin/api-keys", json=body, headers=headers)
    assert again.json() == first.json()
    with api.program.reading() as session:
        answer = session.scalars(select(IdempotencyKey.answer)).one()
    assert answer is not None
    secrets = [each for each in first.json().values() if isinstance(each, str) and len(each) > 30]
    assert secrets
    assert not any(each.encode() in answer for each in secrets)


def test_an_answer_is_sealed_and_needs_its_key(api: Api, trial: str) -> None:
    headers = {"Idempotency-Key": "k-1"}
    api.acme.post(trial, json=TO, headers=headers)
    with api.program.reading() as session:
        answer = session.scalars(select(IdempotencyKey.answer)).one()
    assert answer is not None
    assert b"test_send" not in answer
    api.program.__dict__["box"] = AesSecretBox(b"n" * 32)
    lost = api.acme.post(trial, json=TO, headers=headers)
    assert lost.status_code == 409
    assert lost.json()["type"] == "/problems/idempotency-answer-lost"


def test_the_header_is_described_for_each_post_but_logins_and_uploads(api: Api) -> None:
    paths = api.anonymous.get("/openapi.json").json()["paths"]
    without = set()
    for path in paths.values():
        if (operation := path.get("post")) is not None:
            names = [each["name"] for each in operation.get("parameters", [])]
            if "Idempotency-Key" not in names:
                without.add(operation["operationId"])
    assert without <= {"login", "create_upload"}


def _operations(api: Api) -> int:
    with api.program.reading() as session:
        return session.scalar(select(func.count()).select_from(Operation)) or 0


def _keys(api: Api) -> int:
    with api.program.reading() as session:
        return session.scalar(select(func.count()).select_from(IdempotencyKey)) or 0


def _change(api: Api, **values: Any) -> None:
    with api.program.sessions() as session:
        session.execute(update(IdempotencyKey).values(**values))
        session.commit()
