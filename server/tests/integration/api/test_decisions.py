"""What people decide about jobs: before they are queued, and when something went wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from app.audit import log
from app.mailer.domain.delivery.review import RESEND_WARNING
from tests.integration.api.conftest import Api
from tests.integration.api.letters import Letters, build, by, system
from tests.integration.services.pipeline.desk import entry
from tests.servers.smtp import KEEP_AND_DROP, SmtpServer


@pytest.fixture
def shared(api: Api, tmp_path: Path) -> Letters:
    """e0 to e2 share a personal file, which needs a decision; e3 has none and is ready."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/bill.pdf").write_bytes(b"%PDF-1")
    attached = {"attachments": [{"file_filter": "bill.pdf"}]}
    return build(
        api,
        tmp_path,
        attachments={"base_path": "files"},
        entries={"inline": [*(entry(n, **attached) for n in range(3)), entry(3)]},
    )


def _decisions(letters: Letters) -> list[str | None]:
    return [each["decision"] for each in letters.jobs()]


def test_one_is_decided_with_name_and_reason(shared: Letters) -> None:
    job = shared.job("e0")
    settled = shared.post(f"jobs/{job}/decision", {"decision": "accept", "reason": "A couple."})
    assert (settled["count"], settled["entry_ids"], settled["left"]) == (1, ["e0"], [])
    found = shared.get(f"jobs/{job}")
    assert (found["decision"], found["decision_reason"]) == ("accept", "A couple.")
    assert (found["decided_by"], found["allowed_actions"]) == ("test", ["exclude"])
    with shared.api.program.reading() as session:
        entries = log.list_entries(session, system(shared.api))
        (audited,) = [each for each in entries if each.action == "job.accepted"]
    assert (audited.details["entries"], audited.details["reason"]) == (["e0"], "A couple.")
    assert audited.actor_name == "test"


def test_many_are_decided_by_entries_by_jobs_and_by_code(shared: Letters) -> None:
    body = {"entry_ids": ["e0"], "decision": "exclude", "reason": "No."}
    assert shared.post("jobs/decisions", body)["count"] == 1
    body = {"job_ids": [shared.job("e3")], "decision": "exclude", "reason": "No."}
    assert shared.post("jobs/decisions", body)["entry_ids"] == ["e3"]
    body = {
        "all_undecided": True,
        "code": "shared-file",
        "version_id": str(shared.version_id),
        "decision": "accept",
        "reason": "Yes.",
    }
    assert shared.post("jobs/decisions", body)["entry_ids"] == ["e1", "e2"]
    assert _decisions(shared) == ["exclude", "accept", "accept", "exclude"]


def test_of_those_named_all_or_none(shared: Letters) -> None:
    body = {"entry_ids": ["e0", "e3", "e9"], "decision": "accept", "reason": "Yes."}
    problem = shared.post("jobs/decisions", body, 409)
    assert problem["type"] == "/problems/refused"
    assert set(problem["refused"]) == {"e3", "e9"}
    assert _decisions(shared) == [None] * 4


def test_jobs_that_are_not_there_are_404(shared: Letters) -> None:
    body = {"job_ids": [shared.job("e0"), str(uuid4())], "decision": "accept", "reason": "Yes."}
    shared.post("jobs/decisions", body, 404)
    one = {"decision": "accept", "reason": "Yes."}
    shared.post(f"jobs/{uuid4()}/decision", one, 404)
    rival = shared.api.rival
    answer = rival.post(f"{shared.url}/jobs/{shared.job('e0')}/decision", json=one)
    assert answer.status_code == 404
    assert _decisions(shared) == [None] * 4


def test_what_no_decision_is_is_422(shared: Letters) -> None:
    accept = {"decision": "accept", "reason": "Yes."}
    for body in (
        accept,
        accept | {"entry_ids": []},
        accept | {"entry_ids": ["e0"], "all_undecided": True},
        accept | {"entry_ids": ["e0"], "job_ids": [shared.job("e0")]},
        accept | {"entry_ids": ["e0"], "code": "shared-file"},
        accept | {"all_undecided": True, "code": "invented"},
        {"entry_ids": ["e0"], "decision": "accept", "reason": " "},
        {"entry_ids": ["e0"], "decision": "maybe", "reason": "x"},
        {"entry_ids": ["x" * 501], "decision": "accept", "reason": "x"},
        accept | {"entry_ids": ["e0"], "other": 1},
    ):
        shared.post("jobs/decisions", body, 422)
    assert _decisions(shared) == [None] * 4


def test_strange_characters_in_a_reason_are_kept_or_replaced(shared: Letters) -> None:
    body = {"entry_ids": ["e\0", "e1"], "decision": "accept", "reason": "a\0b"}
    assert list(shared.post("jobs/decisions", body, 409)["refused"]) == ["e\0"]
    body["entry_ids"] = ["e1"]
    assert shared.post("jobs/decisions", body)["count"] == 1
    assert shared.get(f"jobs/{shared.job('e1')}")["decision_reason"] == "a\ufffdb"


def test_the_scopes_of_decisions(shared: Letters) -> None:
    body = {"decision": "accept", "reason": "Yes."}
    url = f"{shared.url}/jobs/{shared.job('e0')}"
    assert shared.api.client("campaign:send").post(f"{url}/decision", json=body).status_code == 403
    assert (
        shared.api.client("campaign:approve").post(f"{url}/decision", json=body).status_code == 200
    )
    event = {"event": "retry", "reason": "Yes."}
    approver = shared.api.client("campaign:approve")
    assert approver.post(f"{url}/resolve", json=event).status_code == 403


# -- settling


@pytest.fixture
def troubled(
    api: Api, tmp_path: Path, start_smtp: Callable[..., SmtpServer]
) -> tuple[Letters, SmtpServer]:
    """e0 is in doubt, e1 failed, e2 is sent."""
    server = start_smtp(script={"DOT": [KEEP_AND_DROP, "554 5.7.1 no such letters", None]})
    letters = build(api, tmp_path, 3, **by(server.port))
    letters.post("queue")
    letters.send()
    assert letters.statuses() == ["in_doubt", "failed", "sent"]
    return letters, server


def test_what_failed_is_tried_again_and_only_that(troubled: tuple[Letters, SmtpServer]) -> None:
    letters, server = troubled
    settled = letters.post("jobs/resolve", {"all": True, "event": "retry", "reason": "Mended."})
    assert (settled["entry_ids"], settled["left_count"]) == (["e1"], 0)
    assert letters.statuses() == ["in_doubt", "queued", "sent"]
    letters.send()
    assert letters.statuses() == ["in_doubt", "sent", "sent"]
    assert [each.recipients for each in server.messages].count(("p1@example.org",)) <= 1


def test_sending_again_what_may_have_arrived_needs_a_yes(
    troubled: tuple[Letters, SmtpServer],
) -> None:
    letters, _server = troubled
    url = f"jobs/{letters.job('e0')}/resolve"
    body = {"event": "resend", "reason": "They have nothing."}
    problem = letters.post(url, body, 422)
    assert problem["type"] == "/problems/possible-duplicate"
    assert problem["detail"] == RESEND_WARNING
    assert "confirm_possible_duplicate" in problem["hint"]
    assert letters.statuses() == ["in_doubt", "failed", "sent"]
    with letters.api.program.reading() as session:
        actions = {each.action for each in log.list_entries(session, system(letters.api))}
    assert "job.resend" not in actions

    settled = letters.post(url, body | {"confirm_possible_duplicate": True})
    assert settled["entry_ids"] == ["e0"]
    assert letters.statuses() == ["queued", "failed", "sent"]


def test_what_did_arrive_is_taken_as_sent(troubled: tuple[Letters, SmtpServer]) -> None:
    letters, _server = troubled
    body = {"event": "assume_sent", "reason": "She called.", "job_ids": [letters.job("e0")]}
    assert letters.post("jobs/resolve", body)["count"] == 1
    assert letters.statuses() == ["sent", "failed", "sent"]
    assert "She called." in letters.get(f"jobs/{letters.job('e0')}")["last_error"]


def test_what_cannot_be_settled_says_why(troubled: tuple[Letters, SmtpServer]) -> None:
    letters, _server = troubled
    body = {"event": "cancel", "reason": "Stop.", "entry_ids": ["e2"]}
    assert set(letters.post("jobs/resolve", body, 409)["refused"]) == {"e2"}
    for wrong in (
        {"event": "retry", "reason": "x"},
        {"event": "queue", "reason": "x", "all": True},
        {"event": "retry", "reason": "x", "all": True, "entry_ids": ["e1"]},
    ):
        letters.post("jobs/resolve", wrong, 422)
    one = {"event": "retry", "reason": "x"}
    url = f"{letters.url}/jobs/{letters.job('e1')}/resolve"
    assert letters.api.rival.post(url, json=one).status_code == 404
    assert letters.statuses() == ["in_doubt", "failed", "sent"]
