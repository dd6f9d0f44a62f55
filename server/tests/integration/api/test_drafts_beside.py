"""A version that is only being written hides nothing of the one whose letters leave."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.conftest import Api
from tests.integration.api.letters import V1, Letters, build, by
from tests.integration.api.work import take
from tests.servers.smtp import SmtpServer


@pytest.fixture
def half_sent(api: Api, tmp_path: Path, start_smtp: Callable[..., SmtpServer]) -> Letters:
    """Three letters: one refused for good, two waiting; and a newer draft of the campaign."""
    server = start_smtp(script={"RCPT": ["550 5.1.1 No such user"]})
    letters = build(api, tmp_path, 3, **by(server.port))
    letters.post("queue", {})
    letters.send(limit=1)
    draft = take(api, tmp_path, 1, **by(server.port))
    assert draft.campaign_id == letters.campaign_id
    return letters


def _campaigns(letters: Letters, state: str) -> list[Any]:
    answer = letters.api.acme.get(f"{V1}/campaigns?workflow_state={state}")
    found: list[Any] = answer.json()["items"]
    return found


def test_what_is_shown_is_what_there_are_letters_of(half_sent: Letters) -> None:
    assert half_sent.statuses() == ["failed", "queued", "queued"]
    summary = half_sent.get("summary")
    assert summary["campaign"]["version_number"] == 1
    assert (summary["cards"]["total"], summary["cards"]["waiting"]) == (3, 2)
    assert half_sent.get("report")["campaign"]["version_number"] == 1
    answer = half_sent.api.acme.get(f"{half_sent.url}/report/rest.csv")
    assert [row["to"] for row in csv.DictReader(io.StringIO(answer.text))] == ["p0@example.org"]


def test_the_list_finds_the_campaign_by_either_version(half_sent: Letters) -> None:
    # Nothing went, so it waits as it did before.
    for state in ("editing", half_sent.get("summary")["campaign"]["workflow_state"]):
        (campaign,) = _campaigns(half_sent, state)
        assert campaign["newest_version"]["number"] == 2
        assert campaign["newest_built_version"]["number"] == 1
    assert _campaigns(half_sent, "built") == []


def test_only_the_newest_is_queued_unless_one_is_named(half_sent: Letters) -> None:
    assert "Version 2 is not built" in half_sent.post("queue", {}, status=409)["detail"]
    named = half_sent.post("queue", {"version_id": str(half_sent.version_id)})
    assert (named["queued"], named["already_queued"]) == (0, 3)


def test_a_newer_version_tells_of_those_that_wait_in_another(
    half_sent: Letters, tmp_path: Path
) -> None:
    assert half_sent.get("summary")["waiting_in_other_versions"] == 0
    build(half_sent.api, tmp_path, 1, **by(1))
    summary = half_sent.get("summary")
    assert summary["campaign"]["version_number"] == 3
    assert summary["waiting_in_other_versions"] == 2
