"""What every answer has in common: its headers, and how HTTP's own faults are told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api.application import make_application
from app.api.headers import HEADERS
from app.bootstrap.program import Program
from app.settings import Settings
from tests.integration.api.conftest import Api
from tests.integration.api.document import operations

CAMPAIGNS = "/api/v1/campaigns"


@pytest.fixture
def broken() -> TestClient:
    """An application whose health is a fault of the program."""
    app = make_application(Program(Settings(database_url="sqlite:////nowhere/at/all.db")))

    @app.get("/fault")
    def fault() -> None:
        raise ZeroDivisionError("secret figures")

    return TestClient(app, raise_server_exceptions=False)


def _assert_protected(headers: Any) -> None:
    for name, value in HEADERS.items():
        assert headers[name] == value


def test_every_kind_of_answer_is_protected(api: Api, broken: TestClient) -> None:
    for answer in (
        api.acme.get(CAMPAIGNS),
        api.anonymous.get(CAMPAIGNS),
        api.acme.get("/nowhere"),
        api.acme.delete(CAMPAIGNS),
        broken.get("/fault"),
    ):
        _assert_protected(answer.headers)


def test_a_fault_of_the_program_tells_nothing_of_itself(broken: TestClient) -> None:
    answer = broken.get("/fault")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/fault")
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text


def test_a_database_that_is_away_is_503(broken: TestClient) -> None:
    answer = broken.get(CAMPAIGNS, headers={"X-API-Key": "any"})
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database")
    assert answer.headers["retry-after"] == "5"
    assert "nowhere" not in answer.text


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api/v1/campaigns/", "/API/v1/campaigns", "//health"]
)
def test_what_is_not_there_is_404_with_problem_details(api: Api, path: str) -> None:
    answer = api.acme.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/not-found"


def test_an_unknown_method_is_405_and_names_every_known_one(api: Api) -> None:
    known: dict[str, set[str]] = {}
    for operation in operations():
        if "{" not in operation.path:
            known.setdefault(operation.path, set()).add(operation.method)
    for path, methods in known.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"} - methods:
            answer = api.acme.request(method, path)
            assert answer.status_code == 405, (method, path)
            assert answer.headers["allow"] == ", ".join(sorted(methods))
            assert answer.json()["type"] == "/problems/method"


def test_what_is_no_id_is_not_there(api: Api) -> None:
    answer = api.acme.get(f"{CAMPAIGNS}/no-id")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


_NO_BODIES: list[tuple[bytes, bytes | None]] = [
    (b"{", b"application/json"),
    (b"", b"application/json"),
    (b"[" * 100_000, b"application/json"),
    (b'{"\xff": 1}', b"application/json"),
    (b'"text"', b"application/json"),
    (b"null", b"application/json"),
    (b'{"name": "x"}', b"text/plain"),
    (b"<a/>", b"application/xml"),
    (b"a=b", b"application/x-www-form-urlencoded"),
    (b'{"name": "x"}', None),
    (b'{"name": "x"}', b"application/json; charset=nonsense"),
    (b'{"name": "x"}', b"\xff"),
]


def test_a_body_that_is_none_is_told_apart_from_a_fault(api: Api) -> None:
    for content, kind in _NO_BODIES:
        headers = {} if kind is None else {b"Content-Type": kind}
        answer = api.acme.post(f"{CAMPAIGNS}/new", content=content, headers=headers)
        assert answer.status_code in (400, 422), (content[:20], kind)
        assert answer.headers["content-type"] == "application/problem+json"
        json.loads(answer.content)


def test_the_document_and_its_pages_need_no_key(api: Api) -> None:
    """They hold no data; who reads them learns what stands in the source."""
    assert api.anonymous.get("/openapi.json").json() == api.acme.get("/openapi.json").json()
    page = api.anonymous.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert api.anonymous.get("/redoc").status_code == 404
