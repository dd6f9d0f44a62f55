"""A bucket that refuses, is not there, or goes away: a clear word, and nothing half written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from app.mailer.adapters import blob_s3
from app.mailer.adapters.blob_s3 import S3BlobStore
from app.mailer.domain.errors import StorageFailed
from app.mailer.ports import BlobRef
from tests.servers.cutting_proxy import CuttingProxy
from tests.servers.s3 import Bucket, S3Server

TENANT = UUID("00000000-0000-0000-0000-000000000001")
MB = 2**20
NOTHING = BlobRef("0" * 64, 3)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without their pauses."""
    monkeypatch.setattr(
        "botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_arguments: 0.01
    )


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[CuttingProxy]:
    there = urlsplit(bucket.endpoint_url)
    with CuttingProxy((there.hostname or "", there.port or 80)) as proxy:
        yield proxy


def through(proxy: CuttingProxy, bucket: Bucket) -> S3BlobStore:
    return S3BlobStore(**bucket.options(endpoint_url=f"http://127.0.0.1:{proxy.port}"))


def chunks(megabytes: int) -> Iterator[bytes]:
    return (bytes([number % 256]) * MB for number in range(megabytes))


def everything_fails(store: S3BlobStore, words: str) -> list[StorageFailed]:
    def put() -> None:
        store.put(TENANT, b"abc")
        store.sync()

    calls = [
        put,
        store.check,
        lambda: store.put_stream(TENANT, chunks(20)),
        lambda: store.get(TENANT, NOTHING),
        lambda: store.open(TENANT, NOTHING),
        lambda: store.stage(TENANT, uuid4(), 0, 1, b"abc"),
        lambda: list(store.staged(TENANT, uuid4())),
        lambda: store.unstage(TENANT, uuid4()),
        lambda: store.unstage_overtaken(TENANT, uuid4(), 0, 1),
        lambda: store.sweep(datetime.now(UTC)),
    ]
    found = []
    for call in calls:
        with pytest.raises(StorageFailed, match=words) as caught:
            call()
        found.append(caught.value)
    return found


@pytest.mark.parametrize(
    "wrong", [{"secret_access_key": "wrong-secret"}, {"access_key_id": "wrong-key"}]
)
def test_wrong_keys_are_told_without_showing_them(bucket: Bucket, wrong: dict[str, str]) -> None:
    for error in everything_fails(S3BlobStore(**bucket.options(**wrong)), "refuses this key"):
        assert "S3_SECRET_ACCESS_KEY" in error.hint
        for secret in (*wrong.values(), bucket.access_key_id, bucket.secret_access_key):
            assert secret not in str(error)
            assert secret not in repr(error)
    assert bucket.objects() == []


def test_a_bucket_that_is_not_there(bucket: Bucket) -> None:
    store = S3BlobStore(**bucket.options(bucket="no-such-bucket"))
    with pytest.raises(StorageFailed, match=r"no-such-bucket.* is not there") as caught:
        store.check()
    assert "S3_BUCKET" in caught.value.hint


def test_a_server_that_is_away(bucket: Bucket) -> None:
    store = S3BlobStore(**bucket.options(endpoint_url="http://127.0.0.1:1"))
    everything_fails(store, "cannot be reached")


@pytest.fixture
def refusing(bucket: Bucket) -> Iterator[Callable[[int, str], S3BlobStore]]:
    """Stores on servers that answer every PUT with one status and error code."""
    servers: list[ThreadingHTTPServer] = []

    def make(status: int, code: str) -> S3BlobStore:
        class Refusing(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return S3BlobStore(**bucket.options(endpoint_url=f"http://127.0.0.1:{server.server_port}"))

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (507, "InsufficientStorage", "is full"),
        (404, "NoSuchBucket", "is not there"),
        (500, "InternalError", r"cannot be used: InternalError \(No\)"),
    ],
)
def test_what_the_server_says_is_told(
    refusing: Callable[[int, str], S3BlobStore], status: int, code: str, words: str
) -> None:
    store = refusing(status, code)
    with pytest.raises(StorageFailed, match=words):
        store.put_stream(TENANT, [b"abc"])
    store.put(TENANT, b"abc")
    with pytest.raises(StorageFailed, match=words):
        store.sync()


def test_a_failure_is_told_to_the_thread_that_put(
    refusing: Callable[[int, str], S3BlobStore],
) -> None:
    store = refusing(404, "NoSuchBucket")
    store.put(TENANT, b"abc")
    other = threading.Thread(target=store.sync)
    other.start()
    other.join()
    with pytest.raises(StorageFailed):
        store.sync()
    store.sync()  # told once


@pytest.mark.parametrize("megabytes", [1, 40])
def test_a_way_that_breaks_while_it_is_put_leaves_nothing(
    bucket: Bucket, proxy: CuttingProxy, megabytes: int
) -> None:
    store = through(proxy, bucket)
    proxy.cut_up = MB // 2
    with pytest.raises(StorageFailed, match="cannot be reached"):
        store.put_stream(TENANT, chunks(megabytes))
    assert proxy.cuts > 1  # it was tried again
    assert bucket.objects() == []
    proxy.cut_up = None
    ref = store.put_stream(TENANT, chunks(megabytes))
    assert bucket.objects() == [f"{TENANT}/{ref.sha256[:2]}/{ref.sha256}"]


def test_a_way_that_breaks_while_it_is_got(bucket: Bucket, proxy: CuttingProxy) -> None:
    store = through(proxy, bucket)
    ref = store.put_stream(TENANT, chunks(10))
    proxy.cut_down = 5 * MB
    got = 0
    with pytest.raises(StorageFailed, match="cannot be reached"):  # noqa: PT012
        for chunk in store.open(TENANT, ref):
            got += len(chunk)
    assert got < ref.size
    with pytest.raises(StorageFailed, match="cannot be reached"):
        store.get(TENANT, ref)


def test_a_server_that_is_killed_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    with S3Server({}) as server:
        bucket = server.new_bucket()
        store = S3BlobStore(**bucket.options())
        ref = store.put_stream(TENANT, chunks(3))
        real, parts = store._client.upload_part, []

        def upload_part(**options: object) -> object:
            parts.append(options["PartNumber"])
            if len(parts) == 3:
                server.stop(kill=True)
            return real(**options)

        monkeypatch.setattr(store._client, "upload_part", upload_part)
        with pytest.raises(StorageFailed, match="cannot be"):
            store.put_stream(TENANT, chunks(64))
        monkeypatch.undo()
        server.start()
        key = f"{TENANT}/{ref.sha256[:2]}/{ref.sha256}"
        assert [each for each in bucket.objects() if not each.startswith("unfinished")] == [key]
        store.sweep(datetime.now(UTC) - timedelta(hours=1))
        store.sweep(datetime.now(UTC) + timedelta(hours=1))
        assert bucket.objects() == [key]
        assert store.put_stream(TENANT, chunks(3)) == ref


def test_a_temporary_folder_that_cannot_be_used(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(blob_s3.tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(StorageFailed, match=r"temporary files.* cannot be used") as caught:
        S3BlobStore(**bucket.options()).put_stream(TENANT, [b"abc"])
    assert "TMPDIR" in caught.value.hint


def test_many_blobs_are_put_at_once_but_not_all(bucket: Bucket) -> None:
    """A build goes on while the network is slow, and still holds few blobs in memory."""
    store = S3BlobStore(**bucket.options())
    going, most, gate = 0, 0, threading.Event()
    real = store._client.put_object

    def put_object(**options: object) -> object:
        nonlocal going, most
        going += 1
        most = max(most, going)
        gate.wait(5)
        going -= 1
        return real(**options)

    store._client.put_object = put_object
    maker = threading.Thread(target=lambda: [store.put(TENANT, bytes([n])) for n in range(20)])
    maker.start()
    maker.join(1)
    assert maker.is_alive()
    assert most == blob_s3._WORKERS
    gate.set()
    maker.join()
    store.sync()
    assert all(store.has(TENANT, store.put(TENANT, bytes([n]))) for n in range(20))
