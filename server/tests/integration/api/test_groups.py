"""Groups: users who share roles."""

from __future__ import annotations

from tests.integration.api.conftest import Api
from tests.integration.api.people import add_person, audited, bearer
from tests.integration.api.test_users import USERS, make_role, make_user

GROUPS = "/api/v1/admin/groups"


def make_group(api: Api, name: str = "Office") -> str:
    answer = api.acme.post(GROUPS, json={"name": name})
    assert answer.status_code == 201, answer.text
    return f"{GROUPS}/{answer.json()['id']}"


def test_a_group_is_made_changed_and_deleted(api: Api) -> None:
    path = make_group(api)
    role = make_role(api.acme, "reader", "campaign:read")
    ada = make_user(api.acme, "ada@example.org")
    given = api.acme.put(f"{path}/roles", json={"role_ids": [role, role]}).json()
    assert given["roles"] == [{"id": role, "name": "reader"}]
    filled = api.acme.put(f"{path}/members", json={"user_ids": [ada, ada]}).json()
    assert filled["member_count"] == 1
    assert api.acme.get(path).json() == filled
    assert api.acme.patch(path, json={"name": "Back office"}).json()["name"] == "Back office"
    assert api.acme.patch(path, json={}).json()["name"] == "Back office"
    assert api.acme.patch(path, json={"name": None}).status_code == 422
    assert api.acme.delete(path).status_code == 204
    assert api.acme.get(path).status_code == 404
    assert api.acme.get(f"{USERS}/{ada}").json()["groups"] == []
    assert [action for _, action in audited(api) if action.startswith("group.")] == [
        "group.created",
        "group.roles_set",
        "group.members_set",
        "group.updated",
        "group.deleted",
    ]


def test_members_have_its_roles_at_once(api: Api) -> None:
    ada = add_person(api, scopes=[])
    client = bearer(api)
    path = make_group(api)
    role = make_role(api.acme, "readers", "admin:users")
    api.acme.put(f"{path}/roles", json={"role_ids": [role]})
    assert client.get(USERS).status_code == 403
    api.acme.put(f"{path}/members", json={"user_ids": [str(ada)]})
    assert client.get(USERS).status_code == 200
    # Bob has none yet, so Ada is the only one who could still administer.
    make_user(api.acme, "bob@example.org", role, password="an entirely new phrase")
    assert api.acme.put(f"{path}/members", json={"user_ids": []}).status_code == 200
    assert client.get(USERS).status_code == 403


def test_nobody_renames_a_group_that_gives_more_than_he_holds(api: Api) -> None:
    path = make_group(api)
    role = make_role(api.acme, "senders", "campaign:send")
    clerk = api.client("admin:users")
    assert clerk.patch(path, json={"name": "Mine"}).status_code == 200
    api.acme.put(f"{path}/roles", json={"role_ids": [role]})
    refused = clerk.patch(path, json={"name": "Interns"})
    assert refused.status_code == 403
    assert "campaign:send" in refused.json()["detail"]
    assert api.acme.get(path).json()["name"] == "Mine"


def test_a_name_has_one_group(api: Api) -> None:
    make_group(api, "Office")
    path = make_group(api, "Board")
    assert api.acme.post(GROUPS, json={"name": "Office"}).status_code == 409
    assert api.acme.patch(path, json={"name": "Office"}).status_code == 409
    for bad in ("", " ", "a\nb", "x" * 201, " Office"):
        assert api.acme.post(GROUPS, json={"name": bad}).status_code == 422


def test_the_list_is_sorted_and_paged(api: Api) -> None:
    for name in ("B", "A", "C"):
        make_group(api, name)
    first = api.acme.get(f"{GROUPS}?limit=2").json()
    assert [each["name"] for each in first["items"]] == ["A", "B"]
    rest = api.acme.get(f"{GROUPS}?limit=2&cursor={first['next_cursor']}").json()
    assert [each["name"] for each in rest["items"]] == ["C"]
    newest = api.acme.get(f"{GROUPS}?sort=-created_at").json()["items"]
    assert [each["name"] for each in newest] == ["C", "A", "B"]


def test_a_group_is_no_way_up(api: Api) -> None:
    path = make_group(api)
    mighty = make_role(api.acme, "sender", "campaign:send")
    eve = make_user(api.acme, "eve@example.org")
    clerk = api.client("admin:users")
    assert clerk.put(f"{path}/roles", json={"role_ids": [mighty]}).status_code == 403
    api.acme.put(f"{path}/roles", json={"role_ids": [mighty]})
    assert clerk.put(f"{path}/members", json={"user_ids": [eve]}).status_code == 403
    assert clerk.put(f"{path}/roles", json={"role_ids": []}).status_code == 403
    assert clerk.delete(path).status_code == 403
    assert api.acme.get(path).json()["member_count"] == 0


def test_a_stranger_finds_no_group_and_brings_nobody(api: Api) -> None:
    path = make_group(api)
    role = make_role(api.acme, "reader", "campaign:read")
    ada = make_user(api.acme, "ada@example.org")
    own = f"{GROUPS}/{api.rival.post(GROUPS, json={'name': 'Own'}).json()['id']}"
    for answer in (
        api.rival.get(path),
        api.rival.patch(path, json={"name": "Mine"}),
        api.rival.put(f"{path}/members", json={"user_ids": []}),
        api.rival.put(f"{path}/roles", json={"role_ids": []}),
        api.rival.delete(path),
        api.rival.put(f"{own}/members", json={"user_ids": [ada]}),
        api.rival.put(f"{own}/roles", json={"role_ids": [role]}),
    ):
        assert answer.status_code == 404
    assert [each["name"] for each in api.rival.get(GROUPS).json()["items"]] == ["Own"]
