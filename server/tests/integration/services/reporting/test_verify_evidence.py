"""Evidence betrays whoever changes it."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.mailer.domain.evidence.zip_form import ZipStream
from app.mailer.services.approve_version import withdraw_approval
from tests.integration.services.reporting.evidence import (
    Members,
    Sent,
    exported,
    lines,
    packed,
    unpacked,
    verified,
)


def test_every_changed_byte_is_found(sent: Sent, tmp_path: Path) -> None:
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
def test_every_changed_member_is_found(sent: Sent, tmp_path: Path, kind: str) -> None:
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
    "somebody else approved": (
        lambda m: _line(m, "approvals.ndjson", 0, approved_by="Somebody"),
        "log in this file says otherwise",
    ),
    "it was approved for another reason": (
        lambda m: _line(m, "approvals.ndjson", 0, reason="read them all"),
        "log in this file says otherwise",
    ),
    "it was approved earlier": (
        lambda m: _line(m, "approvals.ndjson", 0, approved_at="2026-01-01T00:00:00.000000Z"),
        "log in this file says otherwise",
    ),
    "an approval is void": (
        lambda m: _line(m, "approvals.ndjson", 0, voided_at="2026-01-01T00:00:00.000000Z"),
        "log in this file says otherwise",
    ),
    "an approval is missing": (
        lambda m: {**m, "approvals.ndjson": b""},
        "missing that the audit log has",
    ),
    "an approval is there twice": (
        lambda m: _with(m, "approvals.ndjson", lines(m, "approvals.ndjson") * 2),
        "log in this file says otherwise",
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
    sent: Sent, tmp_path: Path
) -> None:
    house, campaign, version = sent
    members = unpacked(exported(house, campaign, version, messages=True))
    assert verified(packed(members), tmp_path).is_proved
    for name, (forge, told) in FORGERIES.items():
        report = verified(packed(forge(dict(members))), tmp_path)
        assert any(told in each.message for each in report.findings), (name, report.findings)


def test_void_approvals_are_proved_too(sent: Sent, tmp_path: Path) -> None:
    house, campaign, version = sent
    now = house.clock.now()
    with house.sessions() as session:
        withdraw_approval(session, house.actor, campaign, version, reason="Wait", now=now)
        session.commit()
    members = unpacked(exported(house, campaign, version, messages=False))
    assert verified(packed(members), tmp_path).is_proved
    forged = _line(dict(members), "approvals.ndjson", 0, voided_at=None, void_reason=None)
    findings = verified(packed(forged), tmp_path).findings
    assert [each.message for each in findings] == [
        "The audit log in this file says otherwise.",
        "One is missing that the audit log has.",
    ]
