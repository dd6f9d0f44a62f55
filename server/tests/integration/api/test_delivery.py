"""Queue, pause, resume and cancel a campaign, and file its copies."""

from __future__ import annotations

import imaplib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.audit import log
from app.db.models import AuditEntry, Job
from app.mailer.domain.delivery.job import ImapStatus, SendStatus
from app.mailer.ports import BellAway
from tests.integration.api.conftest import Api
from tests.integration.api.letters import Letters, build, by, system
from tests.integration.api.work import watched
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.smtp import KEEP_AND_DROP, SmtpServer


@pytest.fixture
def letters(api: Api, tmp_path: Path, smtp_server: SmtpServer) -> Letters:
    """Three letters that could be queued."""
    return build(api, tmp_path, 3, **by(smtp_server.port))


def _audited(letters: Letters, action: str) -> AuditEntry:
    with letters.api.program.reading() as session:
        entries = log.list_entries(session, system(letters.api))
    (found,) = [each for each in entries if each.action == action]
    return found


def _set(letters: Letters, entry_id: str, **values: Any) -> None:
    with letters.api.program.sessions() as session:
        session.execute(update(Job).where(Job.entry_id == entry_id).values(**values))
        session.commit()


def test_queueing_counts_and_a_dry_run_changes_nothing(letters: Letters) -> None:
    rehearsed = letters.post("queue", {"dry_run": True})
    assert (rehearsed["queued"], rehearsed["dry_run"]) == (3, True)
    assert letters.statuses() == ["unqueued"] * 3
    queued = letters.post("queue", {"version_id": str(letters.version_id)})
    assert (queued["queued"], queued["already_queued"]) == (3, 0)
    assert letters.statuses() == ["queued"] * 3
    assert letters.post("queue")["already_queued"] == 3
    assert _audited_last(letters, "campaign.queued").details["queued"] == 0


def _audited_last(letters: Letters, action: str) -> AuditEntry:
    with letters.api.program.reading() as session:
        entries = log.list_entries(session, system(letters.api))
    return next(each for each in entries if each.action == action)


@pytest.mark.parametrize(
    ("sample", "queued"),
    [
        ({"first": 2}, ["e0", "e1"]),
        ({"entries": ["e2", "e0"]}, ["e0", "e2"]),
        ({"random": 3, "seed": 7}, ["e0", "e1", "e2"]),
    ],
)
def test_a_sample_goes_and_the_rest_later(
    letters: Letters, sample: dict[str, Any], queued: list[str]
) -> None:
    answer = letters.post("queue", {"sample": sample})
    assert (answer["queued"], answer["not_in_sample"]) == (len(queued), 3 - len(queued))
    assert answer["seed"] == sample.get("seed")
    assert letters.entries("send_status=queued") == queued
    assert letters.post("queue")["queued"] == 3 - len(queued)


def test_a_dry_run_tells_the_seed_that_draws_the_same_again(letters: Letters) -> None:
    rehearsed = letters.post("queue", {"dry_run": True, "sample": {"random": 1}})
    again = {"random": 1, "seed": rehearsed["seed"]}
    assert letters.post("queue", {"sample": again})["seed"] == rehearsed["seed"]


def test_chosen_ones_that_cannot_go_are_409_each_with_its_reason(letters: Letters) -> None:
    letters.post("queue", {"sample": {"first": 1}})
    body = {"sample": {"entries": ["e0", "e1", "nobody"]}}
    detail = letters.post("queue", body, 409)["detail"]
    assert "e0 (it is queued already)" in detail
    assert "nobody (version 1 has no such entry)" in detail
    assert "e1" not in detail
    assert letters.statuses() == ["queued", "unqueued", "unqueued"]


@pytest.mark.parametrize(
    "body",
    [
        {"sample": {}},
        {"sample": {"first": 0}},
        {"sample": {"first": True}},
        {"sample": {"first": 1, "random": 1}},
        {"sample": {"first": 1, "seed": 4}},
        {"sample": {"random": 1, "seed": -1}},
        {"sample": {"entries": []}},
        {"not_before": "2026-12-01T08:00"},
        {"not_before": "2020-12-01T08:00Z"},
        {"not_before": 1800000000},
    ],
)
def test_a_sample_or_a_moment_that_cannot_be_is_422(letters: Letters, body: Any) -> None:
    letters.post("queue", body, 422)
    assert letters.statuses() == ["unqueued"] * 3


def test_nothing_leaves_before_the_moment_that_was_asked_for(letters: Letters) -> None:
    moment = letters.api.program.clock.now() + timedelta(hours=5)
    answer = letters.post("queue", {"not_before": moment.isoformat()})
    assert answer["starts_at"] == answer["due_at"]
    assert answer["starts_at"][:16] == moment.isoformat()[:16]
    assert letters.send().due == 0


class Rings:
    """Implements `ports.Bell`."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.is_away = False

    def send(self, _tenant: UUID, version: UUID) -> None:
        self._ring(version)

    def append(self, _tenant: UUID, campaign: UUID) -> None:
        self._ring(campaign)

    def dispatch(self) -> None:
        self._ring("everything")

    def heard_send(self, version: UUID) -> None: ...
    def heard_append(self, campaign: UUID) -> None: ...

    def _ring(self, what: object) -> None:
        if self.is_away:
            raise BellAway("Redis does not answer (ConnectionError).")
        self.heard.append(what)


@pytest.fixture
def rings(letters: Letters) -> Rings:
    letters.api.program.bell = rings = Rings()
    return rings


def test_whoever_sends_is_woken_when_there_is_something_to_send(
    letters: Letters, rings: Rings
) -> None:
    letters.post("queue", {"dry_run": True})
    later = letters.api.program.clock.now() + timedelta(hours=5)
    letters.post("queue", {"not_before": later.isoformat(), "sample": {"first": 1}})
    assert rings.heard == []
    assert letters.post("queue")["hint"] is None
    assert rings.heard == [letters.version_id]
    letters.post("pause")
    letters.post("resume")
    assert rings.heard == [letters.version_id, "everything"]
    _set(letters, "e1", send_status=SendStatus.FAILED)
    _set(letters, "e2", send_status=SendStatus.IN_DOUBT)
    retry = {"event": "retry", "reason": "Their server is back.", "all": True}
    letters.post("jobs/resolve", retry)
    resend = {"event": "resend", "reason": "They have nothing.", "confirm_possible_duplicate": True}
    letters.post(f"jobs/{letters.job('e2')}/resolve", resend)
    assert rings.heard[2:] == [letters.version_id] * 2
    letters.post("jobs/resolve", {"event": "cancel", "reason": "No.", "all": True})
    assert len(rings.heard) == 4


def test_a_bell_that_nobody_hears_is_a_hint_and_no_failure(letters: Letters, rings: Rings) -> None:
    rings.is_away = True
    answer = letters.post("queue")
    assert answer["queued"] == 3
    assert "No worker could be told (Redis does not answer" in answer["hint"]
    letters.post("pause")
    letters.post("resume")


def test_what_cannot_be_queued_is_409_and_what_is_not_there_404(
    letters: Letters, tmp_path: Path
) -> None:
    draft = build(letters.api, tmp_path, 1)
    assert "draft" in draft.post("queue", status=409)["detail"]
    other = letters.api.rival.post(f"{letters.url}/queue")
    assert other.status_code == 404
    assert letters.api.client("campaign:write").post(f"{letters.url}/queue").status_code == 403


def test_a_paused_campaign_sends_nothing_until_it_is_resumed(
    letters: Letters, smtp_server: SmtpServer
) -> None:
    letters.post("queue")
    paused = letters.post("pause", {"reason": "Wrong figures."})
    assert (paused["is_paused"], paused["paused_by"]) == (True, "test")
    assert paused["reason"] == "Wrong figures."
    report = letters.send()
    assert report.stopped is not None
    assert "paused by test" in report.stopped
    assert "Wrong figures." in report.stopped
    assert report.has_findings
    assert letters.statuses() == ["queued"] * 3
    assert smtp_server.messages == []

    again = letters.post("pause", status=409)
    assert "paused by test" in again["detail"]
    assert letters.post("resume")["is_paused"] is False
    assert "not paused" in letters.post("resume", status=409)["detail"]
    assert letters.send().stopped is None
    assert letters.statuses() == ["sent"] * 3
    entry = _audited(letters, "campaign.paused")
    assert (entry.actor_name, entry.details["reason"]) == ("test", "Wrong figures.")
    assert _audited(letters, "campaign.resumed").details["reason"] == "Wrong figures."


def test_cancelling_stops_what_has_not_left(letters: Letters, smtp_server: SmtpServer) -> None:
    letters.post("queue")
    letters.send(limit=1)
    now = letters.api.program.clock.now()
    _set(
        letters,
        "e1",
        send_status=SendStatus.COMMITTING,
        worker="another",
        claimed_at=now,
        lease_until=now + timedelta(minutes=5),
    )
    cancelled = letters.post("cancel", {"reason": "No more."})
    assert {name: cancelled[name] for name in ("cancelled", "leaving", "sent", "in_doubt")} == {
        "cancelled": 1,
        "leaving": 1,
        "sent": 1,
        "in_doubt": 0,
    }
    assert letters.statuses() == ["sent", "committing", "cancelled"]
    assert _audited(letters, "campaign.cancelled").details == {
        "cancelled": 1,
        "leaving": 1,
        "reason": "No more.",
    }
    assert "Nothing" in letters.post("cancel", status=409)["detail"]
    letters.send()
    assert len(smtp_server.messages) == 1


@pytest.mark.parametrize(("sent", "state"), [(0, "cancelled"), (1, "completed")])
def test_the_version_ends_with_the_last_of_its_letters(
    letters: Letters, sent: int, state: str
) -> None:
    letters.post("queue")
    if sent:
        letters.send(limit=sent)
    letters.post("cancel")
    found = letters.get(f"versions/{letters.version_id}")
    assert found["workflow_state"] == state
    assert letters.post("queue")["queued"] == 3 - sent


def test_others_neither_pause_nor_cancel(letters: Letters) -> None:
    letters.post("queue")
    for what in ("pause", "resume", "cancel", "append-sent"):
        assert letters.api.rival.post(f"{letters.url}/{what}").status_code == 404
        reader = letters.api.client("campaign:read", "campaign:approve")
        assert reader.post(f"{letters.url}/{what}").status_code == 403
    assert letters.statuses() == ["queued"] * 3


def test_a_body_that_is_not_understood_is_422(letters: Letters) -> None:
    letters.post("pause", {"reason": "x" * 1001}, 422)
    letters.post("pause", {"why": "x"}, 422)
    letters.post("queue", {"version_id": 7}, 422)
    letters.post("append-sent", {"enqueue_celery": "often"}, 422)


def test_copies_are_filed_as_an_operation(letters: Letters) -> None:
    for entry_id in ("e0", "e1"):
        _set(
            letters,
            entry_id,
            send_status=SendStatus.SENT,
            imap_status=ImapStatus.PENDING,
            sent_at=letters.api.program.clock.now(),
        )
    rehearsed = letters.post("append-sent", {"enqueue_celery": True, "dry_run": True})
    assert rehearsed == {"dry_run": True, "wanted": 2, "operation": None}
    left = letters.post("append-sent", {"enqueue_celery": False, "dry_run": False})
    assert left["operation"] is None
    answer = letters.api.acme.post(
        f"{letters.url}/append-sent", json={"enqueue_celery": True, "dry_run": False}
    )
    assert answer.status_code == 202
    operation = answer.json()["operation"]
    assert answer.headers["location"] == f"/api/v1/operations/{operation['id']}"
    assert watched(letters.api, operation["id"])["kind"] == "append_sent"
    second = letters.post("append-sent", status=409)
    assert second["operation_id"] == operation["id"]


def test_nothing_is_begun_where_no_copy_is_missing(letters: Letters) -> None:
    assert letters.post("append-sent") == {"dry_run": False, "wanted": 0, "operation": None}


def test_what_the_provider_filed_was_sent(
    api: Api, tmp_path: Path, start_smtp: Callable[..., SmtpServer], dovecot: DovecotServer
) -> None:
    smtp, user = start_smtp(script={"DOT": [KEEP_AND_DROP, KEEP_AND_DROP]}), dovecot.new_user()
    parts = by(smtp.port)
    parts["server"]["imap"] = {
        "host": "127.0.0.1",
        "port": dovecot.port,
        "security": "plain",
        "username": user,
        "password": PASSWORD,
    }
    letters = build(api, tmp_path, 3, **parts)
    letters.post("queue")
    letters.send()
    assert letters.statuses() == ["in_doubt", "in_doubt", "sent"]
    with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
        client.login(user, PASSWORD)
        client.append("Gesendet", "()", None, smtp.messages[0].data)  # type: ignore[arg-type]
    looked = letters.post("reconcile")
    assert (looked["absent"], looked["in_doubt"], looked["stopped"]) == (1, 1, None)
    assert looked["found"] == [letters.entries()[0]]
    assert letters.statuses() == ["sent", "in_doubt", "sent"]
    (doubtful,) = letters.get("report")["in_doubt"]["jobs"]
    assert doubtful["look_count"] == 1
    assert doubtful["looked_at"] is not None
    shown = letters.get(f"jobs/{letters.job(letters.entries()[1])}")
    assert (shown["look_count"], shown["looked_at"]) == (1, doubtful["looked_at"])
    assert _audited(letters, "job.find_evidence").details["entries"] == looked["found"]


def test_without_a_server_to_look_in_the_answer_says_so(letters: Letters) -> None:
    _set(letters, letters.entries()[0], send_status=SendStatus.IN_DOUBT)
    looked = letters.post("reconcile")
    assert (looked["absent"], looked["in_doubt"]) == (0, 1)
    assert "IMAP" in looked["stopped"]
