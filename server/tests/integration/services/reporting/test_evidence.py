"""The evidence of a version says what happened, holds no secret, and betrays whoever changes it."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.access.actor import Actor
from app.access.scopes import Scope
from app.audit import record
from app.db.models import AuditEntry, JobMessage, SendAttempt
from app.db.session import reading
from app.mailer.adapters.evidence_file import EvidenceFile
from app.mailer.domain.errors import AccessDenied, NotFound
from app.mailer.domain.evidence.check import Damaged, Finding
from app.mailer.domain.evidence.form import ListedMember, set_hash
from app.mailer.domain.evidence.zip_form import ZipStream
from app.mailer.services.approve_version import approve_version
from app.mailer.services.evidence import RecordOffice, export_evidence
from app.mailer.services.verify_audit import verify_audit
from app.mailer.services.verify_evidence import EvidenceReport, verify_evidence
from tests.integration.services.sending.house import House, letter, make_house
from tests.servers.smtp import SmtpServer

CANARY = "canary-7f3a"
Members = dict[str, bytes]


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    yield from make_house(request.getfixturevalue(f"{request.param}_url"), tmp_path)


@pytest.fixture
def sent(house: House, smtp_server: SmtpServer) -> tuple[House, UUID, UUID]:
    """A campaign of three letters with a file each, approved; two were sent."""
    (house.folder / "files").mkdir()
    for number in range(3):
        (house.folder / "files" / f"card-e{number}.txt").write_text(f"card {number}\n" * 50)
    document = letter(
        smtp_server.port,
        server={
            "smtp": {
                "host": "127.0.0.1",
                "port": smtp_server.port,
                "security": "plain",
            },
            "imap": {"host": "127.0.0.1", "port": 9, "username": "u", "password": CANARY},
        },
        fields=[{"name": "pin", "type": "secret"}, {"name": "key"}],
        attachments={"base_path": "files", "global": [{"file_filter": "card-${local::key}.txt"}]},
        entries={
            "inline": [
                {
                    "id": f"e{n}",
                    "to": [f"p{n}@example.org"],
                    "values": {"pin": CANARY, "key": f"e{n}"},
                }
                for n in range(3)
            ]
        },
    )
    version = house.build(document)
    with house.sessions() as session:
        record(session, house.actor, "user.created", "user", "somebody else", {}, house.clock.now())
        approve_version(
            session,
            house.actor,
            version.campaign_id,
            version.version_id,
            reason="looked at all",
            now=house.clock.now(),
        )
        session.commit()
    house.queue(version.campaign_id)
    house.send(version.campaign_id, limit=2)
    return house, version.campaign_id, version.version_id


def office(house: House) -> RecordOffice:
    return RecordOffice(
        sessions=house.sessions,
        reading=reading(house.sessions.kw["bind"]),
        blobs=house.blobs,
        clock=house.clock,
        program="MultiMailer test",
    )


def exported(house: House, campaign: UUID, version: UUID | None, *, messages: bool) -> bytes:
    found = export_evidence(
        office(house), house.actor, campaign, version_id=version, with_messages=messages
    )
    assert found.filename == "cards-v1-evidence.zip"
    return b"".join(found.pieces)


def verified(data: bytes, folder: Path) -> EvidenceReport:
    path = folder / "evidence.zip"
    path.write_bytes(data)
    try:
        with EvidenceFile(path) as evidence:
            return verify_evidence(evidence, lambda *_: None)
    except Damaged as error:
        return EvidenceReport(findings=[Finding("", None, str(error))])


def unpacked(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def lines(members: Members, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in members[name].splitlines()]


def packed(members: Members) -> bytes:
    """What a forger who knows the form makes: the manifest fits whatever the members are."""
    manifest = json.loads(members["manifest.json"])
    for member in manifest["members"]:
        if member["name"] in members:
            data = members[member["name"]]
            member["size"], member["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    for name in manifest["counts"]:
        manifest["counts"][name] = members.get(name, b"").count(b"\n")
    manifest["set_sha256"] = set_hash([ListedMember(**each) for each in manifest["members"]])
    forged = {**members, "manifest.json": json.dumps(manifest).encode()}
    stream = ZipStream()
    pieces = [piece for name, data in forged.items() for piece in stream.add(name, [data])]
    return b"".join([*pieces, *stream.end()])


def test_it_says_what_happened(sent: tuple[House, UUID, UUID], tmp_path: Path) -> None:
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


def test_the_export_is_recorded_with_the_hash_of_its_manifest(
    sent: tuple[House, UUID, UUID], tmp_path: Path
) -> None:
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
    sent: tuple[House, UUID, UUID],
) -> None:
    house, campaign, version = sent
    export_evidence(office(house), house.actor, campaign, version_id=version, with_messages=False)
    with house.sessions() as session:
        actions = session.scalars(select(AuditEntry.action)).all()
    assert "evidence.exported" in actions
    assert "evidence.completed" not in actions


def test_the_log_is_followed_without_showing_what_is_not_the_campaigns(
    sent: tuple[House, UUID, UUID],
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


def test_there_is_no_secret_in_it(sent: tuple[House, UUID, UUID]) -> None:
    house, campaign, version = sent
    members = unpacked(exported(house, campaign, version, messages=True))
    for name, data in members.items():
        assert CANARY.encode() not in data, name


def test_two_exports_differ_in_nothing_but_what_they_say_of_themselves(
    sent: tuple[House, UUID, UUID],
) -> None:
    house, campaign, version = sent
    one = unpacked(exported(house, campaign, version, messages=True))
    other = unpacked(exported(house, campaign, version, messages=True))
    differing = {name for name in one if one[name] != other[name]}
    assert differing == {"audit.ndjson", "manifest.json"}


def test_every_changed_byte_is_found(sent: tuple[House, UUID, UUID], tmp_path: Path) -> None:
    house, campaign, version = sent
    data = exported(house, campaign, version, messages=True)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        infos = file.infolist()
        start = file.start_dir
    # All of a header, of what ends a member and of the list at the end, and some of all the rest.
    places = {*range(80), *range(start, start + 80), *range(len(data) - 100, len(data))}
    for info in infos[1:]:
        places |= {*range(info.header_offset - 28, info.header_offset)}
    places |= {*random.Random(1).sample(range(len(data)), 150)}
    for place in sorted(places):
        changed = bytearray(data)
        changed[place] ^= 0xFF
        assert verified(bytes(changed), tmp_path).findings, place
    for wrong in (data[:-1], data + b"x", b"x" + data, data[:100] + data[101:], b"", b"PK"):
        assert verified(wrong, tmp_path).findings


@pytest.mark.parametrize("kind", ["removed", "added", "changed", "renamed"])
def test_every_changed_member_is_found(
    sent: tuple[House, UUID, UUID], tmp_path: Path, kind: str
) -> None:
    house, campaign, version = sent
    members = unpacked(exported(house, campaign, version, messages=True))
    for name in members:
        changed = dict(members)
        if kind in {"removed", "renamed"}:
            content = changed.pop(name)
            if kind == "renamed":
                changed[f"{name}.old"] = content
        elif kind == "added":
            changed[f"{name}.more"] = b"{}\n"
        else:
            changed[name] = members[name].rstrip() + b" \n"
        stream = ZipStream()
        pieces = [each for key, data in changed.items() for each in stream.add(key, [data])]
        report = verified(b"".join([*pieces, *stream.end()]), tmp_path)
        # Blanks in the manifest are no other manifest, but have another hash, which is in the log.
        if (kind, name) != ("changed", "manifest.json"):
            assert any(name.split(".")[0] in str(each) for each in report.findings), (name, report)


def _line(members: Members, name: str, number: int, **values: object) -> Members:
    changed = lines(members, name)
    changed[number] |= values
    return _with(members, name, changed)


def _with(members: Members, name: str, changed: list[dict[str, Any]]) -> Members:
    text = "".join(json.dumps(each) + "\n" for each in changed)
    return {**members, name: text.encode()}


Forgery = Callable[[Members], Members]
FORGERIES: dict[str, tuple[Forgery, str]] = {
    "a reply is another": (
        lambda m: _line(m, "attempts.ndjson", 0, code=550),
        "accepted without a reply",
    ),
    "an attempt is missing": (
        lambda m: _with(m, "attempts.ndjson", lines(m, "attempts.ndjson")[1:]),
        "no attempt was accepted",
    ),
    "it was accepted twice": (
        lambda m: _with(
            m,
            "attempts.ndjson",
            [
                lines(m, "attempts.ndjson")[0],
                {**lines(m, "attempts.ndjson")[0], "number": 2},
                *lines(m, "attempts.ndjson")[1:],
            ],
        ),
        "sent twice",
    ),
    "a message was not sent": (
        lambda m: _line(m, "messages.ndjson", 0, send_status="failed", sent_at=None),
        "the message is not sent",
    ),
    "a message is missing": (
        lambda m: _with(m, "messages.ndjson", lines(m, "messages.ndjson")[1:]),
        "no message that is listed",
    ),
    "messages are swapped": (
        lambda m: _with(m, "messages.ndjson", lines(m, "messages.ndjson")[::-1]),
        "out of order",
    ),
    "another message was approved": (
        lambda m: _line(m, "messages.ndjson", 2, sha256="0" * 64),
        "other messages than these",
    ),
    "a state is none": (
        lambda m: _line(m, "messages.ndjson", 2, send_status="lost"),
        "not what such a line",
    ),
    "an attachment is missing": (
        lambda m: _line(m, "attachments.ndjson", 0, position=1),
        "attachment before it is missing",
    ),
    "an eml is another": (
        lambda m: {**m, "messages/0000001.eml": b"Subject: other\r\n\r\nother\r\n"},
        "not what was exported",
    ),
    "the campaign's file is another": (
        lambda m: {**m, "campaign.json": b"{}"},
        "not the file whose hash",
    ),
    "the log is cut off": (
        lambda m: _with(m, "audit.ndjson", lines(m, "audit.ndjson")[:-1]),
        "does not lead to the end",
    ),
    "an entry of the log is missing": (
        lambda m: _with(
            m, "audit.ndjson", [*lines(m, "audit.ndjson")[:1], *lines(m, "audit.ndjson")[2:]]
        ),
        "it is missing",
    ),
    "an entry of the log is another": (
        lambda m: _line(m, "audit.ndjson", 0, actor_name="Somebody"),
        "not what was recorded",
    ),
    "the log is empty": (lambda m: {**m, "audit.ndjson": b""}, "Not even this export"),
    "a line is no object": (lambda m: {**m, "issues.ndjson": b"1\n"}, "no object"),
    "a line is no JSON": (lambda m: {**m, "issues.ndjson": b"{\n"}, "not JSON"),
    "a line is cut off": (lambda m: {**m, "issues.ndjson": b"{}"}, "cut off"),
    "the manifest is none": (lambda m: {**m, "version.json": b"[]"}, "another version"),
}


def test_whoever_makes_a_new_manifest_is_found_by_what_does_not_agree(
    sent: tuple[House, UUID, UUID], tmp_path: Path
) -> None:
    house, campaign, version = sent
    members = unpacked(exported(house, campaign, version, messages=True))
    assert verified(packed(members), tmp_path).is_proved
    for name, (forge, told) in FORGERIES.items():
        report = verified(packed(forge(dict(members))), tmp_path)
        assert any(told in each.message for each in report.findings), (name, report.findings)


def test_a_message_that_cannot_be_read_back_is_told(
    sent: tuple[House, UUID, UUID], tmp_path: Path
) -> None:
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


def test_a_database_that_was_changed_shows(sent: tuple[House, UUID, UUID], tmp_path: Path) -> None:
    house, campaign, version = sent
    with house.sessions() as session:
        session.execute(update(SendAttempt).values(outcome="rejected", code=550))
        session.commit()
    report = verified(exported(house, campaign, version, messages=False), tmp_path)
    assert [each.member for each in report.findings] == ["messages.ndjson"] * 2


def test_scope_and_tenant(sent: tuple[House, UUID, UUID]) -> None:
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
