"""No route without a guard: nobody, and who may too little, gets no answer and no effect."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from fastapi.testclient import TestClient

from app.access.scopes import Scope
from app.api.scopes import SCOPES, Open
from tests.integration.api.conftest import Api
from tests.integration.api.document import Operation, operations

_PUBLIC = {"get_health", "get_readiness", "login"}
#: Sent with every method that takes a body: whoever may not come in has it not even read.
_NOT_JSON = b'{"unread'


def _status(client: TestClient, operation: Operation) -> int:
    path = operation.path
    for each in operation.parameters("path"):
        is_id = each["schema"].get("format") == "uuid"
        path = path.replace(f"{{{each['name']}}}", str(uuid4()) if is_id else "1")
    sent: dict[str, Any] = {}
    if "requestBody" in operation.spec:
        sent = {"content": _NOT_JSON, "headers": {"Content-Type": "application/json"}}
    return client.request(operation.method, path, **sent).status_code


def test_every_route_has_its_row_and_every_row_its_route() -> None:
    assert {each.id for each in operations()} == set(SCOPES)


def test_every_route_says_which_scope_it_asks_for() -> None:
    for each in operations():
        needs = SCOPES[each.id]
        assert each.scope == needs.value
        sentence = f"Scope: `{needs}`." if isinstance(needs, Scope) else "For anybody"
        assert sentence in each.spec["description"], each.id
        assert bool(each.spec["security"]) is (needs is not Open.PUBLIC), each.id


def test_only_these_are_open_to_anybody() -> None:
    assert {name for name, needs in SCOPES.items() if needs is Open.PUBLIC} == _PUBLIC


def test_without_credentials_there_is_no_answer_but_401(api: Api) -> None:
    guarded = [each for each in operations() if each.id not in _PUBLIC]
    wrong = {str(each): _status(api.anonymous, each) for each in guarded}
    assert {name: status for name, status in wrong.items() if status != 401} == {}
    assert len(wrong) == len(SCOPES) - len(_PUBLIC)


def test_every_other_scope_together_is_too_little(api: Api) -> None:
    wrong = {}
    for scope in set(Scope) - {Scope.EVERYTHING}:
        client = api.client(*(set(Scope) - {scope, Scope.EVERYTHING}))
        for each in operations():
            if each.scope == scope and (status := _status(client, each)) != 403:
                wrong[str(each)] = status
    assert wrong == {}


def test_the_scope_alone_opens_the_door(api: Api) -> None:
    wrong = {}
    for scope in set(Scope) - {Scope.EVERYTHING}:
        clients = [api.client(scope), api.client(f"{scope.partition(':')[0]}:*")]
        for each in operations():
            for client in clients if each.scope == scope else []:
                if (status := _status(client, each)) in (401, 403):
                    wrong[str(each)] = status
    assert wrong == {}


def test_who_is_signed_in_needs_no_scope_for_what_is_their_own(api: Api) -> None:
    client = api.client(Scope.AUDIT_READ)
    own = [each for each in operations() if each.scope == Open.SIGNED_IN]
    assert {str(each) for each in own if _status(client, each) == 401} == set()
