"""Validating, building and trying out by API: answered at once, done by a worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select

from app.db.models import AuditEntry, Job, SendAttempt
from tests.integration.api.conftest import Api
from tests.integration.api.letters import build, by
from tests.integration.api.work import take, watched, work
from tests.integration.services.pipeline.desk import entry
from tests.servers.smtp import SmtpServer

V1 = "/api/v1"


def test_a_build_is_answered_before_it_begins_and_shows_its_end(api: Api, tmp_path: Path) -> None:
    made = take(api, tmp_path, 3)
    answer = api.acme.post(f"{V1}/campaigns/versions/{made.version_id}/build")
    assert answer.status_code == 202
    begun = answer.json()
    assert answer.headers["location"] == f"{V1}/operations/{begun['id']}"
    assert (begun["kind"], begun["status"], begun["result"]) == ("build", "queued", None)
    assert begun["campaign_id"] == str(made.campaign_id)
    assert begun["asked_by"] == "test"

    assert work(api) == 1
    ended = api.acme.get(answer.headers["location"]).json()
    assert ended["status"] == "succeeded"
    assert ended["result"]["entries"]["ready"] == 3
    assert ended["started_at"] <= ended["finished_at"]
    with api.program.reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 3


def test_a_validation_counts_and_its_issues_come_in_pages(api: Api, tmp_path: Path) -> None:
    made = take(
        api,
        tmp_path,
        entries={"inline": [entry(0, to=["nobody"]), entry(1), entry(2, to=[])]},
    )
    url = f"{V1}/campaigns/versions/{made.version_id}/validate"
    operation = api.acme.post(url).json()["id"]
    work(api)
    result = watched(api, operation)["result"]
    assert result["has_findings"] is True
    assert result["entries"]["ready"] == 1
    assert sum(result["codes"].values()) == sum(result["severities"].values()) > 1

    issues = f"{V1}/campaigns/{made.campaign_id}/versions/{made.version_id}/issues"
    found, cursor = [], ""
    while cursor is not None:
        page = api.acme.get(f"{issues}?limit=1{cursor}").json()
        found += page["items"]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert len(found) == len({each["id"] for each in found}) == sum(result["codes"].values())
    code = found[0]["code"]
    only = api.acme.get(f"{issues}?code={code}").json()["items"]
    assert {each["code"] for each in only} == {code}
    assert len(only) == result["codes"][code]
    grave = api.acme.get(f"{issues}?severity=block").json()["items"]
    assert len(grave) == result["severities"]["block"]


def test_a_build_that_the_campaign_does_not_allow_fails_with_its_issues(
    api: Api, tmp_path: Path
) -> None:
    made = take(api, tmp_path, template={"subject": "Hi", "text": {"path": "absent.txt"}})
    operation = api.acme.post(f"{V1}/campaigns/versions/{made.version_id}/build").json()["id"]
    work(api)
    ended = watched(api, operation)
    assert ended["status"] == "failed"
    problem = ended["problem"]
    assert (problem["type"], problem["status"]) == ("/problems/campaign-invalid", 422)
    assert problem["issues"][0]["pointer"] == "/template/text/path"


def test_a_second_build_of_a_version_names_the_first(api: Api, tmp_path: Path) -> None:
    made = take(api, tmp_path)
    url = f"{V1}/campaigns/versions/{made.version_id}/build"
    first = api.acme.post(url).json()["id"]
    second = api.acme.post(url)
    assert second.status_code == 409
    assert second.json()["type"] == "/problems/operation-running"
    assert second.json()["operation_id"] == first
    assert second.headers["location"] == f"{V1}/operations/{first}"
    work(api)
    assert api.acme.post(url).status_code == 202


def test_a_version_that_was_queued_is_not_built_again(api: Api, tmp_path: Path) -> None:
    letters = build(api, tmp_path, **by(9))
    letters.post("queue")
    url = f"{V1}/campaigns/versions/{letters.version_id}/build"
    refused = api.acme.post(url)
    assert refused.status_code == 409
    assert "queued already" in refused.json()["detail"]
    letters.post("cancel")
    letters.post("archive")
    assert api.acme.post(url).status_code == 409
    letters.post("unarchive")
    assert "queued already" in api.acme.post(url).json()["detail"]
    assert api.acme.get(f"{V1}/operations?kind=build").json()["items"] == []


def test_a_version_in_the_archive_is_not_built(api: Api, tmp_path: Path) -> None:
    made = take(api, tmp_path)
    campaign = f"{V1}/campaigns/{made.campaign_id}"
    url = f"{V1}/campaigns/versions/{made.version_id}/build"
    assert api.acme.post(f"{campaign}/archive").status_code == 200
    refused = api.acme.post(url)
    assert refused.status_code == 409
    assert "archived" in refused.json()["detail"]
    assert api.acme.post(f"{campaign}/unarchive").status_code == 200
    assert api.acme.post(url).status_code == 202


def test_who_waits_gets_what_came_of_it_or_202_again(api: Api, tmp_path: Path) -> None:
    made = take(api, tmp_path)
    url = f"{V1}/campaigns/versions/{made.version_id}/validate"
    answer = api.acme.post(url, headers={"Prefer": "respond-async, wait=0"})
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "wait=0"
    work(api)
    odd = api.acme.post(url, headers={"Prefer": "wait=soon"})
    assert odd.status_code == 202
    assert "preference-applied" not in odd.headers


def test_a_test_letter_goes_to_the_tester_alone(
    make_api: Callable[..., Api], tmp_path: Path, smtp_server: SmtpServer
) -> None:
    api = make_api()
    made = take(
        api,
        tmp_path,
        2,
        server={"smtp": {"host": "127.0.0.1", "port": smtp_server.port, "security": "plain"}},
    )
    url = f"{V1}/campaigns/{made.campaign_id}/versions/{made.version_id}/test-message"
    body = {"to": "Tess <tess@example.org>", "entry_id": "e1"}
    rehearsed = api.acme.post(url, json=body | {"dry_run": True}).json()["id"]
    work(api)
    assert watched(api, rehearsed)["result"]["reply"] is None
    assert smtp_server.messages == []

    sent = api.acme.post(url, json=body).json()["id"]
    work(api)
    ended = watched(api, sent)
    assert ended["status"] == "succeeded", ended
    assert ended["result"]["reply"].startswith("250")
    assert ended["result"]["entry_id"] == "e1"
    (message,) = smtp_server.messages
    assert message.recipients == ("tess@example.org",)
    assert b"p1@example.org" not in message.data
    with api.program.reading() as session:
        actions = session.scalars(select(AuditEntry.action)).all()
        assert actions.count("campaign.test_sent") == 2
        assert session.scalar(select(func.count()).select_from(SendAttempt)) == 0


def test_a_test_letter_that_the_server_refuses_fails_with_its_words(
    api: Api, tmp_path: Path, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(script={"RCPT": ["550 5.1.1 No such user"]})
    made = take(
        api,
        tmp_path,
        server={"smtp": {"host": "127.0.0.1", "port": server.port, "security": "plain"}},
    )
    url = f"{V1}/campaigns/{made.campaign_id}/versions/{made.version_id}/test-message"
    operation = api.acme.post(url, json={"to": "tess@example.org"}).json()["id"]
    work(api)
    ended = watched(api, operation)
    assert ended["status"] == "failed"
    assert "550" in ended["problem"]["detail"]
    assert ended["problem"]["hint"] == "Nothing was sent."


def test_what_is_no_address_is_422(api: Api, tmp_path: Path) -> None:
    made = take(api, tmp_path)
    url = f"{V1}/campaigns/{made.campaign_id}/versions/{made.version_id}/test-message"
    answer = api.acme.post(url, json={"to": "nobody"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/body/to"


def test_nothing_of_another_tenant_can_be_worked_on(api: Api, tmp_path: Path) -> None:
    made = take(api, tmp_path)
    of_campaign = f"{V1}/campaigns/{made.campaign_id}/versions/{made.version_id}"
    for url in ("validate", "build"):
        answer = api.rival.post(f"{V1}/campaigns/versions/{made.version_id}/{url}")
        assert answer.status_code == 404
    answer = api.rival.post(f"{of_campaign}/test-message", json={"to": "tess@example.org"})
    assert answer.status_code == 404
    assert api.rival.get(f"{of_campaign}/issues").status_code == 404
    operation = api.acme.post(f"{V1}/campaigns/versions/{made.version_id}/build").json()["id"]
    assert api.rival.get(f"{V1}/operations/{operation}").status_code == 404
    assert api.rival.get(f"{V1}/operations/{operation}/events").status_code == 404
    assert api.rival.post(f"{V1}/operations/{operation}/cancel").status_code == 404
    assert api.rival.get(f"{V1}/operations").json()["items"] == []
    other = take(api, tmp_path, campaign={"id": "other", "name": "Other", "mode": "draft"})
    mixed = f"{V1}/campaigns/{other.campaign_id}/versions/{made.version_id}/issues"
    assert api.acme.get(mixed).status_code == 404
