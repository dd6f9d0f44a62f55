"""A tenant's files: listed, read, deleted, and read by campaigns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.conftest import Api
from tests.integration.api.test_uploads import actions, kept
from tests.integration.api.uploading import upload
from tests.integration.api.work import take_document, work
from tests.integration.services.pipeline.desk import document, entry, tiny_pdf
from tests.servers.s3 import Bucket

FILES = "/api/v1/files"


def paths(api: Api, **query: Any) -> list[str]:
    answer = api.acme.get(FILES, params=query)
    assert answer.status_code == 200, answer.text
    return [file["path"] for file in answer.json()["items"]]


def test_a_list_comes_in_pages_by_folder_and_by_name(api: Api) -> None:
    for number, path in enumerate(
        ["a/b/1.txt", "a/b/2.txt", "a/B/3.txt", "a_b/4.txt", "axb/Müller%.txt", "z.txt"]
    ):
        upload(api.acme, path, b"x" * (10 - number))
    upload(api.rival, "a/b/rival.txt", b"x")
    assert len(paths(api)) == 6
    assert paths(api, folder="a/b") == paths(api, folder="a/b/") == ["a/b/1.txt", "a/b/2.txt"]
    assert paths(api, folder="a_b") == ["a_b/4.txt"]
    assert paths(api, folder="a/b/1.txt") == []
    assert paths(api, search="MU\u0308LLER%") == paths(api, search="ller%.T") == ["axb/Müller%.txt"]
    assert paths(api, search="_", folder="a") == []
    assert paths(api, sort="-size")[0] == "a/b/1.txt"
    assert paths(api, sort="uploaded_at")[-1] == "z.txt"
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = api.acme.get(FILES, params={"limit": 4, **({"cursor": cursor} if cursor else {})})
        seen += [file["path"] for file in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(paths(api))


def test_a_query_that_cannot_be(api: Api) -> None:
    for query in (
        {"folder": "../x"},
        {"folder": "/x"},
        {"folder": "a\0b"},
        {"search": "a\0"},
        {"search": "x" * 2000},
        {"sort": "sha256"},
    ):
        assert api.acme.get(FILES, params=query).status_code == 422, query


def test_a_file_is_downloaded_and_that_is_written_down(api: Api) -> None:
    data = tiny_pdf("Müller") + bytes(3_000_000)
    file = upload(api.acme, "2026/Müller “neu”.pdf", data)
    assert api.acme.get(f"{FILES}/{file['id']}").json() == file
    assert "file.downloaded" not in actions(api)
    answer = api.acme.get(f"{FILES}/{file['id']}/content")
    assert answer.content == data
    headers = answer.headers
    assert headers["Content-Length"] == str(len(data))
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment; ")
    assert (
        "filename*=UTF-8''M%C3%BCller%20%E2%80%9Cneu%E2%80%9D.pdf"
        in (headers["Content-Disposition"])
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["ETag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    assert actions(api)[0] == "file.downloaded"


def test_damaged_bytes_are_never_a_whole_download(api: Api) -> None:
    file = upload(api.acme, "a.bin", b"x" * 3_000_000)
    (path,) = (Path(api.program.settings.blob_dir) / "files").rglob(file["sha256"])
    path.write_bytes(b"x" * 2_999_999 + b"y")
    answer = api.acme.get(f"{FILES}/{file['id']}/content")
    assert len(answer.content) < int(answer.headers["Content-Length"]) == 3_000_000
    path.unlink()
    answer = api.acme.get(f"{FILES}/{file['id']}/content")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/file-store")


def test_a_file_is_deleted_with_its_bytes_once_nobody_has_them(api: Api) -> None:
    one, two = upload(api.acme, "one.txt", b"same"), upload(api.acme, "two.txt", b"same")
    upload(api.rival, "one.txt", b"same")
    assert api.acme.delete(f"{FILES}/{one['id']}").status_code == 204
    assert api.acme.delete(f"{FILES}/{one['id']}").status_code == 404
    assert kept(api) == [b"same"]
    assert api.acme.delete(f"{FILES}/{two['id']}").status_code == 204
    assert kept(api) == []
    (theirs,) = api.rival.get(FILES).json()["items"]
    assert api.rival.get(f"{FILES}/{theirs['id']}/content").content == b"same"
    assert actions(api)[:2] == ["file.deleted"] * 2


def test_a_folder_is_deleted_and_nothing_else(api: Api) -> None:
    for path in ("a/1.txt", "a/b/2.txt", "A/3.txt", "a_/4.txt", "ab/5.txt", "a"):
        upload(api.acme, path, path.encode())
    upload(api.rival, "a/1.txt", b"x")
    answer = api.acme.post(f"{FILES}/delete", json={"folder": "a"})
    assert answer.json() == {"count": 2, "bytes": 16}
    assert sorted(paths(api)) == ["A/3.txt", "a", "a_/4.txt", "ab/5.txt"]
    assert len(kept(api)) == 4
    ids = [file["id"] for file in api.acme.get(FILES).json()["items"]]
    theirs = [file["id"] for file in api.rival.get(FILES).json()["items"]]
    answer = api.acme.post(f"{FILES}/delete", json={"ids": ids[:2] + theirs})
    assert answer.json()["count"] == 2
    assert api.acme.post(f"{FILES}/delete", json={"folder": ""}).json()["count"] == 2
    assert kept(api) == []
    assert len(api.rival.get(FILES).json()["items"]) == 1


def test_a_deletion_that_cannot_be(api: Api) -> None:
    upload(api.acme, "a/1.txt", b"x")
    for body in (
        "{}",
        '{"folder": "a", "ids": []}',
        '{"folder": "../a"}',
        '{"folder": "\\ud800"}',
        '{"folder": "a\\u0000"}',
        '{"ids": ["x"]}',
    ):
        answer = api.acme.post(
            f"{FILES}/delete", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, body
    assert paths(api) == ["a/1.txt"]


def test_scopes_and_the_other_tenant(api: Api) -> None:
    file = upload(api.acme, "a.txt", b"x")
    reader, writer = api.client("files:read"), api.client("files:write")
    assert reader.get(FILES).status_code == 200
    assert reader.delete(f"{FILES}/{file['id']}").status_code == 403
    assert reader.post(f"{FILES}/delete", json={"folder": ""}).status_code == 403
    assert writer.get(FILES).status_code == 403
    assert writer.get(f"{FILES}/{file['id']}/content").status_code == 403
    for call in (api.rival.get, api.rival.delete):
        assert call(f"{FILES}/{file['id']}").status_code == 404
    assert api.rival.get(f"{FILES}/{file['id']}/content").status_code == 404
    assert api.rival.get(f"{FILES}/usage").json()["file_bytes"] == 0


# ---------------------------------------------------------------- campaigns that came by the API


CAMPAIGN = {
    "fields": [{"name": "number", "required": True}],
    "template": {
        "subject": "Your card",
        "text": {"path": "letter/letter.txt"},
        "html": {"path": "letter/letter.html"},
        "inline_images": [{"cid": "logo", "path": "letter/logo.png"}],
    },
    "entries": {"source": {"path": "people.csv"}},
    "attachments": {
        "base_path": "cards",
        "global": [{"file_filter": "Müller_${number}.pdf", "base_dir": "2026"}],
    },
}
CONTENTS = {
    "letter/letter.txt": b"Good day, number ${number}.",
    "letter/letter.html": b'<p>Good day.</p><img src="cid:logo">',
    "letter/logo.png": b"\x89PNG\r\n\x1a\n" + bytes(30),
    "people.csv": b"id;to;number\ne1;a@example.org;17\ne2;b@example.org;18\n",
    "cards/2026/Mu\u0308ller_17.pdf": tiny_pdf("17"),
    "cards/2026/Müller_18.pdf": tiny_pdf("18"),
    "cards/2026/forgotten.pdf": tiny_pdf("19"),
}


@pytest.fixture
def stocked(make_api: Callable[..., Api], tmp_path: Path) -> Api:
    """An API with the campaign's files uploaded, and a folder that may be read."""
    (tmp_path / "roots").mkdir()
    api = make_api(file_roots=str(tmp_path / "roots"))
    for path, data in CONTENTS.items():
        upload(api.acme, path, data)
    return api


def imported(api: Api, source_filename: str | None = None, **parts: Any) -> dict[str, Any]:
    answer = api.acme.post(
        "/api/v1/campaigns",
        json={
            "config": document(**{**CAMPAIGN, **parts}),
            **({} if source_filename is None else {"source_filename": source_filename}),
        },
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def checked(api: Api, action: str, made: dict[str, Any]) -> list[tuple[str, str]]:
    """Codes and pointers of the campaign's issues after `validate` or `build`."""
    version = made["version"]["id"]
    answer = api.acme.post(f"/api/v1/campaigns/versions/{version}/{action}")
    assert answer.status_code == 202, answer.text
    work(api)
    url = f"/api/v1/campaigns/{made['campaign']['id']}/versions/{version}/issues"
    found = api.acme.get(url, params={"limit": 500})
    assert found.status_code == 200, found.text
    return [(issue["code"], issue["pointer"]) for issue in found.json()["items"]]


def test_a_campaign_reads_the_uploads(stocked: Api) -> None:
    made = imported(stocked)
    issues = checked(stocked, "build", made)
    assert [code for code, _pointer in issues] == ["unclaimed-file"]
    jobs = stocked.acme.get(f"/api/v1/campaigns/{made['campaign']['id']}/jobs").json()["items"]
    assert [job["build_status"] for job in jobs] == ["ready", "ready"]
    # The messages are on their own now.
    assert stocked.acme.post(f"{FILES}/delete", json={"folder": ""}).json()["count"] == 7
    mail = stocked.acme.get(
        f"/api/v1/campaigns/{made['campaign']['id']}/jobs/{jobs[0]['id']}/message.eml"
    )
    assert mail.status_code == 200
    assert b"Good day, number 17." in mail.content


def test_what_is_not_uploaded_is_missing(stocked: Api) -> None:
    stocked.acme.post(f"{FILES}/delete", json={"folder": "letter"})
    stocked.acme.post(f"{FILES}/delete", json={"folder": "cards"})
    upload(stocked.rival, "cards/2026/Müller_17.pdf", b"%PDF-1.7 another tenant's")
    made = imported(stocked)
    issues = checked(stocked, "validate", made)
    assert {
        ("missing-file", "/template/text/path"),
        ("missing-file", "/template/html/path"),
        ("missing-file", "/template/inline_images/0/path"),
        ("missing-folder", "/attachments/base_path"),
    } <= set(issues)
    url = f"/api/v1/campaigns/{made['campaign']['id']}/versions/{made['version']['id']}/issues"
    found = stocked.acme.get(url, params={"limit": 500}).json()["items"]
    hints = {issue["hint"] for issue in found if issue["code"] == "missing-file"}
    assert hints == {"Upload it, or correct the path; capitals and small letters differ."}


@pytest.mark.parametrize("outside", ["/etc/hosts", "a/../../x.txt", "{roots}/../secret.txt"])
def test_every_path_outside_is_told_where_it_stands(
    stocked: Api, tmp_path: Path, outside: str
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    path = outside.format(roots=tmp_path / "roots")
    made = imported(
        stocked,
        template={
            "subject": {"path": path},
            "text": {"path": path},
            "html": {"path": path},
            "inline_images": [{"cid": "logo", "path": path}],
        },
        entries={
            "source": {"path": path, "type": "csv"},
            "inline": [entry(values={"number": "1"})],
        },
        attachments={"base_path": path, "global": [{"file_filter": "*.pdf"}]},
    )
    issues = checked(stocked, "validate", made)
    assert {pointer for code, pointer in issues if code == "path-outside-roots"} == {
        "/template/subject/path",
        "/template/text/path",
        "/template/html/path",
        "/template/inline_images/0/path",
        "/entries/source/path",
        "/attachments/base_path",
    }


def test_a_folder_of_the_roots_is_read_without_following_links(
    stocked: Api, tmp_path: Path
) -> None:
    roots = tmp_path / "roots"
    for path, data in CONTENTS.items():
        file = roots / "spring" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    here = str(roots / "spring" / "campaign.json")
    made = imported(stocked, here)
    assert [code for code, _ in checked(stocked, "build", made)] == ["unclaimed-file"]
    # The roots and the uploads may be mixed.
    mixed = imported(
        stocked, here, attachments={**CAMPAIGN["attachments"], "base_path": "uploads:cards"}
    )
    assert [code for code, _ in checked(stocked, "build", mixed)] == ["unclaimed-file"]
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "letter.txt").write_text("secret")
    (roots / "spring/letter/letter.txt").unlink()
    (roots / "spring/letter/letter.txt").symlink_to(secret / "letter.txt")
    assert ("unsafe-file", "/template/text/path") in checked(stocked, "validate", made)
    for path in (roots / "spring/letter").iterdir():
        path.unlink()
    (roots / "spring/letter").rmdir()
    (roots / "spring/letter").symlink_to(secret)
    issues = checked(stocked, "validate", made)
    assert ("unsafe-file", "/template/text/path") in issues
    assert ("unsafe-file", "/template/inline_images/0/path") in issues


def test_a_campaign_of_the_command_line_reads_as_ever(stocked: Api, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/letter.txt").write_text("Good day.")
    made = take_document(
        stocked,
        tmp_path / "elsewhere",
        document(template={"subject": "Hi", "text": {"path": "letter.txt"}}),
    )
    shown = {"version": {"id": str(made.version_id)}, "campaign": {"id": str(made.campaign_id)}}
    assert checked(stocked, "validate", shown) == []


def test_the_example_is_read_by_the_api_as_it_stands(api: Api) -> None:
    name = "app/mailer/examples/campaign.json"
    config = json.loads((Path(__file__).parents[3] / name).read_text())
    answer = api.acme.post("/api/v1/campaigns", json={"config": config, "source_filename": name})
    assert answer.status_code == 201, answer.text
    codes = {code for code, _pointer in checked(api, "validate", answer.json())}
    assert not codes & {"path-outside-roots", "missing-file", "missing-folder"}


def test_everything_may_be_in_a_bucket(make_api: Callable[..., Api], bucket: Bucket) -> None:
    api = make_api(
        s3_endpoint_url=bucket.endpoint_url,
        s3_region=bucket.region,
        s3_bucket=bucket.bucket,
        s3_access_key_id=bucket.access_key_id,
        s3_secret_access_key=bucket.secret_access_key,
    )
    assert api.anonymous.get("/health/ready").json()["dependencies"]["file_store"]["status"] == "ok"
    for path, data in CONTENTS.items():
        upload(api.acme, path, data)
    made = imported(api)
    assert [code for code, _pointer in checked(api, "build", made)] == ["unclaimed-file"]
    jobs = api.acme.get(f"/api/v1/campaigns/{made['campaign']['id']}/jobs").json()["items"]
    mail = api.acme.get(
        f"/api/v1/campaigns/{made['campaign']['id']}/jobs/{jobs[0]['id']}/message.eml"
    )
    assert b"Good day, number 17." in mail.content
    file = api.acme.get(FILES).json()["items"][0]
    content = api.acme.get(f"{FILES}/{file['id']}/content").content
    assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert api.acme.post(f"{FILES}/delete", json={"folder": ""}).status_code == 200
    # What is left are the parts of messages.
    left = bucket.objects()
    assert left
    assert all(key.startswith(f"{api.acme_id}/") for key in left)
