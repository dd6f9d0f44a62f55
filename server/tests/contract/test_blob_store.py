"""What every blob store promises; one class over every implementation."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.mailer.adapters.blob_folder import FolderBlobStore
from app.mailer.adapters.blob_memory import MemoryBlobStore
from app.mailer.adapters.blob_s3 import S3BlobStore
from app.mailer.domain.errors import BlobDamaged, BlobMissing
from app.mailer.ports import BlobRef, BlobStore
from tests.servers.s3 import Bucket

TENANT = UUID("00000000-0000-0000-0000-000000000001")
MB = 2**20


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "folder":
        return FolderBlobStore(tmp_path / "blobs")
    if request.param == "memory":
        return MemoryBlobStore()
    bucket: Bucket = request.getfixturevalue("bucket")
    return S3BlobStore(**bucket.options())


def ref_of(data: bytes) -> BlobRef:
    return BlobRef(hashlib.sha256(data).hexdigest(), len(data))


class TestBlobStore:
    @pytest.mark.parametrize("data", [b"", b"bytes", bytes(range(256)) * 4000])
    def test_what_was_put_is_got(self, store: BlobStore, data: bytes) -> None:
        ref = store.put(TENANT, data)
        store.sync()
        assert ref == ref_of(data)
        assert store.has(TENANT, ref)
        assert store.get(TENANT, ref) == data
        assert b"".join(store.open(TENANT, ref)) == data

    def test_the_same_bytes_are_one_blob(self, store: BlobStore) -> None:
        assert store.put(TENANT, b"same") == store.put(TENANT, b"same")
        assert store.get(TENANT, store.put(TENANT, b"same")) == b"same"

    def test_what_was_not_put_is_missing(self, store: BlobStore) -> None:
        ref = ref_of(b"x")
        assert not store.has(TENANT, ref)
        for ask in (store.get, store.open):
            with pytest.raises(BlobMissing, match=ref.sha256):
                ask(TENANT, ref)

    def test_a_wrong_size_is_another_blob(self, store: BlobStore) -> None:
        ref = store.put(TENANT, b"bytes")
        wrong = BlobRef(ref.sha256, ref.size + 1)
        assert not store.has(TENANT, wrong)
        for ask in (store.get, store.open):
            with pytest.raises(BlobMissing):
                ask(TENANT, wrong)

    def test_a_blob_belongs_to_its_tenant(self, store: BlobStore) -> None:
        ref = store.put(TENANT, b"mine")
        other = uuid4()
        assert not store.has(other, ref)
        with pytest.raises(BlobMissing):
            store.get(other, ref)
        store.delete(other, ref)
        assert store.get(TENANT, ref) == b"mine"

    @pytest.mark.parametrize("name", ["../../x", "", "A" * 64, "a" * 63, "a" * 64 + "\n"])
    def test_a_name_that_is_no_hash_is_missing(self, store: BlobStore, name: str) -> None:
        with pytest.raises(BlobMissing):
            store.get(TENANT, BlobRef(name, 1))

    def test_many_may_put_the_same_at_once(self, store: BlobStore) -> None:
        blobs = [bytes([number % 5]) * 10_000 for number in range(100)]
        with ThreadPoolExecutor(8) as pool:
            refs = list(pool.map(lambda data: store.put(TENANT, data), blobs))
        assert len(set(refs)) == 5
        assert [store.get(TENANT, ref) for ref in refs] == blobs

    def test_a_deleted_blob_is_missing_and_may_come_again(self, store: BlobStore) -> None:
        ref = store.put(TENANT, b"bytes")
        store.delete(TENANT, ref)
        assert not store.has(TENANT, ref)
        with pytest.raises(BlobMissing):
            store.get(TENANT, ref)
        store.delete(TENANT, ref)
        assert store.get(TENANT, store.put(TENANT, b"bytes")) == b"bytes"

    @pytest.mark.parametrize("sizes", [[], [0], [5, 0, 7], [MB, 1], [3 * MB] * 7])
    def test_a_stream_is_a_blob_like_any_other(self, store: BlobStore, sizes: list[int]) -> None:
        chunks = [bytes([number]) * size for number, size in enumerate(sizes)]
        data = b"".join(chunks)
        ref = store.put_stream(TENANT, iter(chunks))
        assert ref == ref_of(data) == store.put(TENANT, data)
        assert b"".join(store.open(TENANT, ref)) == data

    def test_a_stream_that_breaks_off_leaves_nothing(self, store: BlobStore) -> None:
        def broken() -> Iterator[bytes]:
            yield b"x" * 100
            raise ValueError("gone")

        with pytest.raises(ValueError, match="gone"):
            store.put_stream(TENANT, broken())
        for data in (b"x" * 100, b""):
            assert not store.has(TENANT, ref_of(data))

    def test_a_check_leaves_nothing(self, store: BlobStore) -> None:
        store.check()
        assert not store.has(TENANT, ref_of(b""))


class TestPieces:
    def test_pieces_join_in_order(self, store: BlobStore) -> None:
        upload = uuid4()
        store.stage(TENANT, upload, 3, 2, b"def")
        store.stage(TENANT, upload, 0, 1, b"abc")
        store.stage(TENANT, upload, 6, 2, b"")
        assert b"".join(store.staged(TENANT, upload)) == b"abcdef"

    def test_of_two_at_one_place_the_later_turn_counts(self, store: BlobStore) -> None:
        upload = uuid4()
        store.stage(TENANT, upload, 0, 10, b"new")
        store.stage(TENANT, upload, 0, 9, b"older and longer")
        store.stage(TENANT, upload, 3, 10, b"!")
        store.stage(TENANT, upload, 9, 9, b"never reached")
        assert b"".join(store.staged(TENANT, upload)) == b"new!"

    def test_a_gap_ends_it(self, store: BlobStore) -> None:
        upload = uuid4()
        store.stage(TENANT, upload, 0, 1, b"abc")
        store.stage(TENANT, upload, 4, 1, b"efg")
        assert b"".join(store.staged(TENANT, upload)) == b"abc"

    def test_an_upload_is_apart_from_others_and_from_blobs(self, store: BlobStore) -> None:
        upload = uuid4()
        store.stage(TENANT, upload, 0, 1, b"abc")
        assert b"".join(store.staged(TENANT, uuid4())) == b""
        assert b"".join(store.staged(uuid4(), upload)) == b""
        assert not store.has(TENANT, ref_of(b"abc"))

    def test_what_is_unstaged_is_gone(self, store: BlobStore) -> None:
        upload, other = uuid4(), uuid4()
        for each in (upload, other):
            store.stage(TENANT, each, 0, 1, b"abc")
        store.unstage(TENANT, upload)
        store.unstage(TENANT, upload)
        assert b"".join(store.staged(TENANT, upload)) == b""
        assert b"".join(store.staged(TENANT, other)) == b"abc"

    def test_what_earlier_turns_left_behind_an_offset_can_go(self, store: BlobStore) -> None:
        upload, other = uuid4(), uuid4()
        for each in (upload, other):
            store.stage(TENANT, each, 0, 1, b"abc")
            store.stage(TENANT, each, 3, 2, b"def")
            store.stage(TENANT, each, 6, 1, b"ghi")
            store.stage(TENANT, each, 6, 10, b"GHI")
        store.unstage_overtaken(TENANT, upload, 3, 10)
        store.unstage_overtaken(TENANT, uuid4(), 0, 10)
        assert b"".join(store.staged(TENANT, upload)) == b"abc"
        assert b"".join(store.staged(TENANT, other)) == b"abcdefGHI"
        # What the turn itself keeps is there, at its place, and of the others nothing is.
        store.stage(TENANT, upload, 3, 10, b"DEF")
        assert b"".join(store.staged(TENANT, upload)) == b"abcDEFGHI"
        store.unstage_overtaken(TENANT, upload, 6, 11)
        assert b"".join(store.staged(TENANT, upload)) == b"abcDEF"

    def test_sweeping_takes_only_what_is_old(self, store: BlobStore) -> None:
        if isinstance(store, MemoryBlobStore):
            return
        upload = uuid4()
        store.stage(TENANT, upload, 0, 1, b"abc")
        ref = store.put(TENANT, b"kept")
        store.sync()
        store.sweep(datetime.now(UTC) - timedelta(hours=1))
        assert b"".join(store.staged(TENANT, upload)) == b"abc"
        store.sweep(datetime.now(UTC) + timedelta(hours=1))
        assert b"".join(store.staged(TENANT, upload)) == b""
        assert store.get(TENANT, ref) == b"kept"


def damage(store: BlobStore, tmp_path: Path, ref: BlobRef, data: bytes, bucket: Bucket) -> None:
    """Puts other bytes in the place of a blob, past the store."""
    if isinstance(store, MemoryBlobStore):
        store._blobs[TENANT, ref] = data
    elif isinstance(store, FolderBlobStore):
        (path,) = (tmp_path / "blobs").rglob(ref.sha256)
        path.write_bytes(data)
    else:
        key = f"{bucket.prefix}{TENANT}/{ref.sha256[:2]}/{ref.sha256}"
        bucket.client().put_object(Bucket=bucket.bucket, Key=key, Body=data)


@pytest.mark.parametrize("place", [0, 3 * MB - 1])
def test_a_damaged_blob_is_never_whole_and_heals(
    store: BlobStore, tmp_path: Path, bucket: Bucket, place: int
) -> None:
    data = bytes(3 * MB)
    ref = store.put(TENANT, data)
    store.sync()
    damage(store, tmp_path, ref, data[:place] + b"!" + data[place + 1 :], bucket)
    with pytest.raises(BlobDamaged):
        store.get(TENANT, ref)
    got = 0
    with pytest.raises(BlobDamaged):  # noqa: PT012 - how far it comes is the point
        for chunk in store.open(TENANT, ref):
            got += len(chunk)
    assert got < ref.size
    damage(store, tmp_path, ref, data[:-1], bucket)
    for ask in (store.get, store.open):
        with pytest.raises(BlobDamaged):
            ask(TENANT, ref)
    store.put(TENANT, data)
    assert store.get(TENANT, ref) == data


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_memory_stays_flat(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    store: BlobStore = (
        FolderBlobStore(tmp_path / "blobs")
        if kind == "folder"
        else S3BlobStore(**request.getfixturevalue("bucket").options())
    )
    size = 96 * MB
    chunk = bytes(MB)
    tracemalloc.start()
    try:
        ref = store.put_stream(TENANT, (chunk for _ in range(size // MB)))
        assert sum(map(len, store.open(TENANT, ref))) == size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (24 * MB if kind == "s3" else 6 * MB)
