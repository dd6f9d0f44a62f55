"""What every blob store promises; one class over every implementation."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.mailer.adapters.blob_folder import FolderBlobStore
from app.mailer.adapters.blob_memory import MemoryBlobStore
from app.mailer.domain.errors import BlobMissing
from app.mailer.ports import BlobRef, BlobStore

TENANT = UUID("00000000-0000-0000-0000-000000000001")


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return FolderBlobStore(tmp_path / "blobs") if request.param == "folder" else MemoryBlobStore()


class TestBlobStore:
    @pytest.mark.parametrize("data", [b"", b"bytes", bytes(range(256)) * 4000])
    def test_what_was_put_is_got(self, store: BlobStore, data: bytes) -> None:
        ref = store.put(TENANT, data)
        store.sync()
        assert ref == BlobRef(hashlib.sha256(data).hexdigest(), len(data))
        assert store.has(TENANT, ref)
        assert store.get(TENANT, ref) == data

    def test_the_same_bytes_are_one_blob(self, store: BlobStore) -> None:
        assert store.put(TENANT, b"same") == store.put(TENANT, b"same")
        assert store.get(TENANT, store.put(TENANT, b"same")) == b"same"

    def test_what_was_not_put_is_missing(self, store: BlobStore) -> None:
        ref = BlobRef(hashlib.sha256(b"x").hexdigest(), 1)
        assert not store.has(TENANT, ref)
        with pytest.raises(BlobMissing, match=ref.sha256):
            store.get(TENANT, ref)

    def test_a_wrong_size_is_another_blob(self, store: BlobStore) -> None:
        ref = store.put(TENANT, b"bytes")
        wrong = BlobRef(ref.sha256, ref.size + 1)
        assert not store.has(TENANT, wrong)
        with pytest.raises(BlobMissing):
            store.get(TENANT, wrong)

    def test_a_blob_belongs_to_its_tenant(self, store: BlobStore) -> None:
        ref = store.put(TENANT, b"mine")
        other = uuid4()
        assert not store.has(other, ref)
        with pytest.raises(BlobMissing):
            store.get(other, ref)

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
