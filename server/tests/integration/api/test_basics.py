"""What every route has in common: who may use it, and how it says no."""

from __future__ import annotations

import re
from uuid import uuid4

from tests.integration.api.conftest import Api
from tests.integration.api.document import operations


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


def test_no_route_passes_over_a_query_parameter_that_it_does_not_take(api: Api) -> None:
    passed_over = {}
    for operation in operations():
        path = re.sub(r"\{\w+\}", str(uuid4()), operation.path)
        answer = api.acme.request(operation.method, f"{path}?no_such=1")
        if answer.status_code != 422 or "422" not in operation.responses:
            passed_over[operation.id] = answer.status_code
    assert passed_over == {}


def test_a_query_parameter_that_is_not_there_is_told_what_was_meant(api: Api) -> None:
    campaign = f"/api/v1/campaigns/{uuid4()}"
    for path, remedy in (
        (f"{campaign}/jobs?status=1", "did you mean build_status or imap_status or send_status?"),
        (f"{campaign}/versions?limits=1", "did you mean limit?"),
        (f"{campaign}/versions?of=1", "possible: cursor, limit, sort"),
        ("/api/v1/admin/tenant?name=1", "this takes none"),
    ):
        (fault,) = api.acme.get(path).json()["errors"]
        name = path.partition("?")[2].partition("=")[0]
        assert fault == {"pointer": f"/query/{name}", "message": f"no such parameter; {remedy}"}


def test_what_is_wrong_in_a_request_is_said_in_words(api: Api) -> None:
    body = {"external_id": "No Good", "name": " x", "colour": "red"}
    answer = api.acme.post("/api/v1/campaigns/new", json=body).json()
    messages = {each["pointer"]: each["message"] for each in answer["errors"]}
    assert messages == {
        "/body/external_id": "Should have this form: small letters, digits and . _ -, with a "
        "letter or digit first",
        "/body/name": "Should have this form: one line, without spaces before and after it",
        "/body/colour": "There is no such member.",
    }
    pointer, message = next(iter(messages.items()))
    assert answer["detail"] == f"{pointer}: {message} (and 2 more)"
    assert "`errors`" in answer["hint"]


def test_a_name_in_the_place_of_an_id_is_404_and_told_how_to_find_it(api: Api) -> None:
    answer = api.acme.get("/api/v1/campaigns/payroll-nov")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    assert answer.json()["detail"] == "There is no such route."
    assert "GET /api/v1/campaigns?search=" in answer.json()["hint"]


def test_who_may_not_ask_is_told_nothing_of_parameters(api: Api) -> None:
    assert api.anonymous.get("/api/v1/campaigns?no_such=1").status_code == 401
    assert api.client("audit:read").get("/api/v1/campaigns?no_such=1").status_code == 403
