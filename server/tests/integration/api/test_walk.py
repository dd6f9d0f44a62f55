"""One tenant's owner walks every route with the ids of another tenant, and finds nothing there.

Two tenants have the same things. The stranger knows every id of the other: in paths, bodies and
queries, alone and mixed with ids of his own. He gets the very answer that an id of nobody gets,
and nothing changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from tests.integration.api.conftest import Api
from tests.integration.api.document import Operation, document, example, operations
from tests.integration.api.estate import Estate
from tests.servers.smtp import SmtpServer

pytestmark = pytest.mark.timeout(300)

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?![0-9a-f])|[0-9a-f]{64}")
#: Members of bodies and queries that name a thing, and the path parameter that names one, too.
_NAMED = {
    "against": "version_id",
    "campaign_id": "campaign_id",
    "group_id": "group_id",
    "ids": "file_id",
    "job_ids": "job_id",
    "object_id": "campaign_id",
    "actor_id": "user_id",
    "role_id": "role_id",
    "role_ids": "role_id",
    "user_id": "user_id",
    "user_ids": "user_id",
    "version_id": "version_id",
}
#: Tables in which no tenant has a row.
_EMPTY = {"alembic_version", "login_throttles"}
#: A file's bytes, a list that may be empty, a packed archive.
_TELLS_NO_NAME = {"get_job_attachment", "list_job_issues", "get_evidence", "get_upload_offset"}
#: What goes into a body beside an id, so that the id is what counts.
_BODIES: dict[str, dict[str, Any]] = {
    "decide_jobs": {"decision": "accept", "reason": "none"},
    "resolve_jobs": {"event": "retry", "reason": "none"},
    "queue_campaign": {},
    "delete_files": {},
}
#: Where an id of one's own stands for everything, and a body's id is one choice of several.
_ALL_OF_THEM = {"decide_jobs": "all_undecided", "resolve_jobs": "all"}
_HEADERS = {"Tus-Resumable": "1.0.0", "Upload-Length": "4", "Upload-Offset": "4"}
#: Answers differ from one call to the next: they show what was made, or when.
_OWN_ANSWERS = re.compile(r'"[a-z_]*(?:at|until)": ?"[^"]*"')


@dataclass
class Walk:
    """What the stranger did so far."""

    stranger: TestClient
    own: Mapping[str, str]
    routes: set[str] = field(default_factory=set)
    calls: int = 0
    wrong: list[str] = field(default_factory=list)

    def call(
        self,
        operation: Operation,
        ids: Mapping[str, str],
        body: Any = None,
        query: Mapping[str, Any] | None = None,
    ) -> tuple[int, str]:
        path = operation.path
        for each in operation.parameters("path"):
            path = path.replace(f"{{{each['name']}}}", ids[each["name"]])
        needed = [each["name"] for each in operation.parameters("query") if each.get("required")]
        query = {**{name: self.own[_NAMED[name]] for name in needed}, **(query or {})}
        sent: dict[str, Any] = {"params": query, "headers": self._headers(operation)}
        content = operation.spec.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            sent["json"] = example(operation.body or {}) if body is None else body
        elif content:
            sent["content"] = b"more"
            sent["headers"]["Content-Type"] = next(iter(content))
        answer = self.stranger.request(operation.method, path, **sent)
        self.routes.add(operation.id)
        self.calls += 1
        return answer.status_code, f"{answer.headers}{answer.text}"

    @staticmethod
    def _headers(operation: Operation) -> dict[str, str]:
        found = {}
        for each in operation.parameters("header"):
            if each.get("required"):
                found[each["name"]] = _HEADERS.get(each["name"]) or example(each["schema"])
        return found


@pytest.fixture
def estates(api: Api, smtp_server: SmtpServer) -> tuple[Estate, Estate]:
    acme, rival = (
        Estate(name, tenant_id, api.program, owner, smtp_server.port).build()
        for name, tenant_id, owner in (
            ("acme", api.acme_id, api.acme),
            ("rival", api.rival_id, api.rival),
        )
    )
    return acme, rival


def test_a_stranger_who_knows_every_id_finds_nothing_and_changes_nothing(
    estates: tuple[Estate, Estate], smtp_server: SmtpServer
) -> None:
    acme, rival = estates
    before, letters = acme.rows(), len(smtp_server.messages)
    assert {table for table, rows in before.items() if not rows} == _EMPTY
    secrets = _marks(before) - _marks(rival.rows())
    walk = Walk(rival.owner, {**rival.ids, "position": "0"})
    theirs = {**acme.ids, "position": "0"}
    # What ends the stranger's own things comes last.
    for operation in sorted(operations(), key=lambda each: each.method == "DELETE"):
        for told, allowed in _answers(walk, operation, theirs):
            leaks = {mark for mark in _texts(told) if mark in secrets} - allowed
            if leaks or "acme" in told.lower():
                walk.wrong.append(f"{operation}: shows {leaks or 'acme'}")
        if acme.rows() != before:
            walk.wrong.append(f"{operation}: changed something")
            before = acme.rows()
    print(f"{len(walk.routes)} routes walked in {walk.calls} calls")
    assert walk.wrong == []
    assert walk.routes == {each.id for each in operations()}
    assert len(smtp_server.messages) == letters


def test_the_owner_finds_all_of_it(estates: tuple[Estate, Estate]) -> None:
    """Otherwise a 404 would prove nothing."""
    acme, _ = estates
    known, version = _marks(acme.rows()), acme.ids["version_id"]
    walk = Walk(acme.owner, {**acme.ids, "position": "0"})
    for operation in operations():
        if operation.method in ("GET", "HEAD") and operation.id != "watch_operation":
            # The newest version is a draft, which has no jobs.
            choices = {each["name"] for each in operation.parameters("query")} & {"version_id"}
            status, told = walk.call(operation, walk.own, query=dict.fromkeys(choices, version))
            assert status == 200, f"{operation}: {status} {told}"
            asked = operation.path.count("{")
            if asked and operation.id not in _TELLS_NO_NAME:
                assert known & set(_texts(told)) or "acme" in told, str(operation)


def _answers(
    walk: Walk, operation: Operation, theirs: Mapping[str, str]
) -> Iterator[tuple[str, set[str]]]:
    """Every answer to one operation, and the ids that were sent along, which it may repeat."""
    names = [each["name"] for each in operation.parameters("path")]
    asked = [name for name in names if name != "position"]
    sent = {theirs[name].replace("-", "") for name in asked}
    for mixed in _mixtures(asked, walk.own, theirs):
        status, told = walk.call(operation, mixed)
        if status != 404:
            walk.wrong.append(f"{operation}: {status} with another's id in the path")
        yield told, sent
    if not asked:
        yield walk.call(operation, walk.own)[1], set()
    for name, call in _places(walk, operation):
        of_other, of_nobody = theirs[_NAMED[name]], str(uuid4())
        (status, told), (expected, nothing) = call(of_other), call(of_nobody)
        yield told, {of_other.replace("-", "")}
        if (status, _plain(told, of_other)) != (expected, _plain(nothing, of_nobody)):
            walk.wrong.append(
                f"{operation}: {name} of another tenant is told from one of nobody: "
                f"{status} {told[-300:]} / {expected} {nothing[-300:]}"
            )


def _mixtures(
    names: list[str], own: Mapping[str, str], theirs: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """All of the path's ids the other's, and each of them alone among one's own."""
    if names:
        yield {**own, **{name: theirs[name] for name in names}}
    if len(names) > 1:
        for name in names:
            yield {**own, name: theirs[name]}


def _places(
    walk: Walk, operation: Operation
) -> Iterator[tuple[str, Callable[[str], tuple[int, str]]]]:
    """Each place in the query and the body that takes an id, as a call with an id there."""
    for parameter in operation.parameters("query"):
        name = parameter["name"]
        if _is_id(name, parameter["schema"]):
            yield name, lambda given, name=name: walk.call(operation, walk.own, query={name: given})
    for name, schema in _members(operation):
        if _is_id(name, schema):

            def call(given: str, name: str = name, schema: Any = schema) -> tuple[int, str]:
                body = {**_BODIES.get(operation.id, example(operation.body or {}))}
                body[name] = [given] if _is_list(schema) else given
                if name == "version_id" and operation.id in _ALL_OF_THEM:
                    body[_ALL_OF_THEM[operation.id]] = True
                return walk.call(operation, walk.own, body)

            yield name, call


def _members(operation: Operation) -> Iterator[tuple[str, Mapping[str, Any]]]:
    schema = operation.body or {}
    for kind in [schema, *schema.get("anyOf", [])]:
        if "$ref" in kind:
            named = document()["components"]["schemas"][kind["$ref"].rpartition("/")[2]]
            yield from named.get("properties", {}).items()


def _is_id(name: str, schema: Mapping[str, Any]) -> bool:
    """Fails where a new place takes an id that this walk does not know how to fill."""
    shape = str(schema)
    takes_one = "'uuid'" in shape or name in ("object_id", "actor_id")
    if takes_one:
        assert name in _NAMED, f"Say in _NAMED whose id {name!r} is."
    return takes_one


def _is_list(schema: Mapping[str, Any]) -> bool:
    return any(each.get("type") == "array" for each in [schema, *schema.get("anyOf", [])])


def _marks(rows: Mapping[str, Any]) -> set[str]:
    """Every id and hash that stands anywhere in the rows."""
    return set(_texts(str(rows)))


def _texts(text: str) -> Iterator[str]:
    return (found.replace("-", "") for found in _UUID.findall(text))


def _plain(told: str, given: str) -> str:
    return _OWN_ANSWERS.sub("", told.replace(given, "ID"))
