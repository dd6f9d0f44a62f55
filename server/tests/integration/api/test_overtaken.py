"""Requests that somebody else overtakes: what they need is changed or deleted as they wait for it.

On Postgres alone: on SQLite a transaction that may write has the database to itself.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from httpx2 import Response
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from app.db.models import AuditEntry, Job, MailAccount
from app.db.repositories import files
from app.db.repositories.access import users
from app.mailer.domain.errors import Conflict
from app.mailer.services import build_version as building
from app.mailer.services.build_version import build_version, prepare_version, record_validation
from app.mailer.services.keep_campaign import archive_campaign, delete_campaign
from tests.integration.api.conftest import Api
from tests.integration.api.letters import V1, Letters, build, system
from tests.integration.api.work import work
from tests.integration.services.pipeline.desk import document, silent

TUS = {"Tus-Resumable": "1.0.0"}
PASSWORD = "Correct-horse-battery-9"


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
def letters(api: Api, tmp_path: Path) -> Letters:
    return build(api, tmp_path, 2)


def overtaken(
    api: Api, first: Callable[[Session], object], request: Callable[[], Response]
) -> Response:
    """The answer to a request that begins when `first` is done, and waits until it is committed."""
    answers: list[Response] = []
    with api.program.sessions() as session:
        first(session)
        session.flush()
        thread = threading.Thread(target=lambda: answers.append(request()))
        thread.start()
        with api.program.sessions() as watch:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            for _ in range(200):
                time.sleep(0.02)
                if not thread.is_alive() or watch.scalar(waiting):
                    break
                watch.rollback()
        session.commit()
    thread.join()
    (answer,) = answers
    return answer


def deleted(letters: Letters) -> Callable[[Session], None]:
    api = letters.api

    def act(session: Session) -> None:
        now = api.program.clock.now()
        delete_campaign(session, system(api), letters.campaign_id, now=now)

    return act


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "", None),
        ("PATCH", "", {"name": "x"}),
        ("POST", "/archive", None),
        ("POST", "/queue", {}),
        ("POST", "/pause", {}),
        ("PUT", "/versions/{version}", {"campaign_json": document(), "is_complete": True}),
        ("POST", "/versions/{version}/approve", {"reason": "read"}),
        (
            "POST",
            "/jobs/decisions",
            {"entry_ids": ["e0"], "decision": "exclude", "reason": "left"},
        ),
    ],
)
def test_what_was_deleted_meanwhile_is_not_found(
    letters: Letters, method: str, path: str, body: Any
) -> None:
    url = letters.url + path.format(version=letters.version_id)
    answer = overtaken(
        letters.api, deleted(letters), lambda: letters.api.acme.request(method, url, json=body)
    )
    assert answer.status_code == 404, answer.text


def test_an_import_of_a_campaign_that_is_deleted_makes_it_anew(letters: Letters) -> None:
    body = {"config": document()}
    answer = overtaken(
        letters.api,
        deleted(letters),
        lambda: letters.api.acme.post(f"{V1}/campaigns", json=body),
    )
    assert answer.status_code in (201, 409), answer.text


def test_no_version_is_imported_into_the_archive(letters: Letters) -> None:
    api = letters.api

    def archive(session: Session) -> None:
        now = api.program.clock.now()
        archive_campaign(session, system(api), letters.campaign_id, now=now)

    body = {"config": document()}
    answer = overtaken(api, archive, lambda: api.acme.post(f"{V1}/campaigns", json=body))
    assert answer.status_code == 409, answer.text
    assert letters.post("unarchive")["archived_at"] is None


def _upload(api: Api, data: bytes) -> tuple[str, Callable[[], Response]]:
    parts = {"path": "a.txt", "replace": "true"}
    metadata = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in parts.items())
    headers = {**TUS, "Upload-Length": str(len(data)), "Upload-Metadata": metadata}
    url = api.acme.post(f"{V1}/files/uploads", headers=headers).headers["Location"]
    content = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    return url, lambda: api.acme.patch(url, content=data, headers={**TUS, **content})


def test_a_file_that_is_deleted_while_it_is_replaced_is_there_again(api: Api) -> None:
    _upload(api, b"x")[1]()
    _url, send = _upload(api, b"yy")
    answer = overtaken(api, lambda s: files.delete_some(s, api.acme_id, folder=""), send)
    assert answer.status_code == 204, answer.text
    (file,) = api.acme.get(f"{V1}/files").json()["items"]
    assert (file["path"], file["size"]) == ("a.txt", 2)


def test_an_upload_is_deleted_once(api: Api) -> None:
    url, _send = _upload(api, b"x")
    upload_id = UUID(url.rsplit("/", 1)[-1])
    answer = overtaken(
        api,
        lambda session: files.delete_upload(session, api.acme_id, upload_id),
        lambda: api.acme.delete(url, headers=TUS),
    )
    assert answer.status_code == 404
    with api.program.reading() as session:
        done = session.scalars(select(AuditEntry.action)).all()
    assert "upload.deleted" not in done


def test_an_import_whose_account_is_deleted_makes_another(api: Api) -> None:
    smtp = {"host": "smtp.example.org", "port": 25, "username": "u", "password": "p"}
    body = {"config": document(server={"smtp": smtp})}
    assert api.acme.post(f"{V1}/campaigns", json=body).status_code == 201
    answer = overtaken(
        api,
        lambda session: session.execute(delete(MailAccount)),
        lambda: api.acme.post(f"{V1}/campaigns", json=body),
    )
    assert answer.status_code == 201, answer.text
    assert len(api.acme.get(f"{V1}/accounts").json()["items"]) == 1


def test_a_second_factor_is_removed_whole(api: Api) -> None:
    made = api.acme.post(
        f"{V1}/admin/users", json={"email": "ada@example.org", "password": PASSWORD}
    )
    user_id = UUID(made.json()["id"])

    def confirm(session: Session) -> None:
        user = users.lock_user(session, api.acme_id, user_id)
        assert user is not None
        user.totp_secret, user.totp_confirmed_at = b"sealed", api.program.clock.now()

    answer = overtaken(
        api, confirm, lambda: api.acme.post(f"{V1}/admin/users/{user_id}/totp/reset")
    )
    assert answer.status_code < 300, answer.text
    with api.program.sessions() as session:
        user = users.lock_user(session, api.acme_id, user_id)
        assert user is not None
        assert (user.totp_secret, user.totp_confirmed_at) == (None, None)


# ---------------------------------------------------------------- in the middle of a build


def _left(letters: Letters) -> int:
    with letters.api.program.reading() as session:
        own = Job.version_id == letters.version_id
        return session.scalar(select(func.count()).select_from(Job).where(own)) or 0


def _version(letters: Letters) -> Any:
    return letters.get(f"versions/{letters.version_id}")


def _build_asked_for(letters: Letters) -> str:
    """The operation, which nobody works on yet."""
    answer = letters.api.acme.post(f"{V1}/campaigns/versions/{letters.version_id}/build")
    return str(answer.json()["id"])


def _built_again(
    letters: Letters, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]
) -> None:
    """A build after whose first portion something else happens, and which therefore fails."""
    workshop = letters.api.program.workshop(silent)
    actor = system(letters.api)
    prepared = prepare_version(workshop, actor, letters.version_id)
    monkeypatch.setattr(
        building, "failpoint", lambda name: meanwhile() if name == "built_portion" else None
    )
    with pytest.raises(Conflict):
        build_version(workshop, actor, letters.version_id, prepared)


def test_letters_of_a_text_that_was_changed_meanwhile_go(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save() -> None:
        body = {"campaign_json": document(template={"subject": "z", "text": "t"})}
        url = f"{letters.url}/versions/{letters.version_id}"
        answer = letters.api.acme.put(url, json=body, headers={"If-Match": "*"})
        assert answer.status_code == 200, answer.text

    _built_again(letters, monkeypatch, save)
    assert (_version(letters)["workflow_state"], _left(letters)) == ("editing", 0)
    assert letters.get("summary")["cards"]["total"] == 0


def test_what_is_archived_in_the_middle_of_a_build_has_no_letters(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    _built_again(letters, monkeypatch, lambda: letters.post("archive"))
    letters.post("unarchive")
    assert (_version(letters)["workflow_state"], _left(letters)) == ("editing", 0)


def test_a_build_that_is_cancelled_leaves_no_version_that_says_it_is_built(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = letters.api
    operation = _build_asked_for(letters)
    monkeypatch.setattr(
        building,
        "failpoint",
        lambda _name: api.acme.post(f"{V1}/operations/{operation}/cancel"),
    )
    work(api)
    assert api.acme.get(f"{V1}/operations/{operation}").json()["status"] == "cancelled"
    version = _version(letters)
    assert (version["workflow_state"], version["built_at"], _left(letters)) == ("editing", None, 0)


def test_a_worker_outlives_a_campaign_that_is_deleted(
    letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = letters.api
    operation = _build_asked_for(letters)

    def gone(_name: str) -> None:
        api.acme.post(f"{V1}/operations/{operation}/cancel")
        assert api.acme.delete(letters.url).status_code == 204

    monkeypatch.setattr(building, "failpoint", gone)
    assert work(api) == 1
    assert api.acme.get(f"{V1}/operations/{operation}").status_code in (200, 404)


def test_what_was_checked_is_not_kept_for_another_text(letters: Letters, tmp_path: Path) -> None:
    api = letters.api
    made = api.acme.post(f"{V1}/campaigns", json={"config": document()}).json()["version"]
    version_id = UUID(made["id"])
    workshop = api.program.workshop(silent)
    prepared = prepare_version(workshop, system(api), version_id)
    body = {"campaign_json": document(template={"subject": "z", "text": "t"})}
    url = f"{letters.url}/versions/{version_id}"
    assert api.acme.put(url, json=body, headers={"If-Match": "*"}).status_code == 200
    with pytest.raises(Conflict, match="changed this version"):
        record_validation(workshop, system(api), version_id, prepared)
    assert api.acme.get(url).json()["validated_at"] is None
