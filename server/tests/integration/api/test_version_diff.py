"""Comparing versions, and the schema of their files."""

from __future__ import annotations

from typing import Any

from app.mailer.domain.campaign.schema import campaign_schema
from tests.integration.api.conftest import Api
from tests.integration.api.drafts import SMTP, Draft, built, take
from tests.integration.services.pipeline.desk import entry


def test_the_difference_of_two_files(api: Api) -> None:
    first = take(
        api.acme,
        server={"smtp": SMTP},
        entries={"inline": [entry(0), entry(1), entry(2)]},
    )
    second = take(
        api.acme,
        server={"smtp": {**SMTP, "password": "geheim-7", "port": 25}},
        template={"subject": "Other", "text": "Good day."},
        entries={"inline": [entry(1), entry(2, note="x"), entry(3)]},
    )
    answer = api.acme.get(f"{second.url}/diff?against={first.id}")
    assert answer.status_code == 200
    assert "geheim" not in answer.text
    found = answer.json()
    assert {(c["pointer"], c["kind"]) for c in found["config"]} == {
        ("/server/smtp/port", "added"),
        ("/template/subject", "changed"),
    }
    assert found["basis"] == "entries"
    assert found["counts"] == {"added": 1, "removed": 1, "changed": 1}
    assert [(each["entry_id"], each["kind"]) for each in found["letters"]] == [
        ("e0", "removed"),
        ("e2", "changed"),
        ("e3", "added"),
    ]


def test_the_difference_of_built_letters_is_in_what_they_say(api: Api) -> None:
    parts: dict[str, Any] = {
        "fields": [{"name": "n"}],
        "template": {"subject": "Hi", "text": "Number ${local::n}."},
    }

    def version(*numbers: str) -> Draft:
        entries = [
            entry(index, values={"n": number}) for index, number in enumerate(numbers) if number
        ]
        return built(api, take(api.acme, **parts, entries={"inline": entries}))

    first = version("1", "2", "3", "4", "")
    # Of the same length, and in the body alone.
    second = version("1", "7", "3", "", "5")
    found = api.acme.get(f"{second.url}/diff?against={first.id}&limit=2").json()
    assert found["basis"] == "jobs"
    assert found["counts"] == {"added": 1, "removed": 1, "changed": 1}
    assert [(each["entry_id"], each["kind"]) for each in found["letters"]] == [
        ("e1", "changed"),
        ("e3", "removed"),
    ]
    assert found["letters"][0]["before_job_id"] != found["letters"][0]["after_job_id"]
    rest = api.acme.get(
        f"{second.url}/diff?against={first.id}&limit=2&cursor={found['next_cursor']}"
    ).json()
    assert [(each["entry_id"], each["kind"]) for each in rest["letters"]] == [("e4", "added")]
    assert rest["next_cursor"] is None
    only = api.acme.get(f"{second.url}/diff?against={first.id}&kind=removed").json()
    assert [each["entry_id"] for each in only["letters"]] == ["e3"]
    same = api.acme.get(f"{second.url}/diff?against={second.id}").json()
    assert (same["config"], same["letters"]) == ([], [])
    assert api.acme.get(f"{second.url}/diff?against={first.id}&cursor=%00").status_code == 422
    assert api.acme.get(f"{second.url}/diff").status_code == 422


def test_the_schema_is_the_published_one(api: Api) -> None:
    assert api.acme.get("/api/v1/schemas/campaign").json() == campaign_schema()
