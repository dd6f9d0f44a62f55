from __future__ import annotations

import csv
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.access.scopes import Scope
from app.db.models import AuditEntry, CampaignVersion
from app.db.repositories import campaigns, jobs, versions
from app.db.repositories.jobs import NewJob
from app.mailer.domain.delivery.job import SendStatus
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
