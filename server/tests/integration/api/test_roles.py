"""Roles: named sets of scopes."""

from __future__ import annotations

from app.access.scopes import Scope
from tests.integration.api.conftest import Api
from tests.integration.api.people import add_person, audited, bearer
from tests.integration.api.test_users import ROLES, USERS, make_role


def test_every_scope_is_told_with_its_meaning(api: Api) -> None:
    found = api.acme.get("/api/v1/admin/scopes").json()
    assert {each["scope"] for each in found} == set(Scope)
    assert all(each["meaning"] for each in found)


def test_a_role_is_made_changed_and_deleted(api: Api) -> None:
    role = make_role(api.acme, "reader", "campaign:read", "audit:read", "audit:read")
    path = f"{ROLES}/{role}"
    assert api.acme.get(path).json() == {
        "id": role,
        "name": "reader",
        "scopes": ["audit:read", "campaign:read"],
    }
    assert api.acme.patch(path, json={"name": "looker"}).json()["scopes"] == [
        "audit:read",
        "campaign:read",
    ]
    assert api.acme.patch(path, json={"scopes": ["files:*"]}).json()["name"] == "looker"
    assert api.acme.patch(path, json={}).status_code == 200
    assert api.acme.delete(path).status_code == 204
    assert api.acme.get(path).status_code == 404
    assert [action for _, action in audited(api)] == [
        "role.created",
        "role.updated",
        "role.updated",
        "role.deleted",
    ]


def test_what_is_no_scope_is_refused(api: Api) -> None:
    for scopes in (["campaign:raed"], ["*:*"], [""], ["campaign:read\0"], "*", None, ["*"] * 51):
        answer = api.acme.post(ROLES, json={"name": "x", "scopes": scopes})
        assert answer.status_code == 422, scopes
    assert api.acme.post(ROLES, json={"name": "x", "scopes": []}).status_code == 201


def test_a_name_has_one_role(api: Api) -> None:
    make_role(api.acme, "a")
    other = make_role(api.acme, "b")
    assert api.acme.post(ROLES, json={"name": "a", "scopes": []}).status_code == 409
    assert api.acme.patch(f"{ROLES}/{other}", json={"name": "a"}).status_code == 409


def test_nobody_makes_a_role_mightier_than_himself(api: Api) -> None:
    clerk = api.client("admin:users", "campaign:read")
    for scopes in (["campaign:send"], ["campaign:*"], ["*"], ["campaign:read", "admin:tenant"]):
        answer = clerk.post(ROLES, json={"name": "up", "scopes": scopes})
        assert answer.status_code == 403
    modest = make_role(clerk, "modest", "campaign:read")
    assert clerk.patch(f"{ROLES}/{modest}", json={"scopes": ["*"]}).status_code == 403
    mighty = f"{ROLES}/{make_role(api.acme, 'mighty', 'campaign:send')}"
    assert clerk.patch(mighty, json={"scopes": ["campaign:read"]}).status_code == 403
    assert clerk.delete(mighty).status_code == 403
    assert api.acme.get(mighty).json()["scopes"] == ["campaign:send"]


def test_a_change_acts_at_once(api: Api) -> None:
    add_person(api, "eve@example.org")
    add_person(api, scopes=["admin:users"])
    client = bearer(api)
    (role,) = [
        each for each in api.acme.get(ROLES).json()["items"] if each["name"] == "of ada@example.org"
    ]
    assert client.get(USERS).status_code == 200
    api.acme.patch(f"{ROLES}/{role['id']}", json={"scopes": []})
    assert client.get(USERS).status_code == 403


def test_a_stranger_finds_no_role(api: Api) -> None:
    path = f"{ROLES}/{make_role(api.acme, 'reader', 'campaign:read')}"
    assert api.rival.get(path).status_code == 404
    assert api.rival.patch(path, json={"name": "mine"}).status_code == 404
    assert api.rival.delete(path).status_code == 404
    assert api.rival.get(ROLES).json()["items"] == []


def test_the_list_is_paged(api: Api) -> None:
    for name in ("b", "a", "c"):
        make_role(api.acme, name)
    first = api.acme.get(f"{ROLES}?limit=2&sort=-name").json()
    assert [each["name"] for each in first["items"]] == ["c", "b"]
    rest = api.acme.get(f"{ROLES}?limit=2&sort=-name&cursor={first['next_cursor']}").json()
    assert [each["name"] for each in rest["items"]] == ["a"]
