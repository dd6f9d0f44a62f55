"""Secrets of versions under edit: sealed, kept, forgotten, and never shown."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.db.models import CampaignVersion
from app.mailer.services.import_campaign import stored_campaign
from tests.integration.api.conftest import Api
from tests.integration.api.drafts import PIN, SMTP, Draft, begin, config, password, take
from tests.integration.services.pipeline.desk import document, entry


def stored(api: Api, draft: Draft) -> CampaignVersion:
    with api.program.sessions() as session:
        version = session.get(CampaignVersion, UUID(draft.id))
        assert version is not None
        session.refresh(version, ["config", "secrets"])
        return version


def test_secrets_of_a_draft_are_sealed_and_marked(api: Api) -> None:
    draft = begin(api.acme)
    draft.autosave(
        config(
            server={"smtp": SMTP, "imap": {"password": {"odd": "geheim-2"}}},
            attachments={"zip": {"password": "geheim-3"}},
            # Misspelt, and not even a field yet.
            fields=[{"name": "pin", "type": " Secret"}, {"type": "secret", "default": "geheim-4"}],
            global_values={"pin": "geheim-5"},
            entries={"inline": [7, {"values": {"pin": "geheim-6"}}]},
        )
    )
    shown = api.acme.get(draft.url).text
    assert "geheim" not in shown
    kept = draft.get()["config"]
    assert kept["server"]["smtp"]["password"] == "secret:/server/smtp/password"
    assert kept["entries"]["inline"][1]["values"]["pin"] == "secret:/entries/inline/1/values/pin"
    row = stored(api, draft)
    assert row.secrets is not None
    assert b"geheim" not in row.secrets
    assert "geheim" not in str(row.config)


def test_a_mark_keeps_the_secret_and_null_removes_it(api: Api) -> None:
    draft = begin(api.acme)
    whole = document(server={"smtp": SMTP})
    draft.autosave(whole)
    marked = draft.get()["config"]
    draft.autosave({**marked, "fields": [{"name": "a"}]})
    assert password(api, draft) == "geheim-1"
    marked["server"]["smtp"]["password"] = "geheim-9"
    draft.autosave(marked)
    assert password(api, draft) == "geheim-9"
    marked["server"]["smtp"]["password"] = None
    draft.autosave(marked)
    assert password(api, draft) is None


@pytest.mark.parametrize("made", ["written", "imported"])
def test_another_host_forgets_the_password(api: Api, made: str) -> None:
    whole = document(server={"smtp": SMTP})
    if made == "written":
        draft = begin(api.acme)
        draft.autosave(whole)
    else:
        draft = take(api.acme, server={"smtp": SMTP})
    assert password(api, draft) == "geheim-1"
    shown = draft.get()["config"]
    shown["recipients"] = {"from": "new@example.org"}
    draft.put(shown)
    assert password(api, draft) == "geheim-1"
    moved = {**shown, "server": {"smtp": {**shown["server"]["smtp"], "host": "evil.example"}}}
    draft.put(moved)
    assert "password" not in draft.get()["config"]["server"]["smtp"]
    assert password(api, draft) is None
    # Going back does not bring it back.
    draft.put(shown)
    assert password(api, draft) is None


def test_a_secret_cannot_be_moved_to_where_it_would_show(api: Api) -> None:
    draft = begin(api.acme)
    draft.autosave(document(server={"smtp": SMTP}))
    shown = draft.get()["config"]
    mark = shown["server"]["smtp"]["password"]
    stolen = {
        **shown,
        "fields": [{"name": "shown"}],
        "global_values": {"shown": mark},
        "template": {"subject": "Hi", "text": "${global::shown}"},
        "attachments": {"zip": {"enabled": True, "password": mark}},
    }
    draft.put(stolen)
    kept = draft.get()["config"]
    assert "shown" not in kept["global_values"]
    assert "password" not in kept["attachments"]["zip"]
    assert password(api, draft) == "geheim-1"


@pytest.mark.parametrize("other", ["changed", "declared again"])
def test_a_secret_does_not_outlive_the_type_of_its_field(api: Api, other: str) -> None:
    draft = begin(api.acme)
    entries = [entry(values={"pin": "geheim-1"}, to=["${local::pin}"])]
    draft.autosave(document(fields=[PIN], entries={"inline": entries}))
    shown = draft.get()["config"]
    number = {**PIN, "type": "integer"}
    shown["fields"] = [number] if other == "changed" else [PIN, number]
    draft.put(shown)
    assert "pin" not in draft.get()["config"]["entries"]["inline"][0]["values"]
    for section in ("fields", "recipients", "all"):
        assert "geheim-1" not in str(draft.post("validate-partial", {"section": section}))
    # Going back does not bring it back.
    shown["fields"] = [PIN]
    draft.put(shown)
    assert "pin" not in draft.get()["config"]["entries"]["inline"][0]["values"]


def test_secrets_go_with_their_entries(api: Api) -> None:
    draft = begin(api.acme)
    entries = [entry(number, values={"pin": f"pin-{number}"}) for number in range(3)]
    draft.autosave(document(fields=[PIN], entries={"inline": entries}))
    shown = draft.get()["config"]
    shown["entries"]["inline"] = shown["entries"]["inline"][::-1][:2]
    draft.autosave(shown)
    with api.program.sessions() as session:
        version = session.get(CampaignVersion, UUID(draft.id))
        assert version is not None
        kept = stored_campaign(version, api.program.box).entries.inline
    assert [(each["id"], each["values"]["pin"]) for each in kept] == [
        ("e2", "pin-2"),
        ("e1", "pin-1"),
    ]
