"""Campaigns: imported, begun, listed, renamed, put away, deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.db.models import AuditEntry
from tests.integration.api.conftest import Api
from tests.integration.api.drafts import Draft, begin, built, config, person, take
from tests.integration.api.letters import V1
from tests.integration.services.pipeline.desk import document, entry

CAMPAIGNS = f"{V1}/campaigns"


def send_mode(**parts: Any) -> dict[str, Any]:
    return {
        "campaign": {"id": "cards", "name": "Cards", "mode": "send"},
        "server": {"smtp": {"host": "localhost"}},
        **parts,
    }


def queue(draft: Draft) -> None:
    answer = draft.client.post(f"{CAMPAIGNS}/{draft.campaign_id}/queue", json={})
    assert answer.status_code == 200, answer.text


def test_an_import_gives_the_campaign_and_its_version(api: Api) -> None:
    answer = api.acme.post(
        CAMPAIGNS, json={"config": document(), "source_filename": "campaign.json"}
    )
    assert answer.status_code == 201
    made = answer.json()
    campaign, version = made["campaign"], made["version"]
    assert answer.headers["Location"] == f"{CAMPAIGNS}/{campaign['id']}"
    assert answer.headers["ETag"] == version["etag"]
    assert (campaign["external_id"], campaign["name"]) == ("cards", "Cards")
    assert campaign["newest_version"]["id"] == version["id"]
    assert (version["number"], version["workflow_state"], version["mode"]) == (
        1,
        "editing",
        "draft",
    )
    assert (version["source_filename"], version["source_base_path"]) == (
        "campaign.json",
        "uploads:",
    )
    assert version["is_confined"] is True
    assert version["is_complete"] is True
    again = api.acme.post(CAMPAIGNS, json={"config": document()}).json()
    assert again["campaign"]["id"] == campaign["id"]
    assert again["version"]["number"] == 2


def test_numbers_stay_as_they_are_spelled(api: Api) -> None:
    body = json.dumps({"config": document(fields=[{"name": "n", "default": "?"}])})
    answer = api.acme.post(
        CAMPAIGNS,
        content=body.replace('"?"', "1.10"),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    url = f"{CAMPAIGNS}/{made['campaign']['id']}/versions/{made['version']['id']}"
    shown = api.acme.get(url).text
    assert '"default":1.10' in shown
    saved = api.acme.put(
        url,
        content='{"campaign_json":'
        + shown[shown.index('"config":') + 9 : shown.rindex(',"editor')]
        + "}",
        headers={"Content-Type": "application/json"},
    )
    assert saved.status_code == 200, saved.text
    assert saved.json()["revision"] == 1
    assert '"default":1.10' in saved.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"config": {"version": "1.0", "version": "1.0"}}', "duplicate-key"),
        ('{"config": {"version": "\\ud800"}}', "invalid-value"),
        ('{"config": {"version": "1.0"}}', "missing-key"),
    ],
)
def test_what_no_campaign_file_can_be_is_refused(api: Api, body: str, code: str) -> None:
    answer = api.acme.post(CAMPAIGNS, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert code in [issue["code"] for issue in answer.json()["issues"]]
    assert api.acme.get(CAMPAIGNS).json()["items"] == []


def test_a_file_below_the_roots_keeps_its_folder(
    make_api: Callable[..., Api], tmp_path: Path
) -> None:
    api = make_api(file_roots=str(tmp_path / "allowed"))
    folder = tmp_path / "allowed" / "spring"
    folder.mkdir(parents=True)
    answer = api.acme.post(
        CAMPAIGNS,
        json={
            "config": document(template={"subject": "Hi", "text": {"path": "letter.txt"}}),
            "source_filename": str(folder / "campaign.json"),
        },
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["version"]["source_base_path"] == str(folder)
    draft = Draft(api.acme, made["campaign"]["id"], made["version"]["id"])
    assert draft.get()["config"]["template"]["text"]["path"] == str(folder / "letter.txt")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/campaign.json",
        "/etc/campaign.json",
        "{tmp}/allowed/../x/c.json",
        "{tmp}/link/c.json",
    ],
)
def test_a_file_elsewhere_is_outside_of_the_roots(
    make_api: Callable[..., Api], tmp_path: Path, name: str
) -> None:
    (tmp_path / "allowed").mkdir()
    (tmp_path / "link").symlink_to("/etc")
    api = make_api(file_roots=str(tmp_path / "allowed"))
    answer = api.acme.post(
        CAMPAIGNS,
        json={"config": document(), "source_filename": name.format(tmp=tmp_path)},
    )
    assert answer.status_code == 422
    assert [issue["code"] for issue in answer.json()["issues"]] == ["path-outside-roots"]


def test_a_new_campaign_is_an_empty_draft(api: Api) -> None:
    draft = begin(api.acme)
    shown = draft.get()
    assert shown["config"] == {
        "version": "1.0",
        "campaign": {"id": "cards", "name": "Cards", "description": "", "mode": "draft"},
    }
    assert (shown["is_complete"], shown["number"], shown["revision"]) == (False, 1, 1)
    taken = api.acme.post(f"{CAMPAIGNS}/new", json={"external_id": "cards", "name": "Other"})
    assert taken.status_code == 409
    # Another tenant may call its campaign the same.
    assert begin(api.rival).campaign_id != draft.campaign_id
    for wrong in ({"external_id": "Cards", "name": "x"}, {"external_id": "a", "name": " "}, {}):
        assert api.acme.post(f"{CAMPAIGNS}/new", json=wrong).status_code == 422


def test_a_list_is_filtered_and_sorted(api: Api) -> None:
    for name in ("alpha", "beta", "gamma_x"):
        begin(api.acme, name)
    begin(api.rival, "alpha")
    listed = api.acme.get(f"{CAMPAIGNS}?sort=created_at&limit=2").json()
    assert [each["external_id"] for each in listed["items"]] == ["alpha", "beta"]
    rest = api.acme.get(f"{CAMPAIGNS}?sort=created_at&cursor={listed['next_cursor']}").json()
    assert [each["external_id"] for each in rest["items"]] == ["gamma_x"]

    def found(query: str) -> list[str]:
        items = api.acme.get(f"{CAMPAIGNS}?sort=name&{query}").json()["items"]
        return sorted(each["external_id"] for each in items)

    assert found("search=LPH") == ["alpha"]
    assert found("search=_") == ["gamma_x"]
    assert found("search=%25") == []
    assert found("workflow_state=editing") == ["alpha", "beta", "gamma_x"]
    assert found("workflow_state=built") == []
    built(api, take(api.acme))
    assert found("workflow_state=built") == ["cards"]


def test_a_campaign_is_renamed(api: Api) -> None:
    draft = begin(api.acme)
    url = f"{CAMPAIGNS}/{draft.campaign_id}"
    answer = api.acme.patch(url, json={"name": "New name"})
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["description"]) == ("New name", "")
    # Saving something else does not take it back; another name in the file does.
    draft.autosave(config(recipients={"from": "a@example.org"}))
    assert api.acme.get(url).json()["name"] == "New name"
    draft.autosave(config(campaign={"id": "cards", "name": "Third", "mode": "draft"}))
    assert api.acme.get(url).json()["name"] == "Third"
    assert api.acme.patch(url, json={"name": None}).status_code == 422
    assert api.acme.patch(url, json={"mode": "send"}).status_code == 422


def test_asking_for_less_approval_needs_who_may_approve(api: Api) -> None:
    draft = begin(api.acme)
    url = f"{CAMPAIGNS}/{draft.campaign_id}"
    writer = api.client("campaign:write", "campaign:read")
    assert writer.patch(url, json={"approval": "two_person"}).json()["approval"] == "two_person"
    for looser in ("required", "none", None):
        assert writer.patch(url, json={"approval": looser}).status_code == 403
    approver = api.client("campaign:write", "campaign:approve")
    assert approver.patch(url, json={"approval": None}).json()["approval"] is None


def test_a_campaign_is_deleted_with_all_that_it_has(api: Api) -> None:
    draft = built(api, take(api.acme, **send_mode()))
    url = f"{CAMPAIGNS}/{draft.campaign_id}"
    assert api.acme.get(f"{url}/jobs").json()["items"]
    assert api.acme.delete(url).status_code == 204
    assert api.acme.get(url).status_code == 404
    assert api.acme.get(draft.url).status_code == 404
    assert api.acme.delete(url).status_code == 404
    with api.program.sessions() as session:
        last = session.query(AuditEntry).order_by(AuditEntry.sequence.desc()).first()
        assert last is not None
        assert (last.action, last.object_id) == ("campaign.deleted", draft.campaign_id)


def test_what_was_queued_once_is_never_deleted(api: Api) -> None:
    draft = built(api, take(api.acme, **send_mode()))
    queue(draft)
    url = f"{CAMPAIGNS}/{draft.campaign_id}"
    assert api.acme.delete(url).status_code == 409
    assert api.acme.post(f"{url}/cancel", json={"reason": "no"}).status_code == 200
    assert api.acme.delete(url).status_code == 409
    assert draft.get()["workflow_state"] == "cancelled"


def test_the_archive_keeps_where_each_version_stood(api: Api) -> None:
    cancelled = built(api, take(api.acme, **send_mode()))
    queue(cancelled)
    url = f"{CAMPAIGNS}/{cancelled.campaign_id}"
    # What waits to be sent is not put away.
    assert api.acme.post(f"{url}/archive").status_code == 409
    api.acme.post(f"{url}/cancel", json={"reason": "no"})
    second = built(api, take(api.acme, **send_mode()))
    third = take(api.acme, **send_mode())
    states = ["cancelled", "built", "editing"]
    assert [each.get()["workflow_state"] for each in (cancelled, second, third)] == states

    answer = api.acme.post(f"{url}/archive")
    assert answer.status_code == 200
    assert answer.json()["archived_at"] is not None
    for each in (cancelled, second, third):
        shown = each.get()
        assert (shown["workflow_state"], shown["allowed_actions"]) == ("archived", [])
    assert api.acme.get(CAMPAIGNS).json()["items"] == []
    assert len(api.acme.get(f"{CAMPAIGNS}?archived=true").json()["items"]) == 1
    third.autosave(config(), status=409)
    third.post("publish", status=409)
    third.post("lock", status=409)
    again = api.acme.post(CAMPAIGNS, json={"config": document(**send_mode())})
    assert again.status_code == 409
    assert api.acme.post(f"{url}/queue", json={"version_id": second.id}).status_code == 409
    assert api.acme.post(f"{url}/archive").status_code == 409

    assert api.acme.post(f"{url}/unarchive").json()["archived_at"] is None
    assert [each.get()["workflow_state"] for each in (cancelled, second, third)] == states
    assert api.acme.post(f"{url}/unarchive").status_code == 409


def test_another_tenant_sees_and_changes_nothing(api: Api) -> None:
    draft = take(api.acme)
    url = f"{CAMPAIGNS}/{draft.campaign_id}"
    for method, path, body in (
        ("GET", url, None),
        ("PATCH", url, {"name": "Mine"}),
        ("DELETE", url, None),
        ("POST", f"{url}/archive", None),
        ("GET", draft.url, None),
        ("PUT", draft.url, {"campaign_json": {}}),
        ("POST", f"{draft.url}/autosave", {"campaign_json": {}}),
        ("POST", f"{draft.url}/lock", {"force": True}),
        ("POST", f"{draft.url}/approve", {}),
        ("GET", f"{draft.url}/diff?against={draft.id}", None),
        ("GET", f"{draft.url}/approvals", None),
    ):
        answer = api.rival.request(method, path, json=body)
        assert answer.status_code == 404, (method, path)
    own = take(api.rival)
    # Its own campaign with another's version is not there, either.
    mixed = Draft(api.rival, own.campaign_id, draft.id)
    assert api.rival.get(mixed.url).status_code == 404
    assert api.rival.get(f"{own.url}/diff?against={draft.id}").status_code == 404
    assert draft.get()["revision"] == 1


def test_every_change_is_in_the_audit_log(api: Api) -> None:
    ada = person(api, "ada")
    draft = begin(ada)
    draft.autosave(config(entries={"inline": [entry()]}))
    draft.put(config(recipients={"from": "a@example.org"}))
    draft.post("set-step", {"current_step": "review"})
    draft.post("lock")
    draft.post("unlock")
    draft.autosave(config(template={"subject": "x"}))
    ada.patch(f"{CAMPAIGNS}/{draft.campaign_id}", json={"name": "Other"})
    entries = ada.get(f"{V1}/audit?object_id={draft.campaign_id}&limit=50").json()["items"]
    assert [each["action"].removeprefix("campaign.") for each in reversed(entries)] == [
        "created",
        "autosaved",
        "saved",
        "step_set",
        "locked",
        "unlocked",
        "autosaved",
        "updated",
    ]
    saved = entries[-3]
    assert saved["before"]["revision"] == 2
    assert saved["after"]["revision"] == 3
