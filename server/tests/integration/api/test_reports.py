from __future__ import annotations

import asyncio
import csv
import io
import json
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.types import Message

from app.access.scopes import Scope
from app.api import streams
from app.api.v1 import reports
from app.db.models import AuditEntry, CampaignVersion
from app.db.repositories import campaigns, jobs, versions
from app.db.repositories.jobs import NewJob
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.errors import StorageFailed
from app.mailer.domain.issues import EntryState
from app.mailer.domain.report import JOB_COLUMNS
from tests.integration.api.conftest import Api

CONFIG: dict[str, Any] = {
    "version": "1.0",
    "campaign": {"id": "spring", "name": "Spring", "mode": "send"},
    "server": {"smtp": {"host": "127.0.0.1", "port": 1, "security": "plain"}},
    "recipients": {"from": "Office <office@example.org>"},
    "template": {"subject": "Hello", "text": "Hello"},
    "entries": {"inline": [{"id": f"e{n}", "to": [f"p{n}@example.org"]} for n in range(3)]},
}


@dataclass(frozen=True)
class Filed:
    """A campaign of two versions, of three jobs each: the first sent in part."""

    api: Api
    campaign_id: UUID
    first: UUID
    newest: UUID

    def path(self, rest: str) -> str:
        return f"/api/v1/campaigns/{self.campaign_id}/{rest}"

    def get(self, rest: str, **query: Any) -> Any:
        answer = self.api.acme.get(self.path(rest), params=query)
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture
def filed(api: Api) -> Filed:
    now = api.program.clock.now()
    found = []
    with api.program.sessions() as session:
        campaign = campaigns.put(
            session, api.acme_id, external_id="spring", name="Spring", description="", now=now
        )
        for number in range(2):
            version = CampaignVersion(
                campaign_id=campaign.id,
                mode="send",
                config=CONFIG,
                config_sha256="0" * 64,
                created_at=now,
                created_by="Ada",
                built_at=now,
            )
            versions.add(session, api.acme_id, version)
            new = [
                NewJob(
                    id=uuid4(),
                    position=each,
                    entry_id=f"e{each}",
                    pointer=f"/entries/inline/{each}",
                    build_status=EntryState.READY,
                    recipients=(f"p{each}@example.org",),
                    to_display=f"p{each}@example.org",
                    subject="=1+1",
                    size=100,
                    sha256="a" * 64,
                )
                for each in range(3)
            ]
            jobs.add_all(session, api.acme_id, campaign.id, version.id, new)
            if number == 0:
                jobs.get(session, api.acme_id, new[0].id).send_status = SendStatus.FAILED
            found.append(version.id)
        session.commit()
    return Filed(api, campaign.id, found[0], found[1])


def test_the_summary_counts(filed: Filed) -> None:
    newest = filed.get("summary").json()
    assert newest["campaign"]["version_id"] == str(filed.newest)
    assert newest["cards"]["total"] == newest["cards"]["ready_to_send"] == 3
    first = filed.get("summary", version_id=filed.first).json()
    assert (first["send"]["failed"], first["send"]["unqueued"]) == (1, 2)
    assert "jobs" not in first


def test_the_report_has_the_summary_and_more(filed: Filed) -> None:
    report = filed.get("report", version_id=filed.first).json()
    summary = filed.get("summary", version_id=filed.first).json()
    for name in summary.keys() - {"generated_at"}:
        assert report[name] == summary[name]
    assert [each["number"] for each in report["versions"]] == [2, 1]
    assert [each["entry"] for each in report["recent_failures"]] == ["e0"]
    assert "jobs" not in report


def test_the_report_with_its_jobs(filed: Filed) -> None:
    answer = filed.get("report", include_jobs=True)
    assert answer.headers["content-type"] == "application/json"
    report = answer.json()
    assert [each["entry_id"] for each in report["jobs"]] == ["e0", "e1", "e2"]
    assert report["jobs"][0].keys() == set(JOB_COLUMNS)
    assert report.keys() == {*filed.get("report").json(), "jobs"}


def test_the_table_of_jobs(filed: Filed) -> None:
    answer = filed.get("report/jobs.csv", version_id=filed.first)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert tuple(header) == JOB_COLUMNS
    assert [row[0] for row in rows] == ["e0", "e1", "e2"]
    assert rows[0][3] == "'=1+1"
    with_mark = filed.get("report/jobs.csv", bom=True).content
    assert with_mark.startswith(b"\xef\xbb\xbfentry_id,")


def test_the_rest(filed: Filed) -> None:
    whole = filed.get("report/rest.csv", version_id=filed.first, bom=True)
    assert whole.content.startswith(b"\xef\xbb\xbf")
    header, *rows = csv.reader(io.StringIO(whole.text.removeprefix("\ufeff")))
    assert header == ["id", "to"]
    assert [row[0] for row in rows] == ["e0", "e1", "e2"]
    only = filed.get("report/rest.csv", version_id=filed.first, include="failed", guard=False)
    assert only.text == "id,to\r\ne0,p0@example.org\r\n"
    wrong = filed.api.acme.get(filed.path("report/rest.csv"), params={"include": "in_doubt"})
    assert wrong.status_code == 422


BODY = {
    "to": ["recipient@example.org"],
    "include_jobs": False,
    "attach_jobs_csv": True,
    "attach_report_json": False,
    "dry_run": True,
}


def test_the_report_is_mailed_with_the_body_of_the_readme(filed: Filed) -> None:
    answer = filed.api.acme.post(filed.path("report/email"), json=BODY)
    assert answer.status_code == 200, answer.text
    emailed = answer.json()
    assert emailed["dry_run"]
    assert emailed["to"] == ["recipient@example.org"]
    assert emailed["attachments"] == ["spring-v2-jobs.csv"]
    with filed.api.program.sessions() as session:
        actions = session.scalars(select(AuditEntry.action)).all()
    assert actions == ["report.email_dry_run"]


def test_what_is_wrong_with_a_mail_is_said_at_once(filed: Filed) -> None:
    answer = filed.api.acme.post(filed.path("report/email"), json={**BODY, "to": ["a", "b"]})
    assert answer.status_code == 422
    assert answer.json()["detail"].count("is not") >= 2 or "b" in answer.json()["detail"]
    for body in ({**BODY, "to": []}, {**BODY, "more": 1}, {**BODY, "to": ["x" * 500]}, {}):
        assert filed.api.acme.post(filed.path("report/email"), json=body).status_code == 422


def test_the_evidence(filed: Filed) -> None:
    answer = filed.get(f"versions/{filed.first}/evidence.zip", messages=True)
    assert answer.headers["content-type"] == "application/zip"
    assert 'filename="spring-v1-evidence.zip"' in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert file.testzip() is None
        assert file.namelist()[-1] == "manifest.json"
        manifest = json.loads(file.read("manifest.json"))
    assert manifest["version_id"] == str(filed.first)
    api, path = filed.api, filed.path(f"versions/{filed.first}/evidence.zip")
    auditor = api.client(Scope.AUDIT_READ)
    assert auditor.get(path).status_code == 200
    assert auditor.get(path, params={"messages": True}).status_code == 403
    assert api.client(Scope.CAMPAIGN_READ).get(path).status_code == 403
    assert api.rival.get(path).status_code == 404
    assert api.acme.get(filed.path(f"versions/{uuid4()}/evidence.zip")).status_code == 404
    assert api.acme.get("/api/v1/audit/verify").json()["proved"]


PATHS = ("summary", "report", "report?include_jobs=true", "report/jobs.csv", "report/rest.csv")


def test_nobody_else_sees_it(filed: Filed) -> None:
    api = filed.api
    nothing = f"/api/v1/campaigns/{uuid4()}/"
    for path in PATHS:
        assert api.rival.get(filed.path(path)).status_code == 404, path
        assert api.acme.get(nothing + path).status_code == 404, path
        assert api.client(Scope.AUDIT_READ).get(filed.path(path)).status_code == 403, path
        assert api.client(Scope.CAMPAIGN_READ).get(filed.path(path)).status_code == 200, path
    assert api.rival.post(filed.path("report/email"), json=BODY).status_code == 404
    reader = api.client(Scope.CAMPAIGN_READ)
    assert reader.post(filed.path("report/email"), json=BODY).status_code == 403
    sender = api.client(Scope.REPORTS_SEND)
    assert sender.post(filed.path("report/email"), json=BODY).status_code == 200
    other = filed.api.acme.get(filed.path("summary"), params={"version_id": str(uuid4())})
    assert other.status_code == 404
    assert json.loads(other.content)["type"] == "/problems/not-found"


# ---------------------------------------------------------------- whoever does not read

LARGE = ("report?include_jobs=true", "report/jobs.csv", "report/rest.csv", "evidence")


@pytest.mark.parametrize("path", LARGE)
def test_no_connection_is_held_while_somebody_reads(filed: Filed, path: str) -> None:
    held: list[int] = []

    async def look(_message: Message) -> None:
        held.append(connections(filed))

    asyncio.run(ask(filed, path, look))
    assert len(held) >= 2
    assert set(held) == {0}


def test_a_tenant_gets_few_at_a_time(filed: Filed) -> None:
    async def try_out() -> None:
        go_on = asyncio.Event()
        waiting = [0]

        async def wait(_message: Message) -> None:
            waiting[0] += 1
            await go_on.wait()

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(ask(filed, "report/jobs.csv", wait))
            while waiting[0] < 4:
                await asyncio.sleep(0.01)
            for path in LARGE:
                status, headers = await ask(filed, path)
                assert (status, headers[b"retry-after"]) == (503, b"5"), path
            assert connections(filed) == 0
            # Others are served, here with an answer of their own.
            rival = filed.api.make_key(filed.api.rival_id, "*")
            assert (await ask(filed, "report/jobs.csv", key=rival))[0] == 404
            go_on.set()
        assert (await ask(filed, "report/jobs.csv"))[0] == 200

    asyncio.run(try_out())


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
def test_nobody_is_waited_for_without_end(
    filed: Filed, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.setattr(streams, "_PATIENCE_SECONDS", 0.05)

    async def never(_message: Message) -> None:
        await asyncio.Event().wait()

    async def try_out() -> None:
        for _ in range(5):
            assert (await ask(filed, "report/jobs.csv", never, spec=spec))[0] == 200
        status, headers = await ask(filed, "report/jobs.csv")
        assert (status, b"retry-after" in headers) == (200, False)

    asyncio.run(try_out())


def test_what_goes_wrong_in_the_middle_is_an_answer(
    filed: Filed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_rows: object, bom: bool) -> Iterator[str]:
        yield "x" * 200_000
        raise StorageFailed("The disk is away.")

    monkeypatch.setattr(reports, "jobs_csv", broken)
    for _ in range(5):
        answer = filed.api.acme.get(filed.path("report/jobs.csv"))
        assert answer.json()["type"] == "/problems/file-store"


def test_a_large_one_comes_whole(filed: Filed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_IN_MEMORY", 10)
    monkeypatch.setattr(streams, "_PIECE", 100)
    answer = filed.get("report/jobs.csv")
    assert len(list(csv.reader(io.StringIO(answer.text)))) == 4
    assert answer.headers["content-length"] == str(len(answer.content))


def test_without_a_free_connection_it_is_503(filed: Filed, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_given: object, **_named: object) -> None:
        raise NoConnection("QueuePool limit of size 10 overflow 20 reached")

    monkeypatch.setattr(reports, "campaign_summary", none_left)
    answer = filed.api.acme.get(filed.path("summary"))
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/database"
    assert answer.headers["retry-after"] == "5"


def connections(filed: Filed) -> int:
    """How many are in use."""
    return int(filed.api.program.engine.pool.checkedout())  # type: ignore[attr-defined]


async def ask(
    filed: Filed,
    path: str,
    on_body: Callable[[Message], Awaitable[None]] | None = None,
    *,
    key: str | None = None,
    spec: str = "2.3",
) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of an answer whose body is taken as fast as `on_body` returns."""
    start: Message = {}

    async def receive() -> Message:
        if asked:
            await asyncio.Event().wait()
        asked.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif on_body is not None:
            await on_body(message)

    asked: list[bool] = []
    if path == "evidence":
        path = f"versions/{filed.first}/evidence.zip?messages=true"
    plain, _, query = filed.path(path).partition("?")
    headers = {"host": "testserver", "x-api-key": key or filed.api.acme.headers["X-API-Key"]}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": spec},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": plain,
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        "state": {},
    }
    await filed.api.acme.app(scope, receive, send)
    return int(start["status"]), dict(start["headers"])
