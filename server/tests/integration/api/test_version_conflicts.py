"""Several people write in one version: nothing that one of them wrote is lost without a word."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.integration.api.conftest import Api
from tests.integration.api.drafts import Draft, begin, built, config, person, take


@pytest.fixture
def two(api: Api) -> tuple[Draft, Draft]:
    """One draft, as Ada who began it and as Bob see it."""
    draft = begin(person(api, "ada"))
    return draft, draft.by(person(api, "bob"))


def noted(text: str) -> dict[str, Any]:
    return config(**{"x-note": text})


def test_whoever_looked_at_something_older_gets_the_newer_state(two: tuple[Draft, Draft]) -> None:
    ada, bob = two
    seen = bob.get()["etag"]
    ada.autosave(noted("ada"))
    for answer in (
        bob.client.put(bob.url, json={"campaign_json": noted("bob")}, headers={"If-Match": seen}),
        bob.client.post(
            f"{bob.url}/autosave",
            json={"campaign_json": noted("bob")},
            headers={"If-Match": seen},
        ),
        bob.client.post(f"{bob.url}/publish", headers={"If-Match": seen}),
    ):
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/edited-meanwhile"
        assert "ada" in answer.json()["detail"]
        current = answer.json()["current"]
        assert current["config"]["x-note"] == "ada"
        assert answer.headers["ETag"] == current["etag"] == ada.get()["etag"]
    bob.put(noted("both"), etag=current["etag"])
    assert ada.get()["config"]["x-note"] == "both"


def test_without_a_condition_only_the_last_writer_may_go_on(two: tuple[Draft, Draft]) -> None:
    ada, bob = two
    ada.autosave(noted("1"))
    ada.autosave(noted("2"))
    bob.autosave(noted("x"), 428)
    bob.put(noted("x"), 428)
    bob.put(noted("bob"), etag="*")
    bob.autosave(noted("bob again"))
    ada.autosave(noted("3"), 428)
    assert ada.get()["config"]["x-note"] == "bob again"


def test_one_person_with_two_keys_is_one_person(api: Api, two: tuple[Draft, Draft]) -> None:
    ada, bob = two
    made = ada.client.post("/api/v1/admin/api-keys", json={"name": "second", "scopes": ["*"]})
    assert made.status_code == 201, made.text
    second = TestClient(api.anonymous.app, headers={"X-API-Key": made.json()["api_key"]})
    ada.by(second).autosave(noted("by the other key"))
    ada.autosave(noted("by the first"))
    bob.autosave(noted("x"), 428)


@pytest.mark.parametrize("tag", ["r1", "r1-abc", '"a" "b"', "W/x", ""])
def test_what_is_no_tag_is_said_to_be_none(two: tuple[Draft, Draft], tag: str) -> None:
    ada, _ = two
    answer = ada.client.put(ada.url, json={"campaign_json": noted("x")}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/request")


def test_a_weak_or_an_empty_tag_fits_nothing(two: tuple[Draft, Draft]) -> None:
    ada, _ = two
    etag = ada.get()["etag"]
    ada.autosave(noted("x"), 409, etag=f"W/{etag}")
    ada.autosave(noted("x"), 409, etag='""')
    ada.autosave(noted("x"), etag=f'"other", {etag}')


def at_once(*jobs: Callable[[], None]) -> None:
    """Runs all of them as nearly at the same time as it goes."""
    barrier = threading.Barrier(len(jobs))
    faults: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            barrier.wait()
            job()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_no_write_is_lost_in_a_race(api: Api) -> None:
    """Each writer adds a line to what he saw, and looks again where he was too late."""
    first = begin(person(api, "ada"))
    first.autosave(config(**{"x-lines": []}))
    writers = {name: first.by(person(api, name)) for name in ("bob", "eve", "mia")}
    rounds = 5
    refused = []

    def write(name: str, draft: Draft) -> None:
        for number in range(rounds):
            seen = draft.get()
            while True:
                lines = [*seen["config"]["x-lines"], f"{name} {number}"]
                answer = draft.client.put(
                    draft.url,
                    json={"campaign_json": {**seen["config"], "x-lines": lines}},
                    headers={"If-Match": seen["etag"]},
                )
                if answer.status_code == 200:
                    break
                assert answer.status_code == 409, answer.text
                refused.append(name)
                seen = answer.json()["current"]

    at_once(*(lambda n=name, d=draft: write(n, d) for name, draft in writers.items()))  # type: ignore[misc]
    lines = first.get()["config"]["x-lines"]
    assert sorted(lines) == sorted(f"{n} {i}" for n in writers for i in range(rounds))
    assert first.get()["revision"] == 2 + len(lines)


def test_two_edits_of_a_built_version_make_one_next_version(api: Api) -> None:
    draft = built(api, take(api.acme))
    statuses: list[int] = []

    def write(text: str) -> None:
        answer = draft.client.put(draft.url, json={"campaign_json": noted(text)})
        statuses.append(answer.status_code)

    at_once(lambda: write("one"), lambda: write("two"), lambda: write("three"))
    assert sorted(statuses) == [201, 409, 409]
    listed = draft.client.get(draft.url.rpartition("/")[0]).json()["items"]
    assert [each["number"] for each in listed] == [2, 1]
