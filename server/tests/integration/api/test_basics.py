"""What every route has in common: who may use it, and how it says no."""

from __future__ import annotations

from tests.integration.api.conftest import Api


def test_health_needs_no_key(api: Api) -> None:
    answer = api.anonymous.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_names_each_dependency(api: Api) -> None:
    answer = api.anonymous.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["dependencies"]["database"] == {"status": "ok", "detail": ""}
    assert answer.json()["dependencies"]["file_store"] == {"status": "ok", "detail": ""}


def test_without_a_key_the_answer_is_a_problem(api: Api) -> None:
    answer = api.anonymous.get("/api/v1/campaigns")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "/problems/not-signed-in"


def test_a_key_may_come_in_either_header(api: Api) -> None:
    key = api.make_key(api.acme_id, "campaign:read")
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        answer = api.anonymous.get("/api/v1/campaigns", headers=headers)
        assert answer.json() == {"items": [], "next_cursor": None}


def test_a_key_without_the_scope_is_refused(api: Api) -> None:
    answer = api.client("audit:read").get("/api/v1/campaigns")
    assert answer.status_code == 403
    assert "campaign:read" in answer.json()["detail"]


def test_an_unknown_sorting_and_a_made_up_cursor_are_422(api: Api) -> None:
    assert api.acme.get("/api/v1/campaigns?sort=config").status_code == 422
    answer = api.acme.get("/api/v1/campaigns?cursor=AAAA")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/cursor")
