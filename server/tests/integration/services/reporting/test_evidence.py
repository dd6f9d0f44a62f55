"""The evidence of a version says what happened, and holds no secret."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.access.actor import Actor
from app.access.scopes import Scope
from app.db.models import AuditEntry, JobMessage, SendAttempt
from app.mailer.domain.errors import AccessDenied, NotFound
from app.mailer.services.evidence import export_evidence
from app.mailer.services.verify_audit import verify_audit
from tests.integration.services.reporting.evidence import (
    CANARY,
    Sent,
    exported,
    lines,
    office,
    unpacked,
    verified,
)


def test_it_says_what_happened(sent: Sent, tmp_path: Path) -> None:
    house, campaign, version = sent
    data = exported(house, campaign, None, messages=True)
    report = verified(data, tmp_path)
    assert report.findings == []
    members = unpacked(data)
    assert list(members) == [
        "campaign.json",
        "version.json",
        "messages.ndjson",
        "attachments.ndjson",
        "issues.ndjson",
        "attempts.ndjson",
        "append_attempts.ndjson",
        "approvals.ndjson",
        "audit.ndjson",
        "messages/0000000.eml",
        "messages/0000001.eml",
        "messages/0000002.eml",
        "unreadable.ndjson",
        "manifest.json",
    ]
    messages = lines(members, "messages.ndjson")
    assert [each["send_status"] for each in messages] == ["sent", "sent", "queued"]
    assert messages[0]["recipients"] == ["p0@example.org"]
    for each in messages:
        eml = members[f"messages/{each['position']:07}.eml"]
        assert (len(eml), hashlib.sha256(eml).hexdigest()) == (each["size"], each["sha256"])
    assert [each["filename"] for each in lines(members, "attachments.ndjson")] == [
        f"card-e{n}.txt" for n in range(3)
    ]
    attempts = lines(members, "attempts.ndjson")
    assert [(each["entry_id"], each["outcome"]) for each in attempts] == [
        ("e0", "accepted"),
        ("e1", "accepted"),
    ]
    assert attempts[0]["code"] == 250
    (approval,) = lines(members, "approvals.ndjson")
    assert (approval["approved_by"], approval["reason"]) == ("Test", "looked at all")
    assert json.loads(members["version.json"])["version"]["id"] == str(version)
    assert report.manifest is not None
    assert report.manifest.made_by["name"] == "Test"
    assert report.manifest.counts["messages.ndjson"] == 3


def test_the_export_is_recorded_with_the_hash_of_its_manifest(sent: Sent, tmp_path: Path) -> None:
    house, campaign, version = sent
    report = verified(exported(house, campaign, version, messages=False), tmp_path)
    assert report.is_proved
    with house.sessions() as session:
        begun, ended = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.action.like("evidence.%"))
            .order_by(AuditEntry.sequence)
        )
        assert (begun.action, ended.action) == ("evidence.exported", "evidence.completed")
        assert ended.details["manifest_sha256"] == report.manifest_sha256
        assert ended.details["audit_head"] == f"{begun.sequence}:{begun.hash}"
        assert verify_audit(session, house.actor).proved


def test_an_export_that_is_broken_off_is_recorded_all_the_same(
    sent: Sent,
) -> None:
    house, campaign, version = sent
    export_evidence(office(house), house.actor, campaign, version_id=version, with_messages=False)
    with house.sessions() as session:
        actions = session.scalars(select(AuditEntry.action)).all()
    assert "evidence.exported" in actions
    assert "evidence.completed" not in actions


def test_the_log_is_followed_without_showing_what_is_not_the_campaigns(
    sent: Sent,
) -> None:
    house, campaign, version = sent
    data = exported(house, campaign, version, messages=False)
    entries = lines(unpacked(data), "audit.ndjson")
    actions = [each.get("action") for each in entries]
    assert {"campaign.imported", "campaign.built", "campaign.approved"} <= set(actions)
    assert actions[-1] == "evidence.exported"
    assert "user.created" not in actions
    hidden = [each for each in entries if "action" not in each]
    assert [each.keys() for each in hidden] == [{"sequence", "content_hash"}]
    assert b"somebody else" not in b"".join(unpacked(data).values())


def test_there_is_no_secret_in_it(sent: Sent) -> None:
    house, campaign, version = sent
    members = unpacked(exported(house, campaign, version, messages=True))
    for name, data in members.items():
        assert CANARY.encode() not in data, name


def test_two_exports_differ_in_nothing_but_what_they_say_of_themselves(
    sent: Sent,
) -> None:
    house, campaign, version = sent
    one = unpacked(exported(house, campaign, version, messages=True))
    other = unpacked(exported(house, campaign, version, messages=True))
    differing = {name for name in one if one[name] != other[name]}
    assert differing == {"audit.ndjson", "manifest.json"}


def test_a_message_that_cannot_be_read_back_is_told(sent: Sent, tmp_path: Path) -> None:
    house, campaign, version = sent
    with house.sessions() as session:
        session.execute(
            update(JobMessage)
            .where(JobMessage.job_id == house.jobs(campaign)[1].id)
            .values(frame=b"damaged")
        )
        session.commit()
    assert verified(exported(house, campaign, version, messages=False), tmp_path).is_proved
    data = exported(house, campaign, version, messages=True)
    assert "messages/0000001.eml" not in unpacked(data)
    (finding,) = verified(data, tmp_path).findings
    assert (finding.member, finding.line) == ("unreadable.ndjson", 1)
    assert "e1" in finding.message


def test_a_database_that_was_changed_shows(sent: Sent, tmp_path: Path) -> None:
    house, campaign, version = sent
    with house.sessions() as session:
        session.execute(update(SendAttempt).values(outcome="rejected", code=550))
        session.commit()
    report = verified(exported(house, campaign, version, messages=False), tmp_path)
    assert [each.member for each in report.findings] == ["messages.ndjson"] * 2


def test_scope_and_tenant(sent: Sent) -> None:
    house, campaign, version = sent
    tenant = house.actor.tenant_id

    def export(actor: Actor, messages: bool) -> None:
        export_evidence(office(house), actor, campaign, version_id=version, with_messages=messages)

    with pytest.raises(AccessDenied, match="audit:read"):
        export(Actor.system(tenant, "Bob", [Scope.CAMPAIGN_READ]), False)
    auditor = Actor.system(tenant, "Bob", [Scope.AUDIT_READ])
    export(auditor, False)
    with pytest.raises(AccessDenied, match="campaign:read"):
        export(auditor, True)
    with pytest.raises(NotFound):
        export(Actor.system(UUID(int=1), "Eve", [Scope.EVERYTHING]), False)
