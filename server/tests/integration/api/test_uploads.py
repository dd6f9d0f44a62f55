"""Uploads by tus: in pieces, interrupted, resumed, refused."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import uvicorn
from sqlalchemy import select, update

from app.db.models import StoredFile, Tenant, Upload
from app.mailer.domain.errors import Conflict, StorageFailed
from app.mailer.ports import PIECE_BYTES
from app.mailer.services import uploads
from tests.integration.api.conftest import Api
from tests.integration.api.uploading import TUS, UPLOADS, begin, metadata, offset_of, send, upload
from tests.servers.clamd import EICAR, Clamd

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"


def left_over(api: Api) -> list[Path]:
    """Files of the store that are neither blobs nor folders."""
    root = Path(api.program.settings.blob_dir) / "files"
    return [
        path
        for corner in ("incoming", "uploads")
        for path in (root / corner).rglob("*")
        if path.is_file()
    ]


def kept(api: Api) -> list[bytes]:
    """The contents of uploaded files."""
    root = Path(api.program.settings.blob_dir) / "files" / str(api.acme_id)
    return [path.read_bytes() for path in root.rglob("*") if path.is_file()]


def actions(api: Api) -> list[str]:
    found = api.acme.get("/api/v1/audit").json()
    items = found["items"] if isinstance(found, dict) else found
    return [each["action"] for each in items]


def test_options_tell_what_is_spoken(api: Api) -> None:
    answer = api.acme.options(UPLOADS)
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation",
        "expiration",
        "checksum",
        "termination",
    }
    assert int(answer.headers["Tus-Max-Size"]) == api.program.settings.upload_max_bytes


def test_a_file_comes_in_pieces_and_is_there_at_the_end(api: Api) -> None:
    data = PDF + os.urandom(1000)
    begun = begin(api.acme, "2026/payslips/Mu\u0308ller.pdf", len(data))
    assert begun.status_code == 201
    assert begun.json()["path"] == "2026/payslips/Müller.pdf"
    assert begun.headers["Upload-Expires"].endswith("GMT")
    place = begun.headers["Location"]
    for start in range(0, len(data), 400):
        assert offset_of(api.acme, place) == start
        assert api.acme.get("/api/v1/files").json()["items"] == []
        sent = send(api.acme, place, start, data[start : start + 400])
        assert sent.status_code == 204
        assert sent.headers["Upload-Offset"] == str(min(start + 400, len(data)))
        assert sent.headers["Tus-Resumable"] == "1.0.0"
    (file,) = api.acme.get("/api/v1/files").json()["items"]
    assert file["path"] == "2026/payslips/Müller.pdf"
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert file["media_type"] == "application/pdf"
    # Whoever did not hear the last answer can still find out.
    assert offset_of(api.acme, place) == len(data)
    assert send(api.acme, place, len(data), b"").status_code == 204
    assert left_over(api) == []
    assert kept(api) == [data]
    assert api.acme.get(UPLOADS).json()["items"] == []
    assert {"upload.created", "file.uploaded"} <= set(actions(api))


def test_a_large_body_is_kept_piece_by_piece(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(2 * PIECE_BYTES + 1000)
    place = begin(api.acme, "big.bin", len(data)).headers["Location"]
    staged: list[int] = []
    real = api.program.stored_files.stage

    def stage(tenant: Any, upload_id: Any, offset: int, turn: int, piece: bytes) -> None:
        staged.append(len(piece))
        real(tenant, upload_id, offset, turn, piece)

    monkeypatch.setattr(api.program.stored_files, "stage", stage)
    assert send(api.acme, place, 0, data).status_code == 204
    assert staged == [PIECE_BYTES, PIECE_BYTES, 1000]
    assert kept(api) == [data]


def test_an_empty_file_is_there_at_once(api: Api) -> None:
    file = upload(api.acme, "empty.txt", b"")
    assert (file["size"], file["media_type"]) == (0, "application/x-empty")


def test_a_wrong_offset_is_a_conflict(api: Api) -> None:
    place = begin(api.acme, "a.txt", 20).headers["Location"]
    send(api.acme, place, 0, b"0123456789")
    for offset in (0, 9, 11):
        answer = send(api.acme, place, offset, b"0123456789")
        assert answer.status_code == 409
        assert "next byte is 10" in answer.json()["detail"]
        assert offset_of(api.acme, place) == 10


def test_more_bytes_than_announced_are_refused(api: Api) -> None:
    place = begin(api.acme, "a.txt", 5).headers["Location"]
    assert send(api.acme, place, 0, b"0123456789").status_code == 413
    assert offset_of(api.acme, place) == 0


def test_a_path_that_leads_astray_is_refused(api: Api) -> None:
    for path in ("/etc/passwd", "../x", "a\\b", "a\nb", "x" * 241, ""):
        answer = begin(api.acme, path, 5)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/unsafe-path")
    assert api.acme.get(UPLOADS).json()["items"] == []


def test_metadata_that_cannot_be_read(api: Api) -> None:
    for header in ("path", "path !!!", "path /w==", "path YQ==,path YQ==", " YQ==", "path YQ==,"):
        answer = api.acme.post(
            UPLOADS, headers={**TUS, "Upload-Length": "5", "Upload-Metadata": header}
        )
        assert answer.status_code == 422, header


def test_the_protocol_is_asked_for(api: Api) -> None:
    place = begin(api.acme, "a.txt", 5).headers["Location"]
    other = {**TUS, "Tus-Resumable": "0.2.1"}
    for answer in (
        api.acme.head(place, headers=other),
        api.acme.delete(place, headers=other),
        send(api.acme, place, 0, b"01234", **other),
        api.acme.post(
            UPLOADS, headers={**other, "Upload-Length": "5", "Upload-Metadata": metadata(path="b")}
        ),
    ):
        assert answer.status_code == 412
        assert answer.headers["Tus-Version"] == "1.0.0"
    answer = send(api.acme, place, 0, b"01234", **{"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert offset_of(api.acme, place) == 0


def test_a_checksum_keeps_out_what_was_damaged_on_the_way(api: Api) -> None:
    data = b"0123456789"
    for algorithm in ("sha256", "sha1", "md5"):
        digest = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
        place = begin(api.acme, algorithm, 20).headers["Location"]
        checked = {"Upload-Checksum": f"{algorithm} {digest}"}
        answer = send(api.acme, place, 0, b"0123456_89", **checked)
        assert (answer.status_code, answer.json()["type"]) == (460, "/problems/upload-checksum")
        assert offset_of(api.acme, place) == 0
        assert send(api.acme, place, 0, data, **checked).status_code == 204
        assert send(api.acme, place, 10, data, **checked).status_code == 204
    assert kept(api) == [data + data]


def test_what_failed_or_was_overtaken_takes_no_room(api: Api) -> None:
    """The quota knows of an upload's size, so no more than that may wait of it."""
    size = PIECE_BYTES + 1000
    wrong = "sha256 " + base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    place = begin(api.acme, "a.bin", size).headers["Location"]
    send(api.acme, place, 0, b"begun")
    rest = b"x" * (size - 5)
    for _ in range(3):
        answer = send(api.acme, place, 5, rest, **{"Upload-Checksum": wrong})
        assert answer.status_code == 460
        assert sum(path.stat().st_size for path in left_over(api)) <= size

    actor = api.program.actor(api.make_key(api.acme_id, "files:write"))
    depot = api.program.depot()
    upload_id = UUID(place.rpartition("/")[2])
    overtaken = [uploads.take_turn(depot, actor, upload_id, 5) for _ in range(4)]
    assert [path.read_bytes() for path in left_over(api)] == [b"begun"]
    for turn in overtaken[:-1]:
        with pytest.raises(Conflict, match="gone on"):
            uploads.stage(depot, actor, turn, rest[:PIECE_BYTES])
    assert [path.read_bytes() for path in left_over(api)] == [b"begun"]
    assert send(api.acme, place, 5, rest).status_code == 204
    assert kept(api) == [b"begun" + rest]
    assert left_over(api) == []


def test_an_unknown_checksum(api: Api) -> None:
    place = begin(api.acme, "a.txt", 20).headers["Location"]
    for header in ("crc32 AAAA", "sha256", "sha256 AAAA", "sha256 !"):
        answer = send(api.acme, place, 0, b"01234", **{"Upload-Checksum": header})
        assert answer.status_code == 422, header
    assert offset_of(api.acme, place) == 0


def test_the_whole_file_has_to_be_the_announced_one(api: Api) -> None:
    digest = hashlib.sha256(b"right").hexdigest()
    place = begin(api.acme, "a.txt", 5, sha256=digest).headers["Location"]
    answer = send(api.acme, place, 0, b"wrong")
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/wrong-content")
    assert api.acme.head(place, headers=TUS).status_code == 404
    assert (kept(api), left_over(api)) == ([], [])
    assert "upload.refused" in actions(api)
    upload(api.acme, "a.txt", b"right", sha256=digest)
    assert begin(api.acme, "b.txt", 5, sha256="x" * 64).status_code == 422


def test_a_file_in_disguise_is_refused(api: Api) -> None:
    program = b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff" + bytes(50)
    for name, data in (("Letter.PDF", program), ("list.csv", program), ("notes.txt", b"#!/bin/sh")):
        place = begin(api.acme, name, len(data)).headers["Location"]
        answer = send(api.acme, place, 0, data)
        assert (answer.status_code, answer.json()["type"]) == (415, "/problems/wrong-content")
        assert name in answer.json()["detail"]
    assert api.acme.get("/api/v1/files").json()["items"] == []
    assert (kept(api), left_over(api)) == ([], [])


def test_a_file_is_not_replaced_by_accident(api: Api) -> None:
    first = upload(api.acme, "a.txt", b"first")
    answer = begin(api.acme, "a.txt", 5)
    assert answer.status_code == 409
    assert "a.txt" in answer.json()["detail"]
    # Both are begun before either is there.
    one, other = (begin(api.acme, "b.txt", 3).headers["Location"] for _ in range(2))
    assert send(api.acme, one, 0, b"one").status_code == 204
    assert send(api.acme, other, 0, b"two").status_code == 409
    assert sorted(kept(api)) == [b"first", b"one"]
    second = upload(api.acme, "a.txt", b"second", replace="true")
    assert second["id"] == first["id"]
    assert sorted(kept(api)) == [b"one", b"second"]
    entry = api.acme.get("/api/v1/audit", params={"action": "file.uploaded"}).json()
    newest = (entry["items"] if isinstance(entry, dict) else entry)[0]
    assert newest["before"]["sha256"] == first["sha256"]
    assert newest["after"]["sha256"] == second["sha256"]


def test_the_largest_file_and_the_quota(make_api: Callable[..., Api]) -> None:
    api = make_api(upload_max_bytes=100, upload_quota_bytes=250)
    answer = begin(api.acme, "a.txt", 101)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    upload(api.acme, "a.txt", b"a" * 100)
    place = begin(api.acme, "b.txt", 100).headers["Location"]
    answer = begin(api.acme, "c.txt", 51)
    assert answer.status_code == 413
    assert "room for 50" in answer.json()["detail"]
    usage = api.acme.get("/api/v1/files/usage").json()
    assert usage == {
        "file_count": 1,
        "file_bytes": 100,
        "upload_count": 1,
        "upload_bytes": 100,
        "quota_bytes": 250,
        "max_file_bytes": 100,
    }
    assert begin(api.rival, "c.txt", 100).status_code == 201
    assert api.acme.delete(place, headers=TUS).status_code == 204
    assert begin(api.acme, "c.txt", 100).status_code == 201
    with api.program.sessions() as session:
        session.execute(update(Tenant).where(Tenant.id == api.acme_id).values(quota_bytes=0))
        session.commit()
    assert begin(api.acme, "d.txt", 1).status_code == 413


def test_two_uploads_at_once_do_not_outwit_the_quota(make_api: Callable[..., Api]) -> None:
    api = make_api(upload_quota_bytes=100)
    answers: list[int] = []
    start = threading.Barrier(4)

    def go(number: int) -> None:
        client = api.client("files:write")
        start.wait()
        answers.append(begin(client, f"{number}.txt", 60).status_code)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 413, 413, 413]


def test_an_upload_can_be_ended(api: Api) -> None:
    place = begin(api.acme, "a.txt", 20).headers["Location"]
    send(api.acme, place, 0, b"0123456789")
    assert [each["offset"] for each in api.acme.get(UPLOADS).json()["items"]] == [10]
    assert api.acme.delete(place, headers=TUS).status_code == 204
    assert api.acme.delete(place, headers=TUS).status_code == 404
    assert send(api.acme, place, 10, b"0123456789").status_code == 404
    assert left_over(api) == []


def test_an_upload_expires_and_is_cleaned_up(api: Api) -> None:
    place = begin(api.acme, "a.txt", 20).headers["Location"]
    send(api.acme, place, 0, b"0123456789")
    with api.program.sessions() as session:
        past = api.program.clock.now() - timedelta(seconds=1)
        session.execute(update(Upload).values(expires_at=past))
        session.commit()
    assert api.acme.head(place, headers=TUS).status_code == 410
    assert send(api.acme, place, 10, b"0123456789").status_code == 410
    assert len(left_over(api)) == 1
    begin(api.acme, "b.txt", 20)
    assert left_over(api) == []
    assert api.acme.head(place, headers=TUS).status_code == 404


def test_the_later_of_two_at_once_goes_on(api: Api) -> None:
    place = begin(api.acme, "a.txt", 10).headers["Location"]
    actor = api.program.actor(api.make_key(api.acme_id, "files:write"))
    depot = api.program.depot()
    upload_id = UUID(place.rpartition("/")[2])
    first = uploads.take_turn(depot, actor, upload_id, 0)
    first = uploads.stage(depot, actor, first, b"first")
    second = uploads.take_turn(depot, actor, upload_id, 0)
    second = uploads.settle(depot, actor, uploads.stage(depot, actor, second, b"secon"))
    with pytest.raises(Conflict):
        uploads.settle(depot, actor, first)
    with pytest.raises(Conflict):
        uploads.stage(depot, actor, first, b"FIRST")
    # One that had looked just before may still write behind the back of the one that has the turn.
    depot.blobs.stage(actor.tenant_id, upload_id, 5, first.number, b"FIRST")
    uploads.settle(depot, actor, uploads.stage(depot, actor, second, b"d one"))
    assert offset_of(api.acme, place) == 10
    assert kept(api) == [b"second one"]


def test_one_that_lost_its_turn_does_not_end_the_upload(api: Api) -> None:
    """What it reads as the whole may already be the other's, and look wrong to it."""
    digest = hashlib.sha256(b"right").hexdigest()
    place = begin(api.acme, "a.txt", 5, sha256=digest).headers["Location"]
    actor = api.program.actor(api.make_key(api.acme_id, "files:write"))
    depot = api.program.depot()
    upload_id = UUID(place.rpartition("/")[2])
    first = uploads.stage(depot, actor, uploads.take_turn(depot, actor, upload_id, 0), b"right")
    second = uploads.stage(depot, actor, uploads.take_turn(depot, actor, upload_id, 0), b"rig")
    with pytest.raises(Conflict):
        uploads.settle(depot, actor, first)
    uploads.settle(depot, actor, uploads.stage(depot, actor, second, b"ht"))
    assert kept(api) == [b"right"]


def test_many_at_once_never_mix_their_bytes(api: Api) -> None:
    """Each client sends all of its own file; whoever is last to go on wins."""
    size = 3000
    place = begin(api.acme, "a.bin", size).headers["Location"]
    clients = [api.client("files:*") for _ in range(4)]
    start = threading.Barrier(len(clients))

    def go(number: int) -> None:
        start.wait()
        send(clients[number], place, 0, bytes([65 + number]) * size)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (data,) = kept(api)
    assert len(data) == size
    assert len(set(data)) == 1


def test_another_tenant_has_no_part_in_it(api: Api) -> None:
    place = begin(api.acme, "a.txt", 20).headers["Location"]
    send(api.acme, place, 0, b"0123456789")
    assert api.rival.get(UPLOADS).json()["items"] == []
    assert api.rival.head(place, headers=TUS).status_code == 404
    assert send(api.rival, place, 10, b"0123456789").status_code == 404
    assert api.rival.delete(place, headers=TUS).status_code == 404
    assert begin(api.rival, "a.txt", 20).status_code == 201
    assert offset_of(api.acme, place) == 10


def test_scopes(api: Api) -> None:
    reader, stranger = api.client("files:read"), api.client("campaign:read")
    place = begin(api.acme, "a.txt", 5).headers["Location"]
    assert reader.get(UPLOADS).status_code == 200
    assert begin(reader, "b.txt", 5).status_code == 403
    assert send(reader, place, 0, b"01234").status_code == 403
    assert reader.head(place, headers=TUS).status_code == 403
    assert stranger.get(UPLOADS).status_code == 403


# ---------------------------------------------------------------- the store fails


def test_a_store_that_fails_loses_nothing_that_was_told(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = begin(api.acme, "a.txt", 20).headers["Location"]
    send(api.acme, place, 0, b"0123456789")
    store = api.program.stored_files

    def fail(*_arguments: Any) -> Any:
        raise OSError(28, "No space left on device")

    def refuse(*_arguments: Any) -> Any:
        raise StorageFailed("The store is away.")

    # While the piece is written, and while the file is put together.
    for target, name, broken in ((Path, "replace", fail), (store, "put_stream", refuse)):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, broken)
            answer = send(api.acme, place, 10, b"0123456789")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/file-store")
        # The last byte is told only together with the file.
        assert offset_of(api.acme, place) == 10
    assert send(api.acme, place, 10, b"0123456789").status_code == 204
    assert kept(api) == [b"0123456789" * 2]


def test_the_same_content_deleted_meanwhile_is_kept_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = upload(api.acme, "old.txt", b"same")
    store = api.program.stored_files
    real = store.put_stream

    def put_stream(tenant: Any, chunks: Iterator[bytes]) -> Any:
        ref = real(tenant, chunks)
        monkeypatch.undo()
        assert api.acme.delete(f"/api/v1/files/{old['id']}").status_code == 204
        assert kept(api) == []
        return ref

    monkeypatch.setattr(store, "put_stream", put_stream)
    upload(api.acme, "new.txt", b"same")
    assert kept(api) == [b"same"]


# ---------------------------------------------------------------- the scanner


@pytest.fixture
def clamd() -> Iterator[Clamd]:
    with Clamd() as server:
        yield server


def test_malware_is_refused(make_api: Callable[..., Api], clamd: Clamd) -> None:
    api = make_api(clamav_address=clamd.address)
    upload(api.acme, "good.txt", b"good")
    assert clamd.scanned == [b"good"]
    data = b"x" * 3_000_000 + EICAR
    place = begin(api.acme, "bad.txt", len(data)).headers["Location"]
    answer = send(api.acme, place, 0, data)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/infected")
    assert "Eicar" in answer.json()["detail"]
    assert (kept(api), left_over(api)) == ([b"good"], [])
    assert api.acme.head(place, headers=TUS).status_code == 404


def test_without_a_verdict_nothing_is_taken_in(make_api: Callable[..., Api], clamd: Clamd) -> None:
    api = make_api(clamav_address=clamd.address)
    data = b"x" * 2_000_000
    place = begin(api.acme, "a.txt", len(data)).headers["Location"]
    assert send(api.acme, place, 0, data[:1000]).status_code == 204
    for behaviour in ("silent", "limit", "error"):
        clamd.behaviour = behaviour
        answer = send(api.acme, place, 1000, data[1000:])
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/scanner"), behaviour
        assert offset_of(api.acme, place) == 1000
        assert kept(api) == []
    clamd.behaviour = "good"
    assert send(api.acme, place, 1000, data[1000:]).status_code == 204
    assert kept(api) == [data]
    clamd.stop()
    place = begin(api.acme, "b.txt", 3).headers["Location"]
    assert send(api.acme, place, 0, b"abc").status_code == 503


# ---------------------------------------------------------------- over a real connection


@contextmanager
def served(api: Api) -> Iterator[int]:
    from app.main import create_app

    config = uvicorn.Config(create_app(api.program), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def test_what_arrived_of_a_broken_request_is_kept(api: Api) -> None:
    data = os.urandom(PIECE_BYTES + 300_000)
    place = begin(api.acme, "a.bin", len(data)).headers["Location"]
    key = api.make_key(api.acme_id, "files:write")
    with served(api) as port:
        head = (
            f"PATCH {urlsplit(place).path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n"
            "Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\n"
            f"Upload-Offset: 0\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + data[: PIECE_BYTES + 100_000])
            deadline = time.monotonic() + 20
            while offset_of(api.acme, place) < PIECE_BYTES:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        while (offset := offset_of(api.acme, place)) == PIECE_BYTES:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert PIECE_BYTES < offset <= PIECE_BYTES + 100_000
    assert send(api.acme, place, offset, data[offset:]).status_code == 204
    assert kept(api) == [data]


def test_an_upload_is_larger_than_other_bodies_may_be(make_api: Callable[..., Api]) -> None:
    api = make_api(request_max_bytes=1000)
    upload(api.acme, "a.bin", os.urandom(5000))
    assert len(kept(api)[0]) == 5000


def test_another_process_goes_on(api: Api, settings_of: Callable[..., Any]) -> None:
    from app.bootstrap.program import Program

    place = begin(api.acme, "a.txt", 10).headers["Location"]
    send(api.acme, place, 0, b"01234")
    other = Program(settings_of())
    try:
        depot = other.depot()
        actor = other.actor(api.make_key(api.acme_id, "files:write"))
        turn = uploads.take_turn(depot, actor, UUID(place.rpartition("/")[2]), 5)
        uploads.settle(depot, actor, uploads.stage(depot, actor, turn, b"56789"))
        with other.sessions() as session:
            assert session.scalars(select(StoredFile.path)).all() == ["a.txt"]
    finally:
        other.stop()
    assert kept(api) == [b"0123456789"]
