"""Administering users: nobody rises above himself, and nobody locks the tenant out."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from tests.integration.api.conftest import Api
from tests.integration.api.people import (
    PASSWORD,
    add_person,
    audited,
    bearer,
    login,
    visitor,
)

USERS = "/api/v1/admin/users"
ROLES = "/api/v1/admin/roles"
NEW = "an entirely new phrase"


def make_role(client: TestClient, name: str, *scopes: str) -> str:
    answer = client.post(ROLES, json={"name": name, "scopes": list(scopes)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def make_user(client: TestClient, email: str, *role_ids: str, **more: Any) -> str:
    body = {"email": email, "role_ids": list(role_ids), **more}
    answer = client.post(USERS, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_user_is_made_changed_and_deleted(api: Api) -> None:
    role = make_role(api.acme, "reader", "campaign:read")
    body = {
        "email": "Ada@Example.org",
        "display_name": "Ada",
        "password": PASSWORD,
        "role_ids": [role],
    }
    made = api.acme.post(USERS, json=body)
    assert made.status_code == 201
    assert PASSWORD not in made.text
    user = made.json()
    assert (user["email"], user["has_password"], user["has_totp"]) == (
        "ada@example.org",
        True,
        False,
    )
    assert [each["name"] for each in user["roles"]] == ["reader"]
    ada = f"{USERS}/{user['id']}"
    assert api.acme.get(ada).json() == user
    client = bearer(api)
    assert client.get("/api/v1/auth/me").json()["name"] == "Ada"
    changed = api.acme.patch(ada, json={"display_name": "Ada L."}).json()
    assert changed == {
        **user,
        "display_name": "Ada L.",
        "last_login_at": changed["last_login_at"],
    }
    assert api.acme.patch(ada, json={"email": "ada@müller.example"}).status_code == 200
    assert login(visitor(api), "ADA@müller.example").status_code == 200
    assert api.acme.patch(ada, json={}).status_code == 200
    assert api.acme.delete(ada).status_code == 204
    assert api.acme.get(ada).status_code == 404
    assert client.get("/api/v1/auth/me").status_code == 401
    did = [action for _, action in audited(api)]
    assert [each for each in did if each.startswith("user.")] == [
        "user.created",
        "user.updated",
        "user.updated",
        "user.deleted",
    ]
    # Who is gone is still named.
    assert ("Ada", "session.opened") in audited(api)


def test_the_log_says_what_was_before_and_after(api: Api) -> None:
    user = make_user(api.acme, "ada@example.org", password=PASSWORD)
    api.acme.patch(f"{USERS}/{user}", json={"is_active": False})
    found = api.acme.get("/api/v1/audit?action=user.updated")
    (entry,) = found.json()["items"]
    assert (entry["before"], entry["after"]) == ({"is_active": True}, {"is_active": False})
    assert PASSWORD not in api.acme.get("/api/v1/audit").text


def test_an_address_has_one_user_in_each_tenant(api: Api) -> None:
    ada = make_user(api.acme, "ada@example.org")
    assert api.acme.post(USERS, json={"email": "ADA@example.org"}).status_code == 409
    assert api.rival.post(USERS, json={"email": "ada@example.org"}).status_code == 201
    bob = make_user(api.acme, "bob@example.org")
    assert api.acme.patch(f"{USERS}/{bob}", json={"email": "ada@example.org"}).status_code == 409
    assert api.acme.patch(f"{USERS}/{ada}", json={"email": "ada@example.org"}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "nonsense"},
        {"email": "a\0@example.org"},
        {"email": "ada@example.org", "password": "short"},
        {"email": "ada@example.org", "password": "ada@example.org"},
        {"email": "ada@example.org", "display_name": "a\nb"},
        {"email": "ada@example.org", "role_ids": ["nonsense"]},
        {"email": "ada@example.org", "password_hash": "x"},
        {"email": None},
    ],
)
def test_a_faulty_user_is_refused(api: Api, body: dict[str, object]) -> None:
    assert api.acme.post(USERS, json=body).status_code == 422
    assert api.acme.get(USERS).json()["items"] == []


def test_null_is_not_the_same_as_left_out(api: Api) -> None:
    ada = make_user(api.acme, "ada@example.org", display_name="Ada")
    for member in ("email", "display_name", "is_active"):
        assert api.acme.patch(f"{USERS}/{ada}", json={member: None}).status_code == 422
    assert api.acme.get(f"{USERS}/{ada}").json()["display_name"] == "Ada"


def test_the_list_is_filtered_sorted_and_paged(api: Api) -> None:
    role = make_role(api.acme, "reader", "campaign:read")
    group = api.acme.post("/api/v1/admin/groups", json={"name": "Office"}).json()["id"]
    api.acme.put(f"/api/v1/admin/groups/{group}/roles", json={"role_ids": [role]})
    ids = {
        name: make_user(api.acme, f"{name}@example.org", display_name=name.capitalize())
        for name in ("carl", "ada", "bob", "dora_100%")
    }
    api.acme.put(f"{USERS}/{ids['ada']}/roles", json={"role_ids": [role]})
    api.acme.put(f"/api/v1/admin/groups/{group}/members", json={"user_ids": [ids["bob"]]})
    api.acme.patch(f"{USERS}/{ids['carl']}", json={"is_active": False})

    def names(query: str) -> list[str]:
        answer = api.acme.get(f"{USERS}?{query}")
        assert answer.status_code == 200, answer.text
        return [each["email"].partition("@")[0] for each in answer.json()["items"]]

    assert names("") == ["ada", "bob", "carl", "dora_100%"]
    assert names("sort=-email") == ["dora_100%", "carl", "bob", "ada"]
    assert names("sort=-created_at&limit=1") == ["dora_100%"]
    assert names("search=CAR") == names("q=CAR") == names("search=CAR&q=bob") == ["carl"]
    assert names("search=0%25") == ["dora_100%"]
    assert names("search=_") == ["dora_100%"]
    assert api.acme.get(f"{USERS}?search=%00").status_code == 422
    assert names("is_active=false") == ["carl"]
    assert names(f"role_id={role}") == ["ada", "bob"]
    assert names(f"group_id={group}") == ["bob"]
    assert names(f"role_id={uuid4()}") == []
    assert api.acme.get(f"{USERS}?sort=password_hash").status_code == 422
    first = api.acme.get(f"{USERS}?limit=3").json()
    rest = api.acme.get(f"{USERS}?limit=3&cursor={first['next_cursor']}").json()
    assert [each["display_name"] for each in rest["items"]] == ["Dora_100%"]
    (bob,) = api.acme.get(f"{USERS}?search=bob").json()["items"]
    assert [each["name"] for each in bob["groups"]] == ["Office"]
    assert bob["roles"] == []
    assert api.rival.get(f"{USERS}?role_id={role}").json()["items"] == []


# -- what is another tenant's


def test_a_stranger_finds_nobody(api: Api) -> None:
    ada = make_user(api.acme, "ada@example.org")
    own = make_user(api.rival, "own@example.org")
    role = make_role(api.acme, "reader", "campaign:read")
    path = f"{USERS}/{ada}"
    assert api.rival.get(path).status_code == 404
    assert api.rival.patch(path, json={"is_active": False}).status_code == 404
    assert api.rival.put(f"{path}/password", json={"password": NEW}).status_code == 404
    assert api.rival.put(f"{path}/roles", json={"role_ids": []}).status_code == 404
    assert api.rival.get(f"{path}/sessions").status_code == 404
    assert api.rival.post(f"{path}/sessions/revoke").status_code == 404
    assert api.rival.delete(path).status_code == 404
    assert api.rival.put(f"{USERS}/{own}/roles", json={"role_ids": [role]}).status_code == 404
    body = {"email": "new@example.org", "role_ids": [role]}
    assert api.rival.post(USERS, json=body).status_code == 404
    assert [each["id"] for each in api.rival.get(USERS).json()["items"]] == [own]
    assert api.acme.get(path).json()["is_active"] is True


# -- nobody rises above himself


def test_nobody_gives_what_he_does_not_hold(api: Api) -> None:
    mighty = make_role(api.acme, "sender", "campaign:send")
    modest = make_role(api.acme, "reader", "campaign:read")
    clerk = api.client("admin:users", "campaign:read")
    body = {"email": "eve@example.org", "role_ids": [mighty]}
    refused = clerk.post(USERS, json=body)
    assert (refused.status_code, "campaign:send" in refused.json()["detail"]) == (403, True)
    eve = make_user(clerk, "eve@example.org", modest)
    path = f"{USERS}/{eve}/roles"
    assert clerk.put(path, json={"role_ids": [modest, mighty]}).status_code == 403
    assert clerk.put(path, json={"role_ids": []}).status_code == 200
    assert api.acme.put(path, json={"role_ids": [mighty]}).status_code == 200


def test_a_mightier_user_is_out_of_reach(api: Api) -> None:
    owner = make_user(
        api.acme, "owner@example.org", make_role(api.acme, "all", "*"), password=PASSWORD
    )
    clerk = api.client("admin:users", "campaign:read")
    path = f"{USERS}/{owner}"
    for answer in (
        clerk.put(f"{path}/password", json={"password": NEW}),
        clerk.patch(path, json={"email": "eve@example.org"}),
        clerk.patch(path, json={"is_active": False}),
        clerk.put(f"{path}/roles", json={"role_ids": []}),
        clerk.post(f"{path}/totp/reset"),
        clerk.post(f"{path}/sessions/revoke"),
        clerk.delete(path),
    ):
        assert answer.status_code == 403, answer.text
    assert clerk.get(path).status_code == 200
    assert login(visitor(api), "owner@example.org").status_code == 200


def test_a_new_password_by_an_administrator_ends_the_sessions(api: Api) -> None:
    add_person(api, scopes=["campaign:read"])
    client = bearer(api)
    ada = client.get("/api/v1/auth/me").json()["id"]
    path = f"{USERS}/{ada}/password"
    for bad in ("short", "ada@example.org"):
        assert api.acme.put(path, json={"password": bad}).status_code == 422
    assert client.get("/api/v1/auth/me").status_code == 200
    assert api.acme.put(path, json={"password": NEW}).status_code == 204
    assert client.get("/api/v1/auth/me").status_code == 401
    assert login(visitor(api)).status_code == 401
    assert login(visitor(api), password=NEW).status_code == 200


def test_ones_own_password_needs_the_old_one(api: Api) -> None:
    ada = add_person(api)
    answer = bearer(api).put(f"{USERS}/{ada}/password", json={"password": NEW})
    assert answer.status_code == 409
    assert login(visitor(api)).status_code == 200


def test_a_disabled_user_is_out_at_once_and_for_good(api: Api) -> None:
    add_person(api, scopes=["campaign:read"])
    client = bearer(api)
    ada = client.get("/api/v1/auth/me").json()["id"]
    api.acme.patch(f"{USERS}/{ada}", json={"is_active": False})
    assert client.get("/api/v1/auth/me").status_code == 401
    assert login(visitor(api)).status_code == 401
    api.acme.patch(f"{USERS}/{ada}", json={"is_active": True})
    # The old session does not come back to life.
    assert client.get("/api/v1/auth/me").status_code == 401
    assert login(visitor(api)).status_code == 200


def test_sessions_are_seen_and_ended_by_an_administrator(api: Api) -> None:
    ada = add_person(api)
    clients = [bearer(api), bearer(api)]
    path = f"{USERS}/{ada}/sessions"
    listed = api.acme.get(path).json()["items"]
    assert len(listed) == 2
    assert [each["is_current"] for each in listed] == [False, False]
    assert api.acme.post(f"{path}/revoke").json() == {"ended": 2}
    assert api.acme.post(f"{path}/revoke").json() == {"ended": 0}
    assert api.acme.get(path).json()["items"] == []
    assert [each.get("/api/v1/auth/me").status_code for each in clients] == [401, 401]


# -- nobody locks the tenant out


def test_the_last_administrator_stays(api: Api) -> None:
    role = make_role(api.acme, "admins", "admin:*")
    ada = make_user(api.acme, "ada@example.org", role, password=PASSWORD)
    # No administrator: the one is disabled, the other has no password.
    off = make_user(api.acme, "off@example.org", role, password=PASSWORD)
    api.acme.patch(f"{USERS}/{off}", json={"is_active": False})
    make_user(api.acme, "mute@example.org", role)
    path = f"{USERS}/{ada}"
    for answer in (
        api.acme.patch(path, json={"is_active": False}),
        api.acme.put(f"{path}/roles", json={"role_ids": []}),
        api.acme.delete(path),
        api.acme.delete(f"{ROLES}/{role}"),
        api.acme.patch(f"{ROLES}/{role}", json={"scopes": ["campaign:read"]}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    assert api.acme.get(path).json()["is_active"] is True
    api.acme.patch(f"{USERS}/{off}", json={"is_active": True})
    assert api.acme.delete(path).status_code == 204


def test_the_last_administrator_by_a_group_stays(api: Api) -> None:
    role = make_role(api.acme, "admins", "*")
    ada = make_user(api.acme, "ada@example.org", password=PASSWORD)
    group = api.acme.post("/api/v1/admin/groups", json={"name": "Office"}).json()["id"]
    path = f"/api/v1/admin/groups/{group}"
    assert api.acme.put(f"{path}/roles", json={"role_ids": [role]}).status_code == 200
    assert api.acme.put(f"{path}/members", json={"user_ids": [ada]}).status_code == 200
    for answer in (
        api.acme.put(f"{path}/members", json={"user_ids": []}),
        api.acme.put(f"{path}/roles", json={"role_ids": []}),
        api.acme.delete(path),
        api.acme.patch(f"{USERS}/{ada}", json={"is_active": False}),
    ):
        assert answer.status_code == 409
    assert api.acme.get(path).json()["member_count"] == 1


def test_two_administrators_cannot_throw_each_other_out_at_once(api: Api) -> None:
    role = make_role(api.acme, "admins", "*")
    pair = [
        make_user(api.acme, f"{name}@example.org", role, password=PASSWORD)
        for name in ("ada", "bob")
    ]
    statuses: list[int] = []

    def throw_out(user: str) -> None:
        statuses.append(api.acme.patch(f"{USERS}/{user}", json={"is_active": False}).status_code)

    threads = [threading.Thread(target=throw_out, args=(user,)) for user in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 409]
