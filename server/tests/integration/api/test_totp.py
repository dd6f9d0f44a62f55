"""The second factor: begun, confirmed, asked for, lost, and taken away."""

from __future__ import annotations

import logging
from base64 import b32decode
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import undefer

from app.db.models import RecoveryCode, User
from tests.integration.api.conftest import Api
from tests.integration.api.people import (
    PASSWORD,
    MovedClock,
    add_person,
    audited,
    bearer,
    login,
    moved_clock,
    visitor,
)

ME = "/api/v1/auth/me"
TOTP_PATH = "/api/v1/auth/totp"


class App:
    """The authenticator app of one person."""

    def __init__(self, secret: str, clock: MovedClock) -> None:
        self._key = b32decode(secret)
        self._clock = clock

    def code(self, **ahead: float) -> str:
        seconds = int(self._clock.now().timestamp()) + int(ahead.get("seconds", 0))
        return TOTP(self._key, 6, SHA1(), 30).generate(seconds).decode()

    def wrong(self) -> str:
        near = {self.code(seconds=each) for each in (-30, 0, 30)}
        return next(code for code in ("000000", "111111", "222222", "333333") if code not in near)


@pytest.fixture
def clock(api: Api) -> MovedClock:
    return moved_clock(api)


def enabled(api: Api, clock: MovedClock) -> tuple[TestClient, App, list[str]]:
    """Ada, signed in, with a second factor and its recovery codes."""
    add_person(api)
    client = bearer(api)
    begun = client.post(TOTP_PATH, json={"password": PASSWORD}).json()
    app = App(begun["secret"], clock)
    confirmed = client.post(f"{TOTP_PATH}/confirm", json={"code": app.code()})
    assert confirmed.status_code == 200, confirmed.text
    clock.move(seconds=60)
    return client, app, confirmed.json()["recovery_codes"]


def kind_of(answer: Any) -> str:
    return str(answer.json()["type"]).removeprefix("/problems/")


def test_it_counts_once_it_is_confirmed(api: Api, clock: MovedClock) -> None:
    add_person(api)
    client = bearer(api)
    assert client.post(TOTP_PATH, json={"password": "wrong wrong"}).status_code == 403
    begun = client.post(TOTP_PATH, json={"password": PASSWORD}).json()
    assert begun["secret"] in begun["otpauth_uri"]
    assert login(visitor(api)).status_code == 200
    app = App(begun["secret"], clock)
    assert client.post(f"{TOTP_PATH}/confirm", json={"code": app.wrong()}).status_code == 422
    assert login(visitor(api)).status_code == 200
    codes = client.post(f"{TOTP_PATH}/confirm", json={"code": app.code()}).json()
    assert len(codes["recovery_codes"]) == 10
    assert client.get(ME).json()["user"]["has_totp"] is True
    assert client.get(ME).json()["recovery_codes_left"] == 10
    answer = login(visitor(api))
    assert (answer.status_code, kind_of(answer)) == (401, "second-factor-needed")
    clock.move(seconds=60)
    assert login(visitor(api), totp_code=app.code()).status_code == 200
    # Begun again it would be the way around a code.
    assert client.post(TOTP_PATH, json={"password": PASSWORD}).status_code == 409
    assert client.post(f"{TOTP_PATH}/confirm", json={"code": app.code()}).status_code == 409


def test_no_code_counts_twice(api: Api, clock: MovedClock) -> None:
    _, app, _ = enabled(api, clock)
    code, earlier = app.code(), app.code(seconds=-30)
    assert login(visitor(api), totp_code=code).status_code == 200
    for used in (code, earlier):
        answer = login(visitor(api), totp_code=used)
        assert (answer.status_code, kind_of(answer)) == (401, "second-factor-needed")
    clock.move(seconds=30)
    assert login(visitor(api), totp_code=app.code()).status_code == 200


def test_the_code_that_confirmed_opens_nothing(api: Api, clock: MovedClock) -> None:
    add_person(api)
    client = bearer(api)
    secret = client.post(TOTP_PATH, json={"password": PASSWORD}).json()["secret"]
    code = App(secret, clock).code()
    client.post(f"{TOTP_PATH}/confirm", json={"code": code})
    assert login(visitor(api), totp_code=code).status_code == 401


def test_with_a_wrong_password_a_code_tells_nothing_and_is_not_used_up(
    api: Api, clock: MovedClock
) -> None:
    _, app, codes = enabled(api, clock)
    for second in ({"totp_code": app.code()}, {"recovery_code": codes[0]}):
        answer = login(visitor(api), password="wrong wrong wrong", **second)
        assert kind_of(answer) == "login-refused"
        assert login(visitor(api), **second).status_code == 200


def test_a_recovery_code_works_once(api: Api, clock: MovedClock) -> None:
    client, _, codes = enabled(api, clock)
    assert login(visitor(api), recovery_code=codes[3].upper()).status_code == 200
    assert login(visitor(api), recovery_code=codes[3]).status_code == 401
    assert client.get(ME).json()["recovery_codes_left"] == 9
    assert login(visitor(api), recovery_code="aaaa-aaaa-aaaa-aaaa").status_code == 401


def test_new_recovery_codes_end_the_old_ones(api: Api, clock: MovedClock) -> None:
    client, app, codes = enabled(api, clock)
    path = f"{TOTP_PATH}/recovery-codes"
    assert client.post(path, json={"password": PASSWORD}).status_code == 403
    answer = client.post(path, json={"password": PASSWORD, "totp_code": app.code()})
    renewed = answer.json()["recovery_codes"]
    assert not set(renewed) & set(codes)
    assert login(visitor(api), recovery_code=codes[0]).status_code == 401
    assert login(visitor(api), recovery_code=renewed[0]).status_code == 200


def test_wrong_codes_count_as_failures_and_missing_ones_do_not(api: Api, clock: MovedClock) -> None:
    _, app, _ = enabled(api, clock)
    for _ in range(8):
        assert kind_of(login(visitor(api))) == "second-factor-needed"
    statuses = []
    for _ in range(7):
        # Asking without a code between two guesses forgives nothing.
        login(visitor(api))
        statuses.append(login(visitor(api), totp_code=app.wrong()).status_code)
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
    assert login(visitor(api), totp_code=app.code()).status_code == 429


def test_disabling_needs_password_and_code(api: Api, clock: MovedClock) -> None:
    client, app, codes = enabled(api, clock)
    path = f"{TOTP_PATH}/disable"
    for body in (
        {"password": PASSWORD},
        {"password": "wrong wrong", "totp_code": app.code()},
        {"password": PASSWORD, "totp_code": app.wrong()},
    ):
        assert client.post(path, json=body).status_code == 403
    body = {"password": PASSWORD, "recovery_code": codes[0]}
    assert client.post(path, json=body).status_code == 204
    assert client.post(path, json=body).status_code == 409
    assert login(visitor(api)).status_code == 200
    with api.program.reading() as session:
        user = session.scalars(select(User).options(undefer(User.totp_secret))).one()
        assert user.totp_secret is None
        assert session.scalars(select(RecoveryCode)).all() == []


def test_an_administrator_resets_what_was_lost(api: Api, clock: MovedClock) -> None:
    client, _, _ = enabled(api, clock)
    ada = client.get(ME).json()["id"]
    # Not oneself, and no stranger.
    assert client.post(f"/api/v1/admin/users/{ada}/totp/reset").status_code == 409
    assert api.rival.post(f"/api/v1/admin/users/{ada}/totp/reset").status_code == 404
    assert login(visitor(api)).status_code == 401
    assert api.acme.post(f"/api/v1/admin/users/{ada}/totp/reset").status_code == 204
    assert client.get(ME).status_code == 401
    assert login(visitor(api)).status_code == 200
    assert ("test", "user.totp_reset") in audited(api)


def test_the_key_is_sealed_and_told_nowhere_else(
    api: Api, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    add_person(api)
    client = bearer(api)
    secret = client.post(TOTP_PATH, json={"password": PASSWORD}).json()["secret"]
    codes = client.post(f"{TOTP_PATH}/confirm", json={"code": App(secret, clock).code()}).json()[
        "recovery_codes"
    ]
    with api.program.reading() as session:
        user = session.scalars(select(User).options(undefer(User.totp_secret))).one()
        assert user.totp_secret is not None
        assert b32decode(secret) not in user.totp_secret
        context = f"{user.tenant_id}/users/{user.id}/totp_secret"
        assert api.program.box.open(user.totp_secret, context) == b32decode(secret)
        hashes = [each.code_hash for each in session.scalars(select(RecoveryCode))]
    told = "".join(
        [
            client.get(ME).text,
            api.acme.get("/api/v1/admin/users").text,
            api.acme.get("/api/v1/audit").text,
            caplog.text,
            str(hashes),
        ]
    )
    assert secret not in told
    assert not [code for code in codes if code in told]
    assert {"user.totp_begun", "user.totp_enabled"} <= {action for _, action in audited(api)}


def test_a_key_has_no_second_factor(api: Api) -> None:
    assert api.acme.post(TOTP_PATH, json={"password": PASSWORD}).status_code == 403
    assert api.acme.post(f"{TOTP_PATH}/confirm", json={"code": "123456"}).status_code == 403


def test_signing_in_is_noted(api: Api, clock: MovedClock) -> None:
    client, app, _ = enabled(api, clock)
    before = datetime.fromisoformat(client.get(ME).json()["user"]["last_login_at"])
    login(visitor(api), totp_code=app.code())
    after = datetime.fromisoformat(client.get(ME).json()["user"]["last_login_at"])
    assert after > before
