"""What tests of the evidence do with it: export, verify, unpack, and forge."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

from app.db.session import reading
from app.mailer.adapters.evidence_file import EvidenceFile
from app.mailer.domain.evidence.check import Damaged, Finding
from app.mailer.domain.evidence.form import ListedMember, set_hash
from app.mailer.domain.evidence.zip_form import ZipStream
from app.mailer.services.evidence import RecordOffice, export_evidence
from app.mailer.services.verify_evidence import EvidenceReport, verify_evidence
from tests.integration.services.sending.house import House

#: A campaign and its version, in their house.
Sent = tuple[House, UUID, UUID]
Members = dict[str, bytes]
#: Stands in the places of secrets, and nowhere else.
CANARY = "canary-7f3a"


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
