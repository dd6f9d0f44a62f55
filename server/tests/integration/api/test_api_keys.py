"""API keys: shown once, never mightier than whoever made them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.access.keys import create_api_key
from app.settings import AppEnv
from tests.integration.api.conftest import Api
from tests.integration.api.people import add_person, audited, bearer, moved_clock, visitor
from tests.integration.api.test_users import ROLES, USERS

KEYS = "/api/v1/admin/api-keys"
ME = "/api/v1/auth/me"


def make_key(client: TestClient, *scopes: str, **more: Any) -> dict[str, Any]:
    answer = client.post(KEYS, json={"name": "Export", "scopes": list(scopes), **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def scopes_of(api: Api, key: dict[str, Any]) -> list[str] | int:
    answer = visitor(api, **{"X-API-Key": key["api_key"]}).get(ME)
    return list(answer.json()["scopes"]) if answer.status_code == 200 else answer.status_code


def test_a_key_is_shown_once(api: Api) -> None:
    made = make_key(api.acme, "campaign:read", "audit:read")
    secret = made.pop("api_key")
    assert secret.startswith(made["prefix"])
    assert len(secret) >= 46
    assert made["scopes"] == ["audit:read", "campaign:read"]
    assert api.acme.get(f"{KEYS}/{made['id']}").json() == made
    for path in (KEYS, "/api/v1/audit", f"{KEYS}/{made['id']}"):
        assert secret not in api.acme.get(path).text
    assert ("test", "api_key.created") in audited(api)


def test_its_use_is_seen_and_it_can_be_revoked(api: Api) -> None:
    made = make_key(api.acme, "campaign:read")
    path = f"{KEYS}/{made['id']}"
    assert api.acme.get(path).json()["last_used_at"] is None
    assert scopes_of(api, made) == ["campaign:read"]
    assert api.acme.get(path).json()["last_used_at"] is not None
    revoked = api.acme.post(f"{path}/revoke")
    assert revoked.status_code == 200
    assert revoked.json()["revoked_at"] is not None
    assert scopes_of(api, made) == 401
    # Again it stays as it was, and is recorded once.
    assert api.acme.post(f"{path}/revoke").json() == revoked.json()
    assert [action for _, action in audited(api)].count("api_key.revoked") == 1


def test_a_key_expires(api: Api) -> None:
    clock = moved_clock(api)
    until = (clock.now() + timedelta(hours=1)).isoformat()
    made = make_key(api.acme, "campaign:read", expires_at=until)
    assert scopes_of(api, made) == ["campaign:read"]
    clock.move(hours=1, seconds=1)
    assert scopes_of(api, made) == 401


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": []},
        {"scopes": ["nonsense"]},
        {"name": ""},
        {"name": "a\0"},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00"},
        {"expires_at": "9999-12-31T23:59:59-12:00"},
        {"expires_at": "0001-01-01T00:00:00+12:00"},
        {"expires_at": 1e300},
        {"user_id": "0b9f1c1e-3a52-4b8a-8a0e-1f4b1d6c7e55"},
    ],
)
def test_a_faulty_key_is_not_made(api: Api, body: dict[str, object]) -> None:
    before = len(api.acme.get(KEYS).json()["items"])
    answer = api.acme.post(KEYS, json={"name": "Export", "scopes": ["campaign:read"], **body})
    assert answer.status_code == 422
    assert len(api.acme.get(KEYS).json()["items"]) == before


def test_nobody_makes_a_key_mightier_than_himself(api: Api) -> None:
    clerk = api.client("admin:api-keys", "campaign:read")
    for scopes in (["campaign:send"], ["campaign:*"], ["*"], ["admin:users"]):
        answer = clerk.post(KEYS, json={"name": "up", "scopes": scopes})
        assert answer.status_code == 403
    assert make_key(clerk, "campaign:read")["scopes"] == ["campaign:read"]


def test_nobody_ends_a_key_mightier_than_himself(api: Api) -> None:
    mighty = make_key(api.acme, "*")
    equal = make_key(api.acme, "campaign:read")
    own = make_key(api.acme, "admin:api-keys", "campaign:read")
    clerk = visitor(api, **{"X-API-Key": own["api_key"]})
    refused = clerk.post(f"{KEYS}/{mighty['id']}/revoke")
    assert refused.status_code == 403
    assert "lacks *" in refused.json()["detail"]
    assert scopes_of(api, mighty) == ["*"]
    assert clerk.post(f"{KEYS}/{equal['id']}/revoke").status_code == 200
    assert clerk.post(f"{KEYS}/{own['id']}/revoke").status_code == 200
    assert scopes_of(api, own) == 401


def test_a_person_ends_a_key_of_his_own_whatever_it_may(api: Api) -> None:
    add_person(api, "boss@example.org")
    add_person(api, scopes=["admin:api-keys", "campaign:*"])
    ada = bearer(api)
    family = make_key(ada, "campaign:*")
    (role,) = [
        each for each in api.acme.get(ROLES).json()["items"] if each["name"] == "of ada@example.org"
    ]
    api.acme.patch(f"{ROLES}/{role['id']}", json={"scopes": ["admin:api-keys"]})
    assert ada.post(f"{KEYS}/{family['id']}/revoke").status_code == 200


def test_a_persons_key_does_what_the_person_may_do_now(api: Api) -> None:
    add_person(api, "boss@example.org")
    ada = str(add_person(api, scopes=["campaign:*", "admin:api-keys"]))
    client = bearer(api)
    family = make_key(client, "campaign:*", "admin:api-keys")
    assert family["user_id"] == ada
    assert (
        make_key(visitor(api, **{"X-API-Key": family["api_key"]}), "campaign:send")["user_id"]
        == ada
    )
    (role,) = [
        each for each in api.acme.get(ROLES).json()["items"] if each["name"] == "of ada@example.org"
    ]
    path = f"{ROLES}/{role['id']}"
    api.acme.patch(path, json={"scopes": ["campaign:read", "audit:read"]})
    assert scopes_of(api, family) == ["campaign:read"]
    api.acme.patch(path, json={"scopes": ["*"]})
    assert scopes_of(api, family) == ["admin:api-keys", "campaign:*"]
    api.acme.patch(path, json={"scopes": []})
    assert scopes_of(api, family) == []
    api.acme.patch(f"{USERS}/{ada}", json={"is_active": False})
    assert scopes_of(api, family) == 401
    api.acme.delete(f"{USERS}/{ada}")
    assert scopes_of(api, family) == 401
    assert api.acme.get(f"{KEYS}/{family['id']}").status_code == 404


def test_the_list_is_filtered_sorted_and_paged(api: Api) -> None:
    clock = moved_clock(api)
    ada = add_person(api)
    mine = make_key(bearer(api), "campaign:read", name="Mine")
    old = make_key(api.acme, "campaign:read", name="Old")
    api.acme.post(f"{KEYS}/{old['id']}/revoke")
    brief = (clock.now() + timedelta(seconds=1)).isoformat()
    make_key(api.acme, "campaign:read", name="Brief", expires_at=brief)
    clock.move(seconds=2)

    def names(query: str) -> list[str]:
        answer = api.acme.get(f"{KEYS}?{query}")
        assert answer.status_code == 200, answer.text
        return [each["name"] for each in answer.json()["items"]]

    assert names("") == ["Brief", "Old", "Mine", "test"]
    assert names("usable=true") == ["Mine", "test"]
    assert names(f"user_id={ada}") == ["Mine"]
    assert names("sort=name") == ["Brief", "Mine", "Old", "test"]
    assert names("sort=last_used_at")[-1] in ("Brief", "test")
    first = api.acme.get(f"{KEYS}?sort=-last_used_at&limit=2").json()
    rest = names(f"sort=-last_used_at&limit=2&cursor={first['next_cursor']}")
    assert {each["name"] for each in first["items"]} | set(rest) == {
        "Brief",
        "Old",
        "Mine",
        "test",
    }
    assert mine["id"] in api.acme.get(f"{KEYS}?user_id={ada}").text


def test_a_stranger_finds_no_key(api: Api) -> None:
    path = f"{KEYS}/{make_key(api.acme, 'campaign:read')['id']}"
    assert api.rival.get(path).status_code == 404
    assert api.rival.post(f"{path}/revoke").status_code == 404
    assert len(api.rival.get(KEYS).json()["items"]) == 1


def test_the_development_key_is_named_so_and_worth_nothing_elsewhere(api: Api) -> None:
    with api.program.sessions() as session:
        key = create_api_key(
            session,
            api.acme_id,
            "Development key",
            ["*"],
            api.program.clock.now(),
            development_secret="a-key-that-everybody-knows",
        )
        session.commit()
    assert api.acme.get(f"{KEYS}/{key.id}").json()["is_development"] is True
    assert visitor(api, **{"X-API-Key": key.secret}).get(ME).status_code == 200
    production = {"app_env": AppEnv.PRODUCTION}
    api.program.settings = api.program.settings.model_copy(update=production)
    assert visitor(api, **{"X-API-Key": key.secret}).get(ME).status_code == 401
