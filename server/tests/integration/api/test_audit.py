from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from app.access.actor import Actor
from app.access.scopes import Scope
from app.audit import record
from app.db.models import AuditEntry
from tests.integration.api.conftest import Api

PATH = "/api/v1/audit"


@pytest.fixture
def filled(api: Api) -> Api:
    """Twelve entries of acme, one of rival."""
    with api.program.sessions() as session:
        for tenant, count in ((api.acme_id, 12), (api.rival_id, 1)):
            actor = Actor.system(tenant, "Ada")
            for number in range(count):
                action = "campaign.queued" if number % 2 else "campaign.built"
                details = {"number": number, "password": "hunter2"}
                now = api.program.clock.now()
                record(
                    session, actor, action, "campaign", number // 4, details, now,
                    before={"n": 1}, after={"n": 2},
                )  # fmt: skip
        session.commit()
    return api


def numbers(api: Api, **query: Any) -> list[int]:
    answer = api.acme.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    return [each["sequence"] for each in answer.json()["items"]]


def test_the_list_is_the_newest_first_with_everything(filled: Api) -> None:
    answer = filled.acme.get(PATH, params={"limit": 1}).json()
    (entry,) = answer["items"]
    assert answer["next_cursor"]
    assert entry["sequence"] == 12
    assert entry["actor"] == {"kind": "system", "id": "system", "name": "Ada", "address": None}
    assert entry["details"] == {"number": 11, "password": "(redacted)"}
    assert (entry["before"], entry["after"]) == ({"n": 1}, {"n": 2})
    assert len(entry["hash"]) == len(entry["previous_hash"]) == 64


def test_the_filters_of_the_readme(filled: Api) -> None:
    query = {"action": "campaign.queued", "object_type": "campaign", "object_id": "1"}
    assert numbers(filled, **query, limit=100, offset=0) == [8, 6]
    assert numbers(filled, **query, limit=1, offset=1) == [6]
    assert numbers(filled, actor_id="nobody") == []
    assert numbers(filled, action="\0") == []
    first = filled.acme.get(PATH, params={"sort": "sequence"}).json()["items"][0]
    assert numbers(filled, until=first["at"]) == []
    assert len(numbers(filled, since=first["at"])) == 12


def test_pages_by_cursor(filled: Api) -> None:
    for sort, wanted in (("-sequence", range(12, 0, -1)), ("sequence", range(1, 13))):
        found: list[int] = []
        query: dict[str, Any] = {"limit": 5, "sort": sort}
        while True:
            answer = filled.acme.get(PATH, params=query).json()
            found += [each["sequence"] for each in answer["items"]]
            if answer["next_cursor"] is None:
                break
            query["cursor"] = answer["next_cursor"]
        assert found == list(wanted)
    both = filled.acme.get(PATH, params={**query, "offset": 1})
    assert both.status_code == 422


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-03-01T12:00:00"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"offset": -1},
        {"offset": 2**63},
        {"sort": "details"},
        {"action": "x" * 201},
        {"cursor": "x"},
    ],
)
def test_what_is_no_filter(api: Api, query: dict[str, Any]) -> None:
    assert api.acme.get(PATH, params=query).status_code == 422


def test_each_tenant_has_its_own_log(filled: Api) -> None:
    assert [each["sequence"] for each in filled.rival.get(PATH).json()["items"]] == [1]
    assert filled.client("campaign:*").get(PATH).status_code == 403
    assert filled.client(Scope.AUDIT_READ).get(PATH).status_code == 200


def test_the_chain_is_proved_in_parts(filled: Api) -> None:
    whole = filled.acme.get(f"{PATH}/verify").json()
    assert whole["proved"]
    assert (whole["checked"], whole["next"], whole["broken"]) == (12, None, None)
    first = filled.acme.get(f"{PATH}/verify", params={"limit": 7}).json()
    assert (first["proved"], first["complete"], first["checked"]) == (False, False, 7)
    rest = filled.acme.get(f"{PATH}/verify", params={"after": first["next"]}).json()
    assert (rest["proved"], rest["checked"], rest["head"]) == (True, 5, whole["head"])
    assert filled.client("campaign:*").get(f"{PATH}/verify").status_code == 403
    assert filled.acme.get(f"{PATH}/verify", params={"after": "0:0"}).status_code == 422


def test_a_broken_chain_is_an_answer(filled: Api) -> None:
    with filled.program.sessions() as session:
        session.execute(
            update(AuditEntry)
            .where(AuditEntry.sequence == 5, AuditEntry.tenant_id == filled.acme_id)
            .values(actor_name="Bob")
        )
        session.commit()
    found = filled.acme.get(f"{PATH}/verify").json()
    assert not found["proved"]
    assert found["checked"] == 4
    assert found["broken"] == {"sequence": 5, "reason": "its content is not what was recorded"}
    assert filled.rival.get(f"{PATH}/verify").json()["proved"]
