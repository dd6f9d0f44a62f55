"""Signing in by password: tokens, cookies, how sessions end, and how guessing is slowed down."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from app.access import passwords
from app.access.development import PASSWORD as DEVELOPMENT_PASSWORD
from app.access.passwords import hash_password
from app.access.scopes import Scope
from app.api.access import COOKIE
from app.db.models import LoginSession, LoginThrottle, User, UserRole
from app.settings import AppEnv
from tests.integration.api.conftest import Api
from tests.integration.api.people import (
    PASSWORD,
    add_person,
    audited,
    bearer,
    browser,
    login,
    moved_clock,
    visitor,
)

ME = "/api/v1/auth/me"
USERS = "/api/v1/admin/users"


def stored_sessions(api: Api) -> list[LoginSession]:
    with api.program.reading() as session:
        return list(session.scalars(select(LoginSession).order_by(LoginSession.created_at)))


# -- tokens


def test_the_seeds_way_in(api: Api) -> None:
    ada = add_person(api, "ada@example.org", ["campaign:read", "audit:read"])
    client = visitor(api, **{"User-Agent": "curl/8"})
    answer = login(client)
    assert answer.status_code == 200
    said = answer.json()
    assert said["token_type"] == "bearer"
    assert said["access_token"].startswith("ms_")
    assert len(said["access_token"]) >= 46
    assert said["scopes"] == ["audit:read", "campaign:read"]
    assert (said["user"]["id"], said["user"]["email"]) == (str(ada), "ada@example.org")
    assert datetime.fromisoformat(said["expires_at"]) - api.program.clock.now() > timedelta(
        hours=11, minutes=59
    )
    assert not answer.cookies
    client.headers["Authorization"] = f"Bearer {said['access_token']}"
    assert client.get("/api/v1/audit").status_code == 200
    assert client.get(USERS).status_code == 403
    me = client.get(ME).json()
    assert me["kind"] == "user"
    assert me["tenant"]["slug"] == "acme"
    assert me["csrf_token"] is None
    (stored,) = stored_sessions(api)
    assert (stored.address, stored.user_agent) == ("192.0.2.7", "curl/8")
    assert said["access_token"] not in str([vars(each) for each in stored_sessions(api)])
    assert ("ada@example.org", "session.opened") in audited(api)


def test_address_and_tenant_are_found_without_case(api: Api) -> None:
    add_person(api, "ada@example.org")
    answer = login(visitor(api), "Ada@Example.ORG", tenant_slug="ACME")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "wrong horse battery"},
        {"email": "bob@example.org"},
        {"tenant_slug": "nowhere"},
        {"tenant_slug": "rival"},
        {"email": "disabled@example.org"},
        {"email": "passwordless@example.org"},
    ],
)
def test_every_refusal_is_the_same_and_costs_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    add_person(api)
    disabled = add_person(api, "disabled@example.org")
    add_person(api, "passwordless@example.org", password_hash=None)
    with api.program.sessions() as session:
        session.execute(update(User).where(User.id == disabled).values(is_active=False))
        session.commit()
    verified = []
    inner = passwords._HASHER

    class Watched:
        def verify(self, password: str, stored: str) -> bool:
            verified.append(stored.split("$")[:4])
            return bool(inner.verify(password, stored))

    monkeypatch.setattr(passwords, "_HASHER", Watched())
    expected = login(visitor(api), password="not the password")
    answer = login(visitor(api), **wrong)
    assert answer.status_code == expected.status_code == 401
    assert answer.json() == expected.json()
    assert answer.json()["type"] == "/problems/login-refused"
    assert verified[0] == verified[1]
    assert len(verified) == 2
    assert stored_sessions(api) == []


def test_the_development_password_counts_in_development_alone(
    make_api: Callable[..., Api],
) -> None:
    api = make_api(app_env=AppEnv.PRODUCTION, master_key_b64="a" * 43 + "=", dev_api_key=None)
    add_person(api, password_hash=hash_password(DEVELOPMENT_PASSWORD))
    assert login(visitor(api), password=DEVELOPMENT_PASSWORD).status_code == 401


def test_a_session_token_is_no_api_key_and_the_reverse(api: Api) -> None:
    add_person(api)
    client = bearer(api)
    token = client.headers["Authorization"].removeprefix("Bearer ")
    # Both headers take both; a cookie takes neither.
    assert visitor(api, **{"X-API-Key": token}).get(ME).json()["kind"] == "user"
    for secret in (token, api.make_key(api.acme_id, "*"), "ms_", "x" * 50, ""):
        stranger = visitor(api)
        stranger.cookies.set(COOKIE, secret)
        assert stranger.get(ME).status_code == 401


def test_a_key_goes_before_a_token_and_both_before_a_cookie(api: Api) -> None:
    add_person(api)
    client, _ = browser(api)
    key = api.make_key(api.acme_id, "audit:read")
    assert client.get(ME).json()["kind"] == "user"
    both = {"Authorization": f"Bearer {key}"}
    assert client.get(ME, headers=both).json()["kind"] == "api_key"
    # No CSRF token is needed, since the cookie does not count.
    assert client.post("/api/v1/auth/logout", headers=both).json()["status"] == 409
    assert client.get(ME, headers={**both, "X-API-Key": "unknown"}).status_code == 401


def test_the_scopes_are_those_of_the_moment(api: Api) -> None:
    ada = add_person(api, "ada@example.org", ["admin:users"])
    client = bearer(api)
    assert client.get(USERS).status_code == 200
    with api.program.sessions() as session:
        session.execute(UserRole.__table__.delete().where(UserRole.user_id == ada))  # type: ignore[attr-defined]
        session.commit()
    assert client.get(USERS).status_code == 403
    assert client.get(ME).json()["scopes"] == []


# -- how sessions end


def test_an_idle_session_ends(api: Api) -> None:
    clock = moved_clock(api)
    add_person(api)
    client = bearer(api)
    for _ in range(3):
        clock.move(minutes=59)
        assert client.get(ME).status_code == 200
    clock.move(minutes=60, seconds=1)
    answer = client.get(ME)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/not-signed-in")


def test_a_session_that_is_used_all_the_time_ends_too(api: Api) -> None:
    clock = moved_clock(api)
    add_person(api)
    client = bearer(api)
    for _ in range(23):
        clock.move(minutes=31)
        assert client.get(ME).status_code == 200
    clock.move(minutes=8)
    assert client.get(ME).status_code == 401


def test_its_last_use_is_noted_once_a_minute(api: Api) -> None:
    clock = moved_clock(api)
    add_person(api)
    client = bearer(api)
    began = stored_sessions(api)[0].last_seen_at
    clock.move(seconds=55)
    client.get(ME)
    assert stored_sessions(api)[0].last_seen_at == began
    clock.move(seconds=10)
    client.get(ME)
    assert stored_sessions(api)[0].last_seen_at > began


def test_signing_out_ends_this_session_alone(api: Api) -> None:
    add_person(api)
    one, other = bearer(api), bearer(api)
    assert one.post("/api/v1/auth/logout").status_code == 204
    assert one.get(ME).status_code == 401
    assert other.get(ME).status_code == 200
    assert audited(api)[-1] == ("ada@example.org", "session.ended")


def test_ones_own_sessions_are_listed_and_ended(api: Api) -> None:
    add_person(api)
    add_person(api, "bob@example.org")
    one, other, bobs = bearer(api), bearer(api), bearer(api, "bob@example.org")
    listed = one.get("/api/v1/auth/sessions").json()["items"]
    assert [each["is_current"] for each in listed].count(True) == 1
    assert len(listed) == 2
    assert "token" not in str(listed)
    others = next(each["id"] for each in listed if not each["is_current"])
    # Not Bob's to end.
    assert bobs.delete(f"/api/v1/auth/sessions/{others}").status_code == 404
    assert one.delete(f"/api/v1/auth/sessions/{others}").status_code == 204
    assert one.delete(f"/api/v1/auth/sessions/{others}").status_code == 404
    assert other.get(ME).status_code == 401
    assert bobs.get(ME).status_code == 200
    assert len(one.get("/api/v1/auth/sessions").json()["items"]) == 1
    page = one.get("/api/v1/auth/sessions?limit=1&sort=created_at").json()
    assert page["next_cursor"] is None


def test_a_key_that_is_nobodys_has_no_sessions(api: Api) -> None:
    add_person(api)
    client = bearer(api)
    (mine,) = client.get("/api/v1/auth/sessions").json()["items"]
    assert api.acme.get("/api/v1/auth/sessions").json()["items"] == []
    assert api.acme.delete(f"/api/v1/auth/sessions/{mine['id']}").status_code == 404
    assert api.rival.delete(f"/api/v1/auth/sessions/{mine['id']}").status_code == 404
    assert client.get(ME).status_code == 200


def test_sessions_that_ended_are_deleted_at_the_next_sign_in(api: Api) -> None:
    clock = moved_clock(api)
    add_person(api)
    bearer(api).post("/api/v1/auth/logout")
    bearer(api)
    clock.move(hours=2)
    bearer(api)
    assert len(stored_sessions(api)) == 1


# -- cookies


def test_a_browser_gets_a_cookie_and_no_token(api: Api) -> None:
    add_person(api)
    client = visitor(api)
    answer = login(client, cookie=True)
    assert answer.status_code == 200
    assert "access_token" not in answer.json()
    header = answer.headers["set-cookie"]
    token = header.partition("=")[2].partition(";")[0]
    assert token.startswith("ms_")
    assert token not in answer.text
    parts = {part.strip().lower() for part in header.split(";")[1:]}
    assert parts == {"httponly", "secure", "samesite=strict", "path=/"}
    assert header.startswith("__Host-multimailer=")
    assert client.get(ME).json()["csrf_token"] == answer.json()["csrf_token"]
    # In a header the cookie's token is worth nothing.
    assert visitor(api, Authorization=f"Bearer {token}").get(ME).status_code == 401


def test_a_cookie_changes_nothing_without_the_csrf_token(api: Api) -> None:
    add_person(api)
    client, csrf = browser(api)
    _, anothers = browser(api)
    body = {"name": "Office"}
    groups = "/api/v1/admin/groups"
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": anothers}):
        answer = client.post(groups, json=body, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/csrf")
    assert client.get(groups).json()["items"] == []
    assert client.post(groups, json=body, headers={"X-CSRF-Token": csrf}).status_code == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://mail.example.org"}, 201),
        ({"Origin": "https://mail.example.org:443", "Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Origin": "https://mail.example.org:8443"}, 403),
        ({"Origin": "https://evil.example.org"}, 403),
        ({"Origin": "https://mail.example.org.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://[::"}, 403),
        ({"Origin": "https://mail.example.org:x"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://mail.example.org"}, 403),
    ],
)
def test_other_sites_are_kept_out_even_with_the_token(
    api: Api, headers: dict[str, str], status: int
) -> None:
    add_person(api)
    client, csrf = browser(api)
    answer = client.post(
        "/api/v1/admin/groups", json={"name": "Office"}, headers={"X-CSRF-Token": csrf, **headers}
    )
    assert answer.status_code == status


def test_signing_out_takes_the_cookie_back(api: Api) -> None:
    add_person(api)
    client, csrf = browser(api)
    answer = client.post("/api/v1/auth/logout", headers={"X-CSRF-Token": csrf})
    assert answer.status_code == 204
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert not client.cookies
    assert stored_sessions(api)[0].revoked_at is not None


# -- guessing


def test_guessing_one_account_is_slowed_down_from_wherever_it_comes(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    clock = moved_clock(api)
    add_person(api)
    with caplog.at_level(logging.WARNING):
        for number in range(6):
            answer = login(visitor(api, f"192.0.2.{number}"), password="wrong wrong wrong")
            assert answer.status_code == 401
    assert "wrong wrong wrong" not in caplog.text
    assert "192.0.2.5" in caplog.text
    # The right password too: else the block would tell which one is right.
    blocked = login(visitor(api, "192.0.2.99"))
    assert (blocked.status_code, blocked.json()["type"]) == (429, "/problems/too-many-tries")
    assert 1 <= int(blocked.headers["retry-after"]) <= 5
    assert login(visitor(api, "192.0.2.99"), "bob@example.org").status_code == 401
    clock.move(seconds=5)
    assert login(visitor(api, "192.0.2.99")).status_code == 200
    # Success has set it back to nothing.
    for _ in range(5):
        assert login(visitor(api), password="wrong wrong wrong").status_code == 401
    assert login(visitor(api)).status_code == 200


def test_accounts_that_do_not_exist_are_blocked_alike(api: Api) -> None:
    for tenant in ("acme", "nowhere"):
        statuses = [
            login(visitor(api), "nobody@example.org", tenant_slug=tenant).status_code
            for _ in range(7)
        ]
        assert statuses == [401] * 6 + [429]


def test_a_block_never_lasts_longer_than_a_quarter_of_an_hour(api: Api) -> None:
    clock = moved_clock(api)
    add_person(api)
    longest = 0
    for _ in range(25):
        answer = login(visitor(api), password="wrong wrong wrong")
        if answer.status_code == 429:
            wait = int(answer.headers["retry-after"])
            longest = max(longest, wait)
            clock.move(seconds=wait)
    assert 320 <= longest <= 15 * 60
    clock.move(minutes=15)
    assert login(visitor(api)).status_code == 200


def test_one_address_cannot_try_all_accounts(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.mailer.services.people.sign_in.verify_against_nobody", lambda _: False)
    add_person(api)
    statuses = [
        login(visitor(api, "2001:db8::1"), f"{n}@example.org").status_code for n in range(32)
    ]
    assert statuses == [401] * 31 + [429]
    # One subscriber has many IPv6 addresses.
    assert login(visitor(api, "2001:db8::ffff:9")).status_code == 429
    assert login(visitor(api, "2001:db8:0:1::1")).status_code == 200


def test_signing_in_leaves_no_trace_on_the_address(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "app.mailer.services.people.sign_in.verify_password", lambda given, _: given == PASSWORD
    )
    add_person(api)
    for _ in range(40):
        assert login(visitor(api)).status_code == 200
    with api.program.reading() as session:
        assert {row.failures for row in session.scalars(select(LoginThrottle))} == {0}


def test_a_spoofed_forwarded_for_changes_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.mailer.services.people.sign_in.verify_against_nobody", lambda _: False)
    for n in range(31):
        spoofed = visitor(api, **{"X-Forwarded-For": f"198.51.100.{n}"})
        assert login(spoofed, f"{n}@example.org").status_code == 401
    spoofed = visitor(api, **{"X-Forwarded-For": "203.0.113.1", "Forwarded": "for=203.0.113.1"})
    assert login(spoofed, "last@example.org").status_code == 429


def test_a_trusted_proxys_word_counts(make_api: Callable[..., Api]) -> None:
    api = make_api(trusted_proxies="192.0.2.0/24")
    add_person(api)
    client = visitor(api, **{"X-Forwarded-For": "203.0.113.1, 198.51.100.4, 192.0.2.8"})
    assert login(client).status_code == 200
    assert stored_sessions(api)[0].address == "198.51.100.4"


def test_a_crowd_at_once_gets_no_more_tries_than_a_queue(api: Api) -> None:
    add_person(api)
    statuses: list[int] = []

    def guess() -> None:
        statuses.append(login(visitor(api), password="wrong wrong wrong").status_code)

    threads = [threading.Thread(target=guess) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 6 + [429] * 10


def test_nothing_of_a_try_is_kept_in_clear_and_old_tries_are_forgotten(api: Api) -> None:
    clock = moved_clock(api)
    login(visitor(api), "nobody@example.org")
    with api.program.reading() as session:
        rows = session.scalars(select(LoginThrottle)).all()
        assert len(rows) == 2
        assert "nobody" not in str([vars(row) for row in rows])
        assert all(len(row.key_hash) == hashlib.sha256().digest_size * 2 for row in rows)
    clock.move(hours=25)
    login(visitor(api, "198.51.100.1"), "somebody@example.org")
    with api.program.reading() as session:
        assert len(session.scalars(select(LoginThrottle)).all()) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tenant_slug": "acme", "email": "a@b", "password": "x" * 1025},
        {"tenant_slug": "acme", "email": "a\0b", "password": "x"},
        {"tenant_slug": "acme", "email": "a@b", "password": "x\ud800"},
        {"tenant_slug": "acme", "email": "a@b", "password": 5},
        {"tenant_slug": "acme", "email": "a@b", "password": "x", "admin": True},
        {"tenant_slug": "acme", "email": "a@b", "password": "x", "totp_code": "abc"},
    ],
)
def test_a_faulty_body_is_told_without_what_it_holds(api: Api, body: dict[str, object]) -> None:
    answer = visitor(api).post(
        "/api/v1/auth/login",
        content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert "x" * 100 not in answer.text


# -- one's own password


def test_a_new_password_ends_all_sessions(api: Api) -> None:
    add_person(api, scopes=[])
    one, other = bearer(api), bearer(api)
    client, csrf = browser(api)
    new = "an entirely new phrase"
    answer = one.post(
        "/api/v1/auth/password", json={"current_password": PASSWORD, "new_password": new}
    )
    assert answer.status_code == 204
    for each in (one, other, client):
        assert each.get(ME).status_code == 401
    assert login(visitor(api)).status_code == 401
    assert login(visitor(api), password=new).status_code == 200
    assert "user.password_changed" in [action for _, action in audited(api)]
    assert csrf


def test_a_stolen_session_does_not_get_the_password(api: Api) -> None:
    add_person(api)
    client = bearer(api)
    body = {"current_password": "wrong wrong wrong", "new_password": "an entirely new phrase"}
    statuses = [client.post("/api/v1/auth/password", json=body).status_code for _ in range(7)]
    assert statuses == [403] * 6 + [429]
    assert client.get(ME).status_code == 200


@pytest.mark.parametrize("new", ["short", "ada@example.org", "aaaaaaaaaaaaaaa"])
def test_a_bad_new_password_is_refused(api: Api, new: str) -> None:
    add_person(api)
    client = bearer(api)
    body = {"current_password": PASSWORD, "new_password": new}
    answer = client.post("/api/v1/auth/password", json=body)
    assert answer.status_code == 422
    assert client.get(ME).status_code == 200


def test_a_key_has_no_password(api: Api) -> None:
    body = {"current_password": PASSWORD, "new_password": "an entirely new phrase"}
    assert api.acme.post("/api/v1/auth/password", json=body).status_code == 403
    me = api.acme.get(ME).json()
    assert (me["kind"], me["user"], me["scopes"]) == ("api_key", None, [Scope.EVERYTHING])


def test_a_password_that_changes_while_it_is_checked_lets_nobody_in(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = add_person(api)

    def verify(_password: str, _stored: str) -> bool:
        with api.program.sessions() as session:
            session.execute(update(User).where(User.id == ada).values(password_hash="other"))
            session.commit()
        return True

    monkeypatch.setattr("app.mailer.services.people.sign_in.verify_password", verify)
    assert login(visitor(api)).status_code == 401
    assert stored_sessions(api) == []
