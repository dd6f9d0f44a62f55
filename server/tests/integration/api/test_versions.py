"""Versions under edit: saved, checked by section, edited after the build."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.db.models import Tenant
from app.mailer.domain.errors import Conflict
from app.mailer.services.build_version import build_version, prepare_version
from tests.integration.api import letters
from tests.integration.api.conftest import Api
from tests.integration.api.drafts import PIN, SMTP, Draft, begin, built, config, password, take
from tests.integration.services.pipeline.desk import document, silent

# ---------------------------------------------------------------- saving


def test_a_draft_is_kept_whatever_it_holds(api: Api) -> None:
    draft = begin(api.acme)
    strange: dict[str, Any] = {"campaign": {"id": 7}, "entries": "many", "fields": [None, {"x": 1}]}
    answer = draft.autosave(
        strange,
        current_flow="create",
        current_step="recipients",
        is_complete=False,
        editor_state={"open": ["a"], "scroll": 7.5},
    )
    assert (answer["current_flow"], answer["current_step"]) == ("create", "recipients")
    assert answer["revision"] == 2
    assert answer["autosaved_at"] is not None
    shown = draft.get()
    assert shown["config"] == strange
    assert shown["editor_state"] == {"open": ["a"], "scroll": 7.5}
    # What is not sent stays.
    assert draft.post("autosave", {"current_step": "template"})["current_flow"] == "create"
    assert draft.get()["config"] == strange


def test_saving_the_same_again_changes_nothing(api: Api) -> None:
    draft = begin(api.acme)
    secret = config(server={"smtp": SMTP})
    first = draft.autosave(secret)
    again = draft.autosave(secret)
    assert (again["revision"], again["etag"]) == (first["revision"], first["etag"])
    assert draft.put(draft.get()["config"])["revision"] == first["revision"]


def test_the_file_is_written_back_by_the_name_that_it_is_shown_under(api: Api) -> None:
    draft = take(api.acme, server={"smtp": SMTP})
    shown = draft.get()
    changed = {**shown["config"], "x-note": "new"}
    answer = api.acme.put(draft.url, json={"config": changed}, headers={"If-Match": shown["etag"]})
    assert (answer.status_code, answer.json()["config"]) == (200, changed)
    assert password(api, draft) == SMTP["password"]
    draft.post("autosave", {"campaign_json": None, "config": {**changed, "x-note": "newer"}})
    assert draft.get()["config"]["x-note"] == "newer"
    # As it was spelled, whatever it is called.
    exact = api.acme.put(
        draft.url, content='{"config": {"x": 1.10}}', headers={"Content-Type": "application/json"}
    )
    assert '"x":1.10' in exact.text.replace(" ", "")


def test_a_version_is_written_with_one_file(api: Api) -> None:
    draft = begin(api.acme)
    both = {"config": config(), "campaign_json": config()}
    for body in ({}, {"campaign_json": None}, both):
        answer = api.acme.put(draft.url, json=body)
        assert answer.status_code == 422
        assert [each["pointer"] for each in answer.json()["errors"]] == ["/body"]
    assert draft.post("autosave", both, 422)["errors"][0]["pointer"] == "/body"
    assert draft.get()["revision"] == 1


def test_the_row_follows_the_file(api: Api) -> None:
    draft = begin(api.acme)
    assert (
        draft.autosave(config(campaign={"id": "cards", "name": "C", "mode": "send"}))["mode"]
        == "send"
    )
    assert draft.autosave(config(campaign={"id": "cards", "mode": "loud"}))["mode"] == "draft"


@pytest.mark.parametrize(
    "body",
    [
        {"campaign_json": []},
        {"editor_state": {"a": "\0"}},
        {"editor_state": {"a": "x" * 200_001}},
        {"is_complete": "yes"},
        {"current_step": "x" * 41},
        {"current_step": "a\nb"},
        {"unknown": 1},
    ],
)
def test_what_cannot_be_stored_is_refused(api: Api, body: dict[str, Any]) -> None:
    draft = begin(api.acme)
    draft.post("autosave", body, 422)
    assert draft.get()["revision"] == 1


@pytest.mark.parametrize(
    "text", ['{"campaign_json": {"a": "\\ud800"}}', '{"campaign_json": {"a": 1, "a": 2}}']
)
def test_what_no_json_should_hold_is_refused(api: Api, text: str) -> None:
    draft = begin(api.acme)
    answer = api.acme.post(
        f"{draft.url}/autosave", content=text, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["issues"][0]["pointer"] == "/a"


def test_a_nul_is_stored_where_json_can_spell_it(api: Api) -> None:
    draft = begin(api.acme)
    draft.autosave(config(template={"subject": "a\0b"}))
    assert draft.get()["config"]["template"]["subject"] == "a\0b"


def test_the_step_can_be_set_in_any_state_and_is_no_change(api: Api) -> None:
    draft = built(api, take(api.acme))
    before = draft.get()
    shown = draft.post("set-step", {"current_flow": "send", "current_step": "send"})
    assert (shown["current_flow"], shown["current_step"]) == ("send", "send")
    assert shown["etag"] == before["etag"]


# ---------------------------------------------------------------- checking a section


def codes(draft: Draft, section: str) -> list[tuple[str, str]]:
    answer = draft.post("validate-partial", {"section": section})
    assert answer["section"] == section
    assert answer["valid"] == all(each["severity"] != "block" for each in answer["issues"])
    return [(each["code"], each["pointer"]) for each in answer["issues"]]


def test_a_section_is_checked_by_itself(api: Api) -> None:
    draft = begin(api.acme)
    assert codes(draft, "basics") == []
    assert codes(draft, "sender") == [("invalid-sender", "/recipients/from")]
    assert codes(draft, "recipients") == [("no-entries", "/entries")]
    assert ("missing-key", "/template/subject") in codes(draft, "template")
    assert codes(draft, "delivery") == []
    draft.autosave(
        config(
            campaign={"name": 7},
            fields=[{"name": "n", "type": "integer"}],
            recipients={"from": "Office <office@example.org>"},
            template={"subject": "Hi ${local::m}", "text": "x"},
            entries={"inline": [{"id": "a", "to": ["nobody"], "values": {"n": "many"}}]},
            delivery={"rate_limit": {"messages_per_minute": -1}},
            attachments={"base_path": ""},
        )
    )
    assert codes(draft, "basics") == [
        ("missing-key", "/campaign/id"),
        ("wrong-type", "/campaign/name"),
    ]
    assert codes(draft, "sender") == []
    assert codes(draft, "template") == [("unknown-placeholder", "/template/subject")]
    assert {code for code, _ in codes(draft, "recipients")} >= {"bad-cell", "invalid-recipient"}
    assert codes(draft, "delivery") == [
        ("invalid-value", "/delivery/rate_limit/messages_per_minute")
    ]
    assert codes(draft, "attachments") == [("invalid-value", "/attachments/base_path")]
    draft.post("validate-partial", {"section": "weather"}, 422)
    assert codes(draft, "entries") == codes(draft, "recipients")


def test_a_section_says_what_of_it_nobody_looked_at(api: Api) -> None:
    draft = begin(api.acme)

    def not_checked() -> dict[str, list[str]]:
        return {
            section: draft.post("validate-partial", {"section": section})["not_checked"]
            for section in ("template", "attachments", "entries", "delivery", "all")
        }

    draft.autosave(document())
    assert set(map(tuple, not_checked().values())) == {()}
    draft.autosave(document(entries={"inline": [{"to": f"{n}@example.org"} for n in range(1001)]}))
    assert not_checked()["entries"] == ["entries"]
    draft.autosave(
        document(
            template={"subject": "Hi", "text": {"path": "nothere.txt"}},
            attachments={"base_path": "nowhere", "global": [{"file_filter": "*.pdf"}]},
            entries={"source": {"path": "nothere.csv"}},
        )
    )
    assert not_checked() == {
        "template": ["files"],
        "attachments": ["files"],
        "entries": ["files", "entries"],
        "delivery": [],
        "all": ["files", "entries"],
    }


def test_the_mail_account_that_a_section_names_is_looked_up(api: Api) -> None:
    account = {"name": "office", "smtp": {"host": "mail.example.org"}}
    account |= {"from_addresses": ["@example.org"]}
    assert api.acme.post(f"{letters.V1}/accounts", json=account).status_code == 201
    draft = begin(api.acme)
    draft.autosave(document(server={"account": "offce"}))
    assert codes(draft, "server") == [("unknown-account", "/server/account")]
    draft.autosave(
        document(server={"account": "office"}, recipients={"from": "Eve <eve@example.com>"})
    )
    assert codes(draft, "server") == []
    assert codes(draft, "sender") == [("sender-not-allowed", "/recipients/from")]


def test_an_unknown_key_in_a_section_hides_nothing(api: Api) -> None:
    draft = begin(api.acme)
    draft.autosave(document(template={"subject": "Hi ${x}", "text": "x", "txet": "z"}, entires={}))
    assert codes(draft, "template") == [
        ("unknown-key", "/template/txet"),
        ("unknown-placeholder", "/template/subject"),
    ]


def test_what_only_a_broken_section_causes_is_not_said(api: Api) -> None:
    draft = begin(api.acme)
    draft.autosave(
        config(
            fields=[{"nome": "n"}],
            recipients={"from": 7, "to": "a@example.org"},
            template={"subject": "Hi ${n}", "text": "x"},
        )
    )
    assert codes(draft, "template") == []
    assert codes(draft, "sender") == [("wrong-type", "/recipients/from")]


def test_of_many_findings_an_answer_names_the_first(api: Api) -> None:
    draft = begin(api.acme)
    draft.autosave(config(fields=[{"name": f"n {n}"} for n in range(150)]))
    for answer in (
        draft.post("validate-partial", {"section": "fields"}),
        draft.post("publish", None, 422),
    ):
        assert answer["issue_count"] == 150
        assert [each["pointer"] for each in answer["issues"]] == [
            f"/fields/{n}/name" for n in range(100)
        ]


def test_another_id_is_an_issue_of_the_basics(api: Api) -> None:
    draft = begin(api.acme)
    draft.autosave(config(campaign={"id": "other", "name": "Other", "mode": "draft"}))
    assert codes(draft, "basics") == [("invalid-value", "/campaign/id")]


def test_jinja_is_not_allowed_unless_the_tenant_says_so(api: Api) -> None:
    draft = begin(api.acme)
    draft.autosave(document(template={"subject": "Hi", "text": "{% if %}", "engine": "jinja2"}))
    assert codes(draft, "template") == [("jinja-not-allowed", "/template/engine")]
    with api.program.sessions() as session:
        tenant = session.get(Tenant, api.acme_id)
        assert tenant is not None
        tenant.jinja_allowed = True
        session.commit()
    assert codes(draft, "template") == [("bad-template", "/template/text")]


# ---------------------------------------------------------------- workflow


def test_a_version_is_handed_in_and_given_back(api: Api) -> None:
    draft = begin(api.acme)
    answer = draft.post("publish")
    assert (answer["workflow_state"], answer["is_complete"]) == ("under_review", True)
    assert answer["published_at"] is not None
    assert "save" not in answer["allowed_actions"]
    assert {"reopen", "build"} <= set(answer["allowed_actions"])
    draft.autosave(config(fields=[]), 409)
    draft.post("publish", None, 409)
    assert draft.post("reopen")["workflow_state"] == "editing"
    draft.post("reopen", None, 409)
    draft.autosave(config(fields=[]))


def test_only_a_campaign_file_is_handed_in(api: Api) -> None:
    draft = begin(api.acme)
    draft.autosave({"campaign": {"id": "cards"}})
    issues = draft.post("publish", None, 422)["issues"]
    assert {each["pointer"] for each in issues} == {"/version", "/campaign/name"}
    draft.autosave(config(campaign={"id": "other", "name": "Other"}))
    assert draft.post("publish", None, 422)["issues"][0]["pointer"] == "/campaign/id"
    assert draft.get()["workflow_state"] == "editing"


def test_an_edit_of_a_built_version_makes_the_next_one(api: Api) -> None:
    draft = built(api, take(api.acme, server={"smtp": SMTP}, fields=[PIN], global_values={}))
    before = draft.get()
    assert "save_as_next" in before["allowed_actions"]
    # Nothing new, so nothing made.
    assert draft.put(before["config"])["id"] == draft.id
    changed = {**before["config"], "recipients": {"from": "new@example.org"}}
    answer = api.acme.put(draft.url, json={"campaign_json": changed})
    assert answer.status_code == 201
    made = answer.json()
    assert made["number"] == 2
    assert (made["workflow_state"], made["revision"]) == ("editing", 1)
    assert answer.headers["Location"].endswith(f"/versions/{made['id']}")
    assert answer.headers["ETag"] == made["etag"]
    assert made["config"]["recipients"] == {"from": "new@example.org"}
    after = Draft(api.acme, draft.campaign_id, made["id"])
    assert password(api, after) == "geheim-1"
    # The built one is what it was.
    shown = draft.get()
    assert (shown["config"], shown["etag"]) == (before["config"], before["etag"])
    assert "save_as_next" not in shown["allowed_actions"]
    # A second one would lose the first out of sight.
    answer = api.acme.put(draft.url, json={"campaign_json": config()})
    assert answer.status_code == 409
    assert answer.json()["current"]["id"] == made["id"]
    assert answer.headers["ETag"] == made["etag"]
    listed = api.acme.get(draft.url.rpartition("/")[0]).json()["items"]
    assert [each["number"] for each in listed] == [2, 1]


def test_saving_while_it_is_built_ends_the_build(api: Api, tmp_path: Path) -> None:
    draft = take(api.acme)
    version_id = UUID(draft.id)
    actor = letters.system(api)
    workshop = api.program.workshop(silent)
    prepared = prepare_version(workshop, actor, version_id)
    draft.autosave(config(template={"subject": "Other", "text": "Other."}))
    with pytest.raises(Conflict, match="since it was checked"):
        build_version(workshop, actor, version_id, prepared)

    prepared = prepare_version(workshop, actor, version_id)
    saved = False

    def save_meanwhile(phase: str, _done: int, _total: int | None) -> None:
        nonlocal saved
        if phase == "Building letters" and not saved:
            saved = True
            draft.autosave(config(template={"subject": "Third", "text": "Third."}))

    draft.autosave(document())
    workshop = api.program.workshop(save_meanwhile)
    prepared = prepare_version(workshop, actor, version_id)
    with pytest.raises(Conflict, match="changed it"):
        build_version(workshop, actor, version_id, prepared)
    assert draft.get()["built_at"] is None


def test_edited_by_the_api_a_version_is_confined(api: Api, tmp_path: Path) -> None:
    made = letters.build(api, tmp_path)
    draft = Draft(api.acme, str(made.campaign_id), str(made.version_id))
    assert draft.get()["is_confined"] is False
    assert draft.put(config(), 201)["is_confined"] is True
