from __future__ import annotations

import errno
import os
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.mailer.adapters import blob_folder
from app.mailer.adapters.blob_folder import FolderBlobStore
from app.mailer.domain.errors import BlobMissing, StorageFailed

TENANT = UUID("00000000-0000-0000-0000-000000000001")


@pytest.fixture
def store(tmp_path: Path) -> FolderBlobStore:
    return FolderBlobStore(tmp_path / "blobs")


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_blob_is_one_file_for_its_owner_alone(store: FolderBlobStore, tmp_path: Path) -> None:
    ref = store.put(TENANT, b"bytes")
    path = tmp_path / "blobs" / str(TENANT) / ref.sha256[:2] / ref.sha256
    assert files(tmp_path) == [path]
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in (tmp_path / "blobs").rglob("*/"):
        assert folder.stat().st_mode & 0o077 == 0, folder
    assert (tmp_path / "blobs").stat().st_mode & 0o077 == 0


def test_known_content_writes_nothing(store: FolderBlobStore, tmp_path: Path) -> None:
    store.put(TENANT, b"bytes")
    (path,) = files(tmp_path)
    before = path.stat()
    store.put(TENANT, b"bytes")
    FolderBlobStore(tmp_path / "blobs").put(TENANT, b"bytes")
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("damage", [b"", b"byte", b"bytez", b"bytes!"])
def test_a_damaged_blob_is_missing_until_it_is_put_again(
    store: FolderBlobStore, tmp_path: Path, damage: bytes
) -> None:
    ref = store.put(TENANT, b"bytes")
    (path,) = files(tmp_path)
    path.write_bytes(damage)
    with pytest.raises(BlobMissing, match="damaged"):
        store.get(TENANT, ref)
    store.put(TENANT, b"bytes")
    assert store.get(TENANT, ref) == b"bytes"


def test_what_a_crash_leaves_is_harmless(store: FolderBlobStore, tmp_path: Path) -> None:
    (tmp_path / "blobs" / "incoming" / "half").write_bytes(b"by")
    again = FolderBlobStore(tmp_path / "blobs")
    ref = again.put(TENANT, b"bytes")
    assert again.get(TENANT, ref) == b"bytes"


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "is full"), (errno.EIO, "cannot be used")]
)
def test_a_disk_that_fails_leaves_nothing_half_written(
    store: FolderBlobStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    words: str,
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StorageFailed, match=words) as caught:
        store.put(TENANT, b"bytes")
    assert str(tmp_path) in caught.value.message
    assert files(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_disk_full_in_the_middle_of_writing(
    store: FolderBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def open_full(path: Path, flags: int, mode: int) -> int:
        os.close(real(path, flags, mode))
        return real("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(blob_folder.os, "open", open_full)
    with pytest.raises(StorageFailed, match="is full"):
        store.put(TENANT, b"bytes")
    monkeypatch.undo()
    assert files(tmp_path) == []


def test_sync_tells_of_a_failed_write(
    store: FolderBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    store.sync()
    monkeypatch.setattr(blob_folder, "_sync_file_system", fail)
    with pytest.raises(StorageFailed, match="Input/output error"):
        store.sync()


def test_a_bad_descriptor_is_not_taken_for_a_sync() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        blob_folder._sync_file_system(-1)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="cannot be used"):
        FolderBlobStore(tmp_path / "file" / "blobs")


def test_a_full_disk_leaves_nothing_half_written(store: FolderBlobStore, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(StorageFailed, match="is full"):
            store.put_stream(TENANT, (bytes(100_000) for _ in range(10)))
        with pytest.raises(StorageFailed, match="is full"):
            store.stage(TENANT, uuid4(), 0, 1, bytes(400_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(tmp_path) == []


def test_sweeping_removes_what_a_crash_left(store: FolderBlobStore, tmp_path: Path) -> None:
    (tmp_path / "blobs" / "incoming" / "half").write_bytes(b"by")
    store.sweep(datetime.now(UTC) - timedelta(hours=1))
    assert len(files(tmp_path)) == 1
    store.sweep(datetime.now(UTC) + timedelta(hours=1))
    assert files(tmp_path) == []
