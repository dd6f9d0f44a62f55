"""People of the tenant `acme`, and the ways in which they sign in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient

from app.access.passwords import hash_password
from app.access.scopes import Scope
from app.api.access import COOKIE
from app.db.models import Role, User
from app.db.repositories import access
from tests.integration.api.conftest import Api

PASSWORD = "correct horse battery"


class MovedClock:
    """The real clock, so many seconds later than it is."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        moment: datetime = self._inner.now()
        return moment + self._ahead

    def monotonic(self) -> float:
        return float(self._inner.monotonic())

    def sleep(self, seconds: float) -> None:
        self.move(seconds=seconds)

    def move(self, **by: float) -> None:
        self._ahead += timedelta(**by)


def moved_clock(api: Api) -> MovedClock:
    """Puts a clock into the program that the test can move."""
    clock = MovedClock(api.program.clock)
    api.program.clock = clock
    return clock


def add_person(
    api: Api,
    email: str = "ada@example.org",
    scopes: Iterable[str] = (Scope.EVERYTHING,),
    *,
    tenant_id: UUID | None = None,
    password_hash: str | None = "",
) -> UUID:
    """A user of `acme` with a role of these scopes, and with PASSWORD unless told otherwise."""
    if password_hash == "":
        password_hash = hash_password(PASSWORD)
    tenant = tenant_id or api.acme_id
    now = api.program.clock.now()
    with api.program.sessions() as session:
        user = access.add_user(
            session,
            tenant,
            User(email=email, display_name="", password_hash=password_hash, created_at=now),
        )
        role = access.add_role(session, tenant, Role(name=f"of {email}", scopes=list(scopes)))
        access.grant_role(session, tenant, user.id, role.id)
        session.commit()
    return user.id


def visitor(api: Api, address: str = "192.0.2.7", **headers: str) -> TestClient:
    """A client without key or session, over HTTPS, from this address."""
    return TestClient(
        api.anonymous.app,
        base_url="https://mail.example.org",
        headers=headers,
        client=(address, 50000),
        raise_server_exceptions=False,
    )


def login(client: TestClient, email: str = "ada@example.org", **more: Any) -> Any:
    body = {"tenant_slug": "acme", "email": email, "password": PASSWORD, **more}
    return client.post("/api/v1/auth/login", json=body)


def bearer(api: Api, email: str = "ada@example.org", **more: Any) -> TestClient:
    """A client that is signed in with a token."""
    client = visitor(api)
    answer = login(client, email, **more)
    assert answer.status_code == 200, answer.text
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return client


def browser(api: Api, email: str = "ada@example.org") -> tuple[TestClient, str]:
    """A client that is signed in with a cookie, and its CSRF token."""
    client = visitor(api)
    answer = login(client, email, cookie=True)
    assert answer.status_code == 200, answer.text
    assert client.cookies.get(COOKIE)
    return client, answer.json()["csrf_token"]


def audited(api: Api) -> list[tuple[str, str]]:
    """Who did what in `acme`, the oldest first."""
    entries = api.acme.get("/api/v1/audit?limit=200").json()["items"]
    return [(each["actor"]["name"], each["action"]) for each in reversed(entries)]
