"""A tenant's own settings."""

from __future__ import annotations

import pytest

from tests.integration.api.conftest import Api

TENANT = "/api/v1/admin/tenant"


def test_only_what_is_sent_changes(api: Api) -> None:
    before = api.acme.get(TENANT).json()
    assert before["slug"] == "acme"
    assert (before["approval"], before["jinja_allowed"], before["quota_bytes"]) == (
        "none",
        False,
        None,
    )
    sent = {"approval": "two_person", "quota_bytes": 5, "already_sent_days": 0}
    assert api.acme.patch(TENANT, json=sent).json() == {**before, **sent}
    assert api.acme.patch(TENANT, json={"quota_bytes": None}).json()["quota_bytes"] is None
    assert api.acme.patch(TENANT, json={}).json()["approval"] == "two_person"
    assert api.acme.patch(TENANT, json={"name": "Acme Ltd."}).json()["name"] == "Acme Ltd."
    assert api.rival.get(TENANT).json()["approval"] == "none"
    entries = api.acme.get("/api/v1/audit?action=tenant.updated&sort=sequence").json()["items"]
    assert len(entries) == 3
    assert entries[0]["before"] == {
        "approval": "none",
        "quota_bytes": None,
        "already_sent_days": 30,
    }
    assert entries[0]["after"] == sent


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": None},
        {"approval": "maybe"},
        {"approval": None},
        {"jinja_allowed": None},
        {"already_sent_days": -1},
        {"already_sent_days": 3651},
        {"already_sent_days": None},
        {"quota_bytes": -1},
        {"quota_bytes": 2**80},
        {"slug": "other"},
        {"id": "0b9f1c1e-3a52-4b8a-8a0e-1f4b1d6c7e55"},
    ],
)
def test_a_faulty_change_changes_nothing(api: Api, body: dict[str, object]) -> None:
    before = api.acme.get(TENANT).json()
    assert api.acme.patch(TENANT, json={"name": "Other", **body}).status_code == 422
    assert api.acme.get(TENANT).json() == before


def test_asking_for_less_approval_needs_the_scope_to_approve(api: Api) -> None:
    office = api.client("admin:tenant", "campaign:send")
    for rule in ("required", "two_person", "two_person"):
        assert office.patch(TENANT, json={"approval": rule}).status_code == 200
    for rule in ("none", "required"):
        refused = office.patch(TENANT, json={"approval": rule, "name": "Other"})
        assert refused.status_code == 403
        assert "campaign:approve" in refused.json()["detail"]
    kept = office.patch(TENANT, json={"quota_bytes": 5}).json()
    assert (kept["approval"], kept["name"]) == ("two_person", "Acme")
    approver = api.client("admin:tenant", "campaign:approve")
    assert approver.patch(TENANT, json={"approval": "none"}).json()["approval"] == "none"


def test_it_needs_its_scope(api: Api) -> None:
    clerk = api.client("admin:users", "admin:api-keys", "campaign:*")
    assert clerk.get(TENANT).status_code == 403
    assert clerk.patch(TENANT, json={"jinja_allowed": True}).status_code == 403
    assert api.acme.get(TENANT).json()["jinja_allowed"] is False
