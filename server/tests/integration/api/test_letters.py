"""Letters as people look at them: the bytes, a preview, an attachment; each look is recorded."""

from __future__ import annotations

import email
import email.policy
import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.audit import log
from app.db.models import AuditEntry, JobMessage
from tests.integration.api.conftest import Api
from tests.integration.api.letters import Letters, build, system
from tests.integration.services.pipeline.desk import entry

_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63f8ffff"
    "3f0005fe02fea72d1f4e0000000049454e44ae426082"
)
_HTML = (
    '<body bgcolor="#eee"><p onclick="x()">Good day, <b>Änne</b></p><script>x()</script>'
    '<img src="cid:logo"><img src="https://track.example/1.png" alt="us"></body>'
)


@pytest.fixture
def letters(api: Api, tmp_path: Path) -> Letters:
    """e0 has text, HTML with an image, a file and a hidden copy; e1 is blocked."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/Größe.txt").write_bytes(b"for all")
    (tmp_path / "logo.png").write_bytes(_PIXEL)
    entries = [
        entry(0, to=["Änne Groß <ann@example.org>"], bcc=["boss@example.org"]),
        entry(1, to=["nobody"]),
    ]
    return build(
        api,
        tmp_path,
        template={
            "subject": "Grüße",
            "text": "Good day.",
            "html": _HTML,
            "inline_images": [{"cid": "logo", "path": "logo.png"}],
        },
        attachments={"base_path": "files", "global": [{"file_filter": "*.txt"}]},
        entries={"inline": entries},
    )


def _audited(letters: Letters) -> list[AuditEntry]:
    with letters.api.program.reading() as session:
        entries = log.list_entries(session, system(letters.api))
    return [each for each in reversed(entries) if each.action.startswith("message.")]


def _damage(letters: Letters) -> None:
    """Somebody changes the stored messages."""
    with letters.api.program.sessions() as session:
        session.execute(update(JobMessage).values(frame=b"\x01nothing"))
        session.commit()


def test_the_message_is_byte_for_byte_what_was_built(letters: Letters) -> None:
    job = letters.get(f"jobs/{letters.job('e0')}")
    answer = letters.api.acme.get(f"{letters.url}/jobs/{job['id']}/message.eml")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"] == 'attachment; filename="e0.eml"'
    assert answer.headers["cache-control"] == "no-store"
    assert hashlib.sha256(answer.content).hexdigest() == job["sha256"]
    assert len(answer.content) == job["size"] == int(answer.headers["content-length"])
    message = email.message_from_bytes(answer.content, policy=email.policy.default)
    assert message["Subject"] == "Grüße"
    assert message["Bcc"] is None
    copy = letters.api.acme.get(f"{letters.url}/jobs/{job['id']}/message.eml?with_bcc=true")
    assert email.message_from_bytes(copy.content, policy=email.policy.default)["Bcc"] == (
        "boss@example.org"
    )
    first, second = _audited(letters)
    assert (first.action, first.object_type, first.object_id) == (
        "message.downloaded",
        "job",
        job["id"],
    )
    assert (first.details["part"], first.details["sha256"]) == ("message", job["sha256"])
    assert (first.details["with_bcc"], second.details["with_bcc"]) == (False, True)


def test_the_preview_is_the_letter_decoded(letters: Letters) -> None:
    preview = letters.get(f"jobs/{letters.job('e0')}/preview")
    assert preview["from"] == "Office <office@example.org>"
    assert preview["to"] == "Änne Groß <ann@example.org>"
    assert (preview["bcc"], preview["cc"], preview["reply_to"]) == ("boss@example.org", "", "")
    assert (preview["subject"], preview["text"]) == ("Grüße", "Good day.\n")
    assert "<script" not in preview["html"]
    assert preview["blocked"] == 1
    (file,) = preview["attachments"]
    assert (file["filename"], file["media_type"], file["size"]) == ("Größe.txt", "text/plain", 7)
    assert file["sha256"] == hashlib.sha256(b"for all").hexdigest()
    (seen,) = _audited(letters)
    assert (seen.action, seen.details["part"]) == ("message.viewed", "preview")


def test_the_page_of_a_letter_is_walled_in(letters: Letters) -> None:
    answer = letters.api.acme.get(f"{letters.url}/jobs/{letters.job('e0')}/preview.html")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = [part.strip() for part in answer.headers["content-security-policy"].split(";")]
    assert policy == [
        "sandbox",
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
    ]
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    page = answer.text
    assert "<p>Good day, <b>Änne</b></p>" in page
    assert '<img src="data:image/png;base64,' in page
    assert '<body bgcolor="#eee">' in page
    for gone in ("<script", "onclick", "track.example", "cid:"):
        assert gone not in page
    (seen,) = _audited(letters)
    assert (seen.action, seen.details["part"]) == ("message.viewed", "html")


def test_an_attachment_is_the_very_file(letters: Letters) -> None:
    url = f"{letters.url}/jobs/{letters.job('e0')}/attachments"
    answer = letters.api.acme.get(f"{url}/0")
    assert answer.content == b"for all"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"Gr__e.txt\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.txt"
    )
    (seen,) = _audited(letters)
    assert (seen.action, seen.details["position"]) == ("message.downloaded", 0)
    for position, status in ((1, 404), (100_001, 422), (-1, 422), ("x", 422)):
        assert letters.api.acme.get(f"{url}/{position}").status_code == status
    assert letters.api.rival.get(f"{url}/0").status_code == 404
    assert len(_audited(letters)) == 1


def test_of_an_archive_the_whole_is_given(api: Api, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/a.txt").write_bytes(b"for all")
    letters = build(
        api,
        tmp_path,
        attachments={
            "base_path": "files",
            "global": [{"file_filter": "*.txt"}],
            "zip": {"enabled": True, "filename": "all.zip"},
        },
    )
    url = f"{letters.url}/jobs/{letters.job('e0')}/attachments"
    assert api.acme.get(f"{url}/0").content.startswith(b"PK")
    answer = api.acme.get(f"{url}/1")
    assert answer.status_code == 409
    assert "all.zip" in answer.json()["detail"]


def test_without_a_message_or_without_html_there_is_nothing_to_show(
    letters: Letters, tmp_path: Path
) -> None:
    for what in ("message.eml", "preview", "preview.html", "attachments/0"):
        letters.get(f"jobs/{letters.job('e1')}/{what}", 404)
    plain = build(letters.api, tmp_path)
    assert plain.get(f"jobs/{plain.job('e0')}/preview")["html"] is None
    problem = plain.get(f"jobs/{plain.job('e0')}/preview.html", 404)
    assert "no HTML" in problem["detail"]


def test_what_is_not_what_was_built_is_not_shown(letters: Letters) -> None:
    job = letters.job("e0")
    _damage(letters)
    for what in ("message.eml", "preview", "preview.html"):
        problem: dict[str, Any] = letters.get(f"jobs/{job}/{what}", 409)
        assert problem["type"] == "/problems/file-changed"
        assert "changed-after-build" in problem["detail"]
    assert letters.get(f"jobs/{job}")["headers"] == []
    assert _audited(letters) == []


def test_a_file_store_that_lost_the_file_is_503(letters: Letters, tmp_path: Path) -> None:
    for path in sorted((tmp_path / "blobs").rglob("*")):
        if path.is_file():
            path.unlink()
    job = letters.job("e0")
    for what in ("message.eml", "preview.html", "attachments/0"):
        assert letters.get(f"jobs/{job}/{what}", 503)["type"] == "/problems/file-store"
    assert _audited(letters) == []


def test_looking_needs_the_scope(letters: Letters) -> None:
    sender = letters.api.client("campaign:send", "campaign:approve")
    for what in ("message.eml", "preview", "preview.html", "attachments/0"):
        url = f"{letters.url}/jobs/{letters.job('e0')}/{what}"
        assert sender.get(url).status_code == 403
        assert letters.api.anonymous.get(url).status_code == 401
    assert _audited(letters) == []
