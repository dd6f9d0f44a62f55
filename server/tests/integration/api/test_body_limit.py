"""How large a request may be: nothing is read of what is too large, or of what nobody asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Never
from uuid import UUID

import pytest
from starlette.types import Message

from tests.integration.api.conftest import Api
from tests.integration.services.pipeline.desk import document

V1 = "/api/v1"
#: The same for every process that collects these tests.
_ID = UUID(int=1)
JSON = {"Content-Type": "application/json"}
KB = 2**10


@pytest.mark.parametrize("declared", [True, False])
def test_whoever_is_not_signed_in_can_send_little(api: Api, declared: bool) -> None:
    body = b'{"tenant_slug": [' + b"[]," * 22 * KB + b"[]]}"
    content: Any = body if declared else iter([body[: 40 * KB], body[40 * KB :]])
    answer = api.anonymous.post(f"{V1}/auth/login", content=content, headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-large"
    small = json.dumps({"tenant_slug": "acme", "email": "a@example.org", "password": "x" * 100})
    answer = api.anonymous.post(f"{V1}/auth/login", content=small + " " * 60 * KB, headers=JSON)
    assert answer.status_code == 401


def test_only_a_campaign_may_be_large(api: Api) -> None:
    padded = {"name": "Spring", "external_id": "spring", "description": "x" * 1100 * KB}
    answer = api.acme.post(f"{V1}/campaigns/new", json=padded)
    assert answer.status_code == 413
    made = api.acme.post(f"{V1}/campaigns", json={"config": document()}).json()
    place = f"{V1}/campaigns/{made['campaign']['id']}/versions/{made['version']['id']}"
    long = document(template={"subject": "Your card", "text": "x" * 1100 * KB})
    for method, path in (("PUT", place), ("POST", f"{place}/autosave")):
        tag = api.acme.get(place).headers["ETag"]
        answer = api.acme.request(
            method, path, json={"campaign_json": long}, headers={"If-Match": tag}
        )
        assert answer.status_code == 200, answer.text[:500]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/campaigns"),
        ("PUT", f"/campaigns/{_ID}/versions/{_ID}"),
        ("POST", f"/campaigns/{_ID}/versions/{_ID}/autosave"),
        ("PATCH", f"/files/uploads/{_ID}"),
        ("POST", "/admin/users"),
    ],
)
def test_nothing_is_read_before_it_is_known_who_asks(api: Api, method: str, path: str) -> None:
    assert _status_unread(api.anonymous.app, method, path) == 401


def test_nothing_is_read_of_what_says_that_it_is_too_large(api: Api) -> None:
    length = (b"content-length", str(65 * KB).encode())
    assert _status_unread(api.anonymous.app, "POST", "/auth/login", length) == 413


def _status_unread(app: Callable[..., Any], method: str, path: str, *more: Any) -> int:
    """The answer's status to a request whose body must not be read."""
    sent: list[Message] = []

    async def receive() -> Never:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": f"{V1}{path}",
        "raw_path": f"{V1}{path}".encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), (b"content-type", b"application/json"), *more],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        "state": {},
    }
    asyncio.run(app(scope, receive, send))
    return int(sent[0]["status"])
