"""Approving a version: who may, to what, and when it counts no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.access.keys import recognise_api_key
from app.db.models import Tenant
from app.mailer.domain.delivery.approval import Approval
from app.mailer.services.operations import Kind, actor_of, start_operation
from tests.integration.api.conftest import Api
from tests.integration.api.drafts import Draft, begin, built, person, take
from tests.integration.api.letters import V1
from tests.integration.api.uploading import upload
from tests.integration.services.pipeline.desk import document, entry

SEND: dict[str, Any] = {
    "campaign": {"id": "cards", "name": "Cards", "mode": "send"},
    "server": {"smtp": {"host": "localhost"}},
    # e1 and e2 go to the same address, so somebody has to decide.
    "entries": {
        "inline": [entry(0), entry(1, to=["x@example.org"]), entry(2, to=["x@example.org"])]
    },
}


def ask_for(api: Api, approval: Approval) -> None:
    with api.program.sessions() as session:
        tenant = session.get(Tenant, api.acme_id)
        assert tenant is not None
        tenant.approval = approval
        session.commit()


@pytest.fixture
def draft(api: Api) -> Draft:
    """Ada's version, built by a program."""
    made = begin(person(api, "ada"))
    made.autosave(document(**SEND))
    return built(api, made)


def queue(draft: Draft, status: int = 200, **more: Any) -> Any:
    body = {"version_id": draft.id, **more}
    answer = draft.client.post(f"{V1}/campaigns/{draft.campaign_id}/queue", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def decide(draft: Draft, decision: str, *entries: str) -> None:
    answer = draft.client.post(
        f"{V1}/campaigns/{draft.campaign_id}/jobs/decisions",
        json={
            "version_id": draft.id,
            "entry_ids": list(entries),
            "decision": decision,
            "reason": "so",
        },
    )
    assert answer.status_code == 200, answer.text


def approvals(draft: Draft) -> list[Any]:
    answer = draft.client.get(f"{draft.url}/approvals")
    assert answer.status_code == 200
    found: list[Any] = answer.json()["items"]
    return found


def test_without_a_rule_nobody_has_to_approve(draft: Draft) -> None:
    shown = draft.get()
    assert (shown["approval_needed"], shown["approval"]) == ("none", None)
    assert "queue" in shown["allowed_actions"]
    assert queue(draft)["queued"] == 1


@pytest.mark.parametrize("by", ["tenant", "campaign"])
def test_where_the_rule_asks_for_it_nothing_leaves_unapproved(
    api: Api, draft: Draft, by: str
) -> None:
    if by == "tenant":
        ask_for(api, Approval.REQUIRED)
    else:
        url = f"{V1}/campaigns/{draft.campaign_id}"
        assert draft.client.patch(url, json={"approval": "required"}).status_code == 200
    assert "queue" not in draft.get()["allowed_actions"]
    assert "approved before" in queue(draft, 409)["detail"]
    refused = queue(draft, 409)
    rehearsed = queue(draft, dry_run=True)
    assert rehearsed["queued"] == 1
    assert rehearsed["would_be_refused"] == [{"detail": refused["detail"], "hint": refused["hint"]}]
    made = draft.post("approve", {"reason": "looked"})
    assert (made["message_count"], made["reason"], made["voided_at"]) == (1, "looked", None)
    shown = draft.get()
    assert (shown["workflow_state"], shown["approval"]["id"]) == ("approved", made["id"])
    assert {"queue", "withdraw"} <= set(shown["allowed_actions"])
    assert queue(draft, dry_run=True)["would_be_refused"] == []
    assert queue(draft)["queued"] == 1
    # What was approved is approved also while it is sent.
    assert draft.get()["approval"]["id"] == made["id"]


def test_the_stricter_rule_holds(api: Api, draft: Draft) -> None:
    ask_for(api, Approval.TWO_PERSON)
    url = f"{V1}/campaigns/{draft.campaign_id}"
    draft.client.patch(url, json={"approval": "none"})
    assert draft.get()["approval_needed"] == "two_person"


def test_a_second_person_is_none_of_the_authors(api: Api, draft: Draft) -> None:
    draft.post("approve")
    ask_for(api, Approval.TWO_PERSON)
    # Her yes counts no more, and she cannot give another one: by no key of hers.
    assert draft.get()["approval"] is None
    assert "only by people who wrote" in queue(draft, 409)["detail"]
    made = draft.client.post("/api/v1/admin/api-keys", json={"name": "k", "scopes": ["*"]})
    for key in (draft.client.headers["X-API-Key"], made.json()["api_key"]):
        answer = api.anonymous.post(f"{draft.url}/approve", headers={"X-API-Key": key})
        assert answer.status_code == 403
    assert "approve" not in draft.get()["allowed_actions"]
    bob = draft.by(person(api, "bob"))
    assert "approve" in bob.get()["allowed_actions"]
    bob.post("approve")
    assert queue(draft)["queued"] == 1


def test_whoever_wrote_an_earlier_version_is_an_author_of_the_next(api: Api, draft: Draft) -> None:
    ask_for(api, Approval.TWO_PERSON)
    bob = draft.by(person(api, "bob"))
    made = bob.put({**draft.get()["config"], "x-note": "a comma"}, 201)
    after = Draft(draft.client, draft.campaign_id, made["id"])
    built(api, after)
    after.post("approve", None, 403)
    after.by(bob.client).post("approve", None, 403)
    after.by(person(api, "eve")).post("approve")


@pytest.mark.parametrize("less", ["required", "none", None])
def test_an_author_does_not_switch_the_second_person_off(
    api: Api, draft: Draft, less: str | None
) -> None:
    url = f"{V1}/campaigns/{draft.campaign_id}"
    assert draft.client.patch(url, json={"approval": "two_person"}).status_code == 200
    answer = draft.client.patch(url, json={"approval": less})
    assert answer.status_code == 403
    assert "wrote in version 1" in answer.json()["detail"]
    queue(draft, 409)
    bob = person(api, "bob")
    # Neither by an older version, whatever somebody else made of the campaign since.
    answer = bob.post(f"{V1}/campaigns", json={"config": document(**SEND)})
    assert answer.status_code == 201
    assert draft.client.patch(url, json={"approval": less}).status_code == 403
    assert bob.patch(url, json={"approval": less}).status_code == 403
    assert person(api, "eve").patch(url, json={"approval": less}).status_code == 200


def test_an_author_asks_for_less_where_no_second_person_has_to(draft: Draft) -> None:
    url = f"{V1}/campaigns/{draft.campaign_id}"
    draft.client.patch(url, json={"approval": "required"})
    assert draft.client.patch(url, json={"approval": "none"}).json()["approval"] == "none"


def test_whoever_wrote_it_is_an_author_of_what_is_imported_anew(api: Api, draft: Draft) -> None:
    ask_for(api, Approval.TWO_PERSON)
    bob = person(api, "bob")
    after = built(api, take(bob, **SEND))
    assert after.campaign_id == draft.campaign_id
    assert "approve" not in after.by(draft.client).get()["allowed_actions"]
    after.by(draft.client).post("approve", None, 403)
    after.post("approve", None, 403)
    after.by(person(api, "eve")).post("approve")


@pytest.mark.parametrize(
    "path", ["people.csv", "letter.txt", "logo.gif", "papers/e0.pdf", "papers/more.txt"]
)
def test_whoever_uploaded_what_is_in_the_letters_is_no_second_person(api: Api, path: str) -> None:
    ask_for(api, Approval.TWO_PERSON)
    ada, bob, eve = person(api, "ada"), person(api, "bob"), person(api, "eve")
    files = {
        "people.csv": b"id;to\ne0;p0@example.org\n",
        "letter.txt": b"Good day.",
        "logo.gif": b"GIF89a\1\0\1\0\0\0\0;",
        "papers/e0.pdf": b"%PDF-1.7",
        "papers/more.txt": b"nobody takes it",
    }
    for name, data in files.items():
        upload(ada, name, data)
    # The same file elsewhere is no part of it.
    upload(eve, "other/e0.pdf", files["papers/e0.pdf"])
    draft = begin(ada)
    draft.autosave(
        document(
            campaign={"id": "cards", "name": "Cards", "mode": "send"},
            template={
                "subject": "Your card",
                "text": {"path": "letter.txt"},
                "html": '<img src="cid:logo">',
                "inline_images": [{"cid": "logo", "path": "logo.gif"}],
            },
            attachments={
                "base_path": "papers",
                "global": [{"file_filter": "*.pdf"}],
            },
            entries={"source": {"path": "people.csv", "mapping": {"id": "id", "to": "to"}}},
            server={"smtp": {"host": "localhost"}},
        )
    )
    upload(bob, path, files[path] + b"\n", replace="true")
    built(api, draft)
    in_it = path != "papers/more.txt"
    assert ("approve" in draft.by(bob).get()["allowed_actions"]) is not in_it
    refused = draft.by(bob).post("approve", None, 403 if in_it else 200)
    assert ("uploaded" in str(refused)) is in_it
    draft.by(eve).post("approve")
    assert queue(draft)["queued"] == 1


def test_a_new_build_forgets_who_uploaded_for_the_last_one(api: Api) -> None:
    ask_for(api, Approval.TWO_PERSON)
    ada, bob, eve = person(api, "ada"), person(api, "bob"), person(api, "eve")
    upload(bob, "letter.txt", b"Good day.")
    draft = begin(ada)
    draft.autosave(document(**SEND, template={"subject": "x", "text": {"path": "letter.txt"}}))
    built(api, draft)
    draft.by(bob).post("approve", None, 403)
    rule = f"{V1}/campaigns/{draft.campaign_id}"
    assert bob.patch(rule, json={"approval": "two_person"}).status_code == 200
    assert bob.patch(rule, json={"approval": "none"}).status_code == 403
    upload(eve, "letter.txt", b"Good evening.", replace="true")
    built(api, draft)
    draft.by(eve).post("approve", None, 403)
    draft.by(bob).post("approve")


def test_a_key_of_nobody_is_no_second_person_for_the_one_that_made_it(api: Api) -> None:
    ask_for(api, Approval.TWO_PERSON)
    draft = begin(api.acme)
    draft.autosave(document(**SEND))
    built(api, draft)
    key = api.acme
    for _ in range(2):
        made = key.post("/api/v1/admin/api-keys", json={"name": "k", "scopes": ["*"]})
        key = api.client("campaign:read")
        key.headers["X-API-Key"] = made.json()["api_key"]
        assert "approve" not in draft.by(key).get()["allowed_actions"]
        draft.by(key).post("approve", None, 403)
    # One that the operator made is somebody else.
    draft.by(api.client("*")).post("approve")


def test_a_worker_works_for_the_key_behind_the_key(api: Api) -> None:
    made = api.acme.post("/api/v1/admin/api-keys", json={"name": "k", "scopes": ["*"]}).json()
    with api.program.sessions() as session:
        actor = recognise_api_key(session, made["api_key"], api.program.clock.now()).actor
        row = start_operation(session, actor, Kind.IMPORT, now=api.program.clock.now())
        assert actor_of(row).identity == actor.identity != f"api_key:{actor.id}"


def test_approving_needs_its_scope(api: Api, draft: Draft) -> None:
    other = api.client("campaign:read", "campaign:write", "campaign:build", "campaign:send")
    draft.by(other).post("approve", None, 403)
    draft.by(other).post("withdraw-approval", {"reason": "x"}, 403)


def test_a_new_build_makes_it_void(api: Api, draft: Draft) -> None:
    ask_for(api, Approval.REQUIRED)
    draft.post("approve")
    built(api, draft)
    shown = draft.get()
    assert (shown["workflow_state"], shown["approval"]) == ("built", None)
    (old,) = approvals(draft)
    assert old["voided_at"] is not None
    assert "built again" in old["void_reason"]
    queue(draft, 409)


@pytest.mark.parametrize(("decision", "entry_id"), [("accept", "e1"), ("exclude", "e0")])
def test_a_decision_that_changes_what_is_sent_makes_it_void(
    api: Api, draft: Draft, decision: str, entry_id: str
) -> None:
    ask_for(api, Approval.REQUIRED)
    decide(draft, "accept", "e2")
    draft.post("approve")
    decide(draft, decision, entry_id)
    assert draft.get()["approval"] is None
    queue(draft, 409)


def test_a_decision_that_changes_nothing_leaves_it(api: Api, draft: Draft) -> None:
    ask_for(api, Approval.REQUIRED)
    draft.post("approve")
    # It would not have been sent anyway.
    decide(draft, "exclude", "e1")
    assert draft.get()["workflow_state"] == "approved"
    assert queue(draft)["queued"] == 1


def test_what_is_accepted_after_the_queueing_needs_a_new_yes(api: Api, draft: Draft) -> None:
    ask_for(api, Approval.REQUIRED)
    draft.post("approve")
    assert queue(draft)["queued"] == 1
    decide(draft, "accept", "e1")
    assert draft.get()["workflow_state"] == "queued"
    queue(draft, 409)
    assert draft.post("approve")["message_count"] == 2
    assert queue(draft)["queued"] == 1


def test_a_yes_is_taken_back(api: Api, draft: Draft) -> None:
    ask_for(api, Approval.REQUIRED)
    draft.post("withdraw-approval", {"reason": "x"}, 409)
    draft.post("approve")
    draft.post("withdraw-approval", {"reason": ""}, 422)
    shown = draft.post("withdraw-approval", {"reason": "A wrong date."})
    assert (shown["workflow_state"], shown["approval"]) == ("built", None)
    assert approvals(draft)[0]["void_reason"] == "A wrong date."
    queue(draft, 409)


def test_the_first_approval_is_bound_to_what_was_looked_at(draft: Draft) -> None:
    seen = draft.client.get(f"{draft.url}/approvals").json()
    assert (seen["items"], seen["message_count"]) == ([], 1)
    decide(draft, "accept", "e1")
    draft.post("approve", {"messages_sha256": seen["messages_sha256"]}, 409)
    seen = draft.client.get(f"{draft.url}/approvals").json()
    made = draft.post("approve", {"messages_sha256": seen["messages_sha256"]})
    assert made["message_count"] == seen["message_count"] == 2


def test_of_what_is_not_built_there_is_nothing_to_approve(api: Api) -> None:
    made = begin(person(api, "ada"))
    seen = made.client.get(f"{made.url}/approvals").json()
    assert (seen["messages_sha256"], seen["message_count"]) == (None, 0)


def test_only_what_was_looked_at_is_approved(api: Api, draft: Draft) -> None:
    digest = draft.post("approve")["messages_sha256"]
    decide(draft, "accept", "e1")
    draft.post("approve", {"messages_sha256": digest}, 409)
    now = draft.post("approve")["messages_sha256"]
    assert now != digest
    draft.post("approve", {"messages_sha256": now})


def test_there_must_be_something_to_approve(api: Api, tmp_path: Path) -> None:
    made = begin(person(api, "ada"))
    made.post("approve", None, 409)
    made.autosave(document(entries={"inline": [entry(to=["nobody"])]}))
    built(api, made)
    assert "no message" in made.post("approve", None, 409)["detail"]
