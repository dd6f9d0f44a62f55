"""Building a stored version: frozen messages as jobs, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete

from app.access.actor import Actor
from app.db.models import JobMessage, WorkflowState
from app.mailer.domain.errors import AccessDenied, CampaignInvalid, Conflict, NotFound
from app.mailer.domain.issues import EntryState
from app.mailer.services import build_version as module
from app.mailer.services.build_version import build_version, prepare_version, record_validation
from app.mailer.services.versions import built_version_of
from tests.integration.services.pipeline.desk import document, entry, raw
from tests.integration.services.pipeline.office import Office


def members(count: int = 3, **parts: Any) -> dict[str, Any]:
    """Each with a card of their own, and the terms for all."""
    return document(
        campaign={"id": "cards", "name": "Cards", "mode": "send"},
        server={"smtp": {"host": "localhost"}},
        fields=[{"name": "number"}],
        attachments={
            "base_path": "files",
            "global": [
                {"label": "Card", "file_filter": "${number}.pdf"},
                {"label": "Terms", "file_filter": "terms.pdf"},
            ],
        },
        entries={"inline": [entry(n, values={"number": str(n)}) for n in range(count)]},
        **parts,
    )


def put_files(office: Office, count: int = 3) -> None:
    office.desk.put("files/terms.pdf", b"terms")
    for number in range(count):
        office.desk.put(f"files/{number}.pdf", f"card of {number}")


def taken(office: Office, count: int = 3, **parts: Any) -> UUID:
    put_files(office, count)
    return office.take(members(count, **parts)).version_id


def queue(office: Office, version_id: UUID) -> int:
    return office.queue(office.version(version_id).campaign_id, version_id=version_id).queued


def assert_whole(office: Office, version_id: UUID, count: int) -> None:
    """Every message reads back as the one that was built."""
    jobs = office.jobs(version_id)
    assert [job.position for job in jobs] == list(range(count))
    assert office.version(version_id).built_at is not None
    for job in jobs:
        data = office.message(job)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (job.size, job.sha256)
        assert job.message_id is not None
        assert job.message_id.encode() in data


def test_letters_become_jobs(office: Office) -> None:
    version_id = taken(office)
    assert office.build(version_id) == {
        "inactive": 0,
        "excluded": 0,
        "blocked": 0,
        "needs_review": 0,
        "warning": 0,
        "ready": 3,
    }
    assert_whole(office, version_id, 3)
    job = office.jobs(version_id)[1]
    assert (job.entry_id, job.pointer) == ("e1", "/entries/inline/1")
    assert job.recipients == ["p1@example.org"]
    assert (job.envelope_from, job.to_display) == ("office@example.org", "p1@example.org")
    assert (job.subject, job.build_status) == ("Your card", EntryState.READY)
    card, terms = office.files(job)
    assert (card.rule, card.path, card.filename) == ("Card", "1.pdf", "1.pdf")
    assert (terms.rule, terms.size) == ("Terms", 5)
    assert terms.sha256 == hashlib.sha256(b"terms").hexdigest()
    version = office.version(version_id)
    assert version.workflow_state is WorkflowState.BUILT
    assert version.validation_summary is not None
    assert version.validation_summary["ready"] == 3
    assert len({each.message_id for each in office.jobs(version_id)}) == 3


def test_what_cannot_be_sent_is_a_job_without_a_message(office: Office) -> None:
    put_files(office)
    made = members()
    made["entries"]["inline"][0]["to"] = ["ada"]
    made["entries"]["inline"][1]["active"] = False
    version_id = office.take(made).version_id
    assert office.build(version_id)["blocked"] == 1
    blocked, inactive, ready = office.jobs(version_id)
    assert (blocked.build_status, inactive.build_status) == (
        EntryState.BLOCKED,
        EntryState.INACTIVE,
    )
    assert blocked.sha256 is None
    assert inactive.message_id is None
    assert office.message(ready)
    found = {(each.code, each.job_id, each.entry_id) for each in office.issues(version_id)}
    assert ("invalid-recipient", blocked.id, "e0") in found


def test_entries_with_one_id_are_stored_apart(office: Office) -> None:
    put_files(office)
    made = members()
    for each in made["entries"]["inline"]:
        each["id"] = "twin"
    version_id = office.take(made).version_id
    assert office.build(version_id)["blocked"] == 3
    jobs = office.jobs(version_id)
    assert [job.entry_id for job in jobs] == ["twin", "twin #2", "twin #3"]
    assert all(job.sha256 is None for job in jobs)


def test_findings_of_the_campaign_are_stored_with_the_version(office: Office) -> None:
    office.desk.put("files/9.pdf")
    version_id = taken(office)
    office.build(version_id)
    (issue,) = office.issues(version_id)
    assert (issue.code, issue.job_id) == ("unclaimed-file", None)


def test_a_file_changed_after_the_build_changes_nothing(office: Office) -> None:
    version_id = taken(office)
    office.build(version_id)
    before = [office.message(job) for job in office.jobs(version_id)]
    office.desk.put("files/terms.pdf", b"other")
    (office.desk.folder / "files/1.pdf").unlink()
    assert [office.message(job) for job in office.jobs(version_id)] == before
    assert_whole(office, version_id, 3)


def test_a_shared_file_is_in_the_blob_store_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_id = taken(office)
    put = []
    real = office.blobs.put
    monkeypatch.setattr(
        office.blobs, "put", lambda tenant, data: (put.append(data), real(tenant, data))[1]
    )
    office.build(version_id)
    assert sorted(put) == [b"card of 0", b"card of 1", b"card of 2", b"terms"]


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_an_interrupted_build_is_not_sent_and_can_be_done_again(
    office: Office, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 1)
    version_id = taken(office)
    real, calls = office.blobs.sync, []

    def sync() -> None:
        calls.append(None)
        if len(calls) > fails_at:
            raise KeyboardInterrupt
        real()

    monkeypatch.setattr(office.blobs, "sync", sync)
    with pytest.raises(KeyboardInterrupt):
        office.build(version_id)
    assert len(office.jobs(version_id)) == fails_at
    version = office.version(version_id)
    assert version.built_at is None
    with office.sessions() as session, pytest.raises(Conflict, match="not built"):
        built_version_of(session, office.tenant_id, version.campaign_id, version_id)
    with pytest.raises(Conflict, match="not built"):
        queue(office, version_id)

    monkeypatch.setattr(office.blobs, "sync", real)
    assert office.build(version_id)["ready"] == 3
    assert_whole(office, version_id, 3)
    assert queue(office, version_id) == 3


def test_of_two_builds_at_once_one_is_refused(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 1)
    version_id = taken(office)
    prepared = prepare_version(office.workshop(), office.actor, version_id)
    real, others = office.blobs.sync, []

    def sync() -> None:
        real()
        if not others and office.jobs(version_id):  # as the first is half done
            others.append(None)
            others.append(office.build(version_id))

    monkeypatch.setattr(office.blobs, "sync", sync)
    with pytest.raises(Conflict, match="Somebody else"):
        build_version(office.workshop(), office.actor, version_id, prepared)
    assert others[1]["ready"] == 3
    assert_whole(office, version_id, 3)


def test_building_again_makes_it_anew_until_it_was_queued(office: Office) -> None:
    version_id = taken(office)
    office.build(version_id)
    first = {job.id: job.message_id for job in office.jobs(version_id)}
    office.build(version_id)
    second = {job.id: job.message_id for job in office.jobs(version_id)}
    assert len(second) == 3
    assert not set(first.values()) & set(second.values())
    assert queue(office, version_id) == 3
    with pytest.raises(Conflict, match="queued already"):
        office.build(version_id)
    assert {job.id for job in office.jobs(version_id)} == set(second)
    assert office.version(version_id).built_at is not None


def test_a_campaign_at_fault_leaves_the_last_build_as_it_was(office: Office) -> None:
    office.desk.put("letter.txt", "Hello")
    version_id = taken(office, template={"subject": "x", "text": {"path": "letter.txt"}})
    office.build(version_id)
    before = [job.id for job in office.jobs(version_id)]
    (office.desk.folder / "letter.txt").unlink()
    with pytest.raises(CampaignInvalid, match=r"letter\.txt"):
        office.build(version_id)
    assert [job.id for job in office.jobs(version_id)] == before
    assert_whole(office, version_id, 3)


def test_secrets_that_letters_do_not_show_are_nowhere_in_clear(office: Office) -> None:
    put_files(office)
    made = members()
    made["fields"].append({"name": "pin", "type": "secret"})
    made["attachments"]["zip"] = {"enabled": True, "password": "zip-hunter2-${pin}"}
    made["server"]["smtp"] |= {"username": "u", "password": "smtp-hunter2"}
    for each in made["entries"]["inline"]:
        each["values"]["pin"] = "local-hunter2"
    made["entries"]["inline"][2]["values"]["number"] = "missing"
    version_id = office.take(made).version_id
    assert office.build(version_id)["ready"] == 2
    assert "hunter2" not in office.everything()
    assert b"hunter2" not in office.file_bytes()
    whole, card, terms = office.files(office.jobs(version_id)[0])
    assert (whole.filename, whole.archive) == ("attachments.zip", None)
    assert {card.archive, terms.archive} == {"attachments.zip"}
    assert office.campaign(version_id).attachments.zip.password == "zip-hunter2-${pin}"


def test_a_secret_in_a_subject_is_masked_in_lists(office: Office) -> None:
    made = document(
        fields=[{"name": "pin", "type": "secret"}],
        template={"subject": "PIN ${pin}", "text": "x"},
        entries={"inline": [entry(values={"pin": "hunter2"})]},
    )
    version_id = office.take(made).version_id
    office.build(version_id)
    (job,) = office.jobs(version_id)
    assert job.subject == "PIN •••"
    assert b"Subject: PIN hunter2\r\n" in office.message(job)


def test_a_secret_in_a_files_name_shows_in_no_list(office: Office) -> None:
    office.desk.put("files/hunter2/hunter2.pdf", b"card")
    made = document(
        fields=[{"name": "pin", "type": "secret"}, {"name": "zip", "type": "boolean"}],
        attachments={
            "base_path": "files",
            "global": [{"base_dir": "${pin}", "file_filter": "${pin}.pdf", "label": "Card"}],
            "zip": {"enabled": True, "only_if": "zip", "filename": "${pin}.zip"},
        },
        validation_policy={"shared_file": "warn"},
        entries={"inline": [entry(n, values={"pin": "hunter2", "zip": n > 0}) for n in (0, 1)]},
    )
    version_id = office.take(made).version_id
    assert office.build(version_id)["warning"] == 2
    assert {file.filename for job in office.jobs(version_id) for file in office.files(job)} == {
        "•••"
    }
    # The messages themselves have it, as the campaign wants.
    plain, packed = (office.message(job) for job in office.jobs(version_id))
    assert b'filename="hunter2.pdf"' in plain
    assert b'filename="hunter2.zip"' in packed
    with office.sessions() as session:
        session.execute(delete(JobMessage))
        session.commit()
    assert "hunter2" not in office.everything()


def test_a_validation_is_kept_with_its_issues(office: Office) -> None:
    version_id = taken(office)
    (office.desk.folder / "files/1.pdf").unlink()
    workshop = office.workshop()
    prepared = prepare_version(workshop, office.actor, version_id)
    for _ in range(2):
        record_validation(workshop, office.actor, version_id, prepared)
    version = office.version(version_id)
    assert version.validated_at is not None
    assert version.validation_summary == prepared.summary()
    assert [each.code for each in office.issues(version_id)] == ["missing-attachment"]
    assert not office.jobs(version_id)


def test_only_with_the_scope_and_in_the_own_tenant(office: Office) -> None:
    version_id = taken(office)
    workshop = office.workshop()
    reader = replace(office.actor, scopes=frozenset({"campaign:read"}))
    with pytest.raises(AccessDenied, match="campaign:build"):
        prepare_version(workshop, reader, version_id)
    prepared = prepare_version(workshop, office.actor, version_id)
    with pytest.raises(AccessDenied, match="campaign:build"):
        build_version(workshop, reader, version_id, prepared)
    stranger = Actor.system(uuid4(), "Eve", ["*"])
    with pytest.raises(NotFound):
        prepare_version(workshop, stranger, version_id)
    with pytest.raises(NotFound):
        build_version(workshop, stranger, version_id, prepared)


def odd_campaign() -> dict[str, Any]:
    """A campaign with what is easily lost on the way through a database."""
    return document(
        fields=[
            {"name": "number"},
            {"name": "price", "type": "decimal"},
            {"name": "big", "type": "integer"},
            {"name": "pin", "type": "secret", "default": "00042"},
            {"name": "year", "type": "integer", "scope": "global"},
            {"name": "key", "type": "secret", "scope": "both"},
        ],
        global_values={"year": 2026, "key": "global"},
        recipients={
            "from": "Büro <office@example.org>",
            "reply_to": "help@example.org",
            "cc": ["Boss <boss@example.org>"],
            "bcc": ["archive@example.org"],
        },
        template={
            "subject": {"path": "texts/subject.txt"},
            "text": {"path": "texts/letter.txt", "encoding": "cp1252"},
            "html": '<p>${number} <img src="cid:logo"></p>',
            "inline_images": [{"cid": "logo", "path": "texts/logo.png"}],
        },
        attachments={
            "base_path": ".",
            "global": [
                {"file_filter": "cards/${number}_*.pdf", "filename": "Card ${number}"},
                {"file_filter": "texts/*.txt", "required": False, "allow_multiple": True},
            ],
            "zip": {"enabled": False},
        },
        entries={
            "source": {"path": "people.csv", "mapping": {"id": "number"}},
            "inline": [
                entry(1, values={"number": "0002", "price": 1.10, "big": 10**25}),
                entry(2, values={"number": 3, "price": 1e3, "key": "own"}, subject="For ${number}"),
            ],
        },
        delivery={"headers": {"X-Price": "${price}"}, "imap_append_sent": {"enabled": False}},
    )


def without_what_each_build_has_of_its_own(message: bytes) -> bytes:
    message = re.sub(rb"(?m)^(Date|Message-ID):.*$", b"", message)
    return re.sub(rb"=_[0-9a-f]{24}", b"=_", message)


def test_what_was_shown_is_what_is_frozen(office: Office) -> None:
    """The letters built from the file, and those of its import, differ in nothing that counts."""
    desk = office.desk
    desk.put("texts/subject.txt", "Nr. ${number} ${year}\n")
    desk.put(
        "texts/letter.txt", "Grüße ${number}: ${price}, ${big}, ${pin}, ${key}".encode("cp1252")
    )
    desk.put("texts/logo.png", b"logo")
    desk.put("people.csv", "number;to;price;big\n0001;Ada <ada@example.org>;1.234,50;007\n")
    for number in ("0001", "0002", "3"):
        desk.put(f"cards/{number}_x.pdf", f"card {number}")
    made = odd_campaign()
    desk.put("campaign.json", json.dumps(made))
    shown = desk.prepare(made)
    letters = desk.build(shown)
    assert [letter.state.value for letter, _ in letters] == ["ready", "ready", "blocked"]

    version = office.take(made).version_id
    prepared = prepare_version(office.workshop(), office.actor, version)
    build_version(office.workshop(), office.actor, version, prepared)
    jobs = office.jobs(version)
    assert [letter.issues for letter in prepared.letters] == [each.issues for each, _ in letters]
    for job, (letter, built) in zip(jobs, letters, strict=True):
        assert (job.entry_id, job.build_status) == (letter.id, letter.state)
        if built is None:
            continue
        assert tuple(job.recipients) == letter.envelope
        assert without_what_each_build_has_of_its_own(
            office.message(job)
        ) == without_what_each_build_has_of_its_own(raw(built))


def test_the_campaign_file_itself_is_no_forgotten_one(office: Office) -> None:
    office.desk.put("card.pdf")
    made = document(attachments={"global": [{"file_filter": "card.pdf"}]})
    office.desk.put("campaign.json", json.dumps(made))
    version = office.take(made).version_id
    assert prepare_version(office.workshop(), office.actor, version).issues == []
