"""The edit lock."""

from __future__ import annotations

from tests.integration.api.conftest import Api
from tests.integration.api.drafts import begin, config, person
from tests.integration.api.people import moved_clock


def test_a_lock_keeps_others_from_writing(api: Api) -> None:
    clock = moved_clock(api)
    ada, bob = person(api, "ada"), person(api, "bob", "campaign:read", "campaign:write")
    draft = begin(ada)
    shown = draft.post("lock")
    assert shown["locked_by"] is not None
    assert shown["etag"] == draft.get()["etag"]
    his = draft.by(bob)
    assert "save" not in his.get()["allowed_actions"]
    his.autosave(config(fields=[]), 423, etag=shown["etag"])
    his.post("publish", None, 423)
    his.post("lock", None, 423)
    refused = his.post("unlock", None, 423)
    assert refused["detail"].startswith(f"{shown['locked_by']} has the edit lock")
    assert "force" in refused["hint"]
    his.post("lock", {"force": True}, 403)
    his.post("unlock", {"force": True}, 403)
    # Saving renews it.
    clock.move(minutes=14)
    draft.autosave(config(fields=[]))
    clock.move(minutes=14)
    his.post("lock", None, 423)
    clock.move(minutes=1)
    assert his.get()["locked_by"] is None
    assert his.post("lock")["locked_by"] is not None
    draft.autosave(config(), 423)
    # Whoever may approve may take it over.
    draft.post("lock", {"force": True})
    draft.autosave(config())
    assert draft.post("unlock")["locked_by"] is None
    draft.post("unlock")


def test_a_lock_is_a_persons(api: Api) -> None:
    draft = begin(api.acme)
    assert "nobody's" in draft.post("lock", None, 409)["detail"]
