"""The blob store in a local folder: `<folder>/<tenant>/<ab>/<sha256>`."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import secrets
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from app.mailer.adapters.private_folder import make_private
from app.mailer.domain.errors import BlobDamaged, BlobMissing, StorageFailed
from app.mailer.ports import BlobRef

_HASH = re.compile(r"[0-9a-f]{64}")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class FolderBlobStore:
    """`ports.BlobStore` on a local disk; any number of processes may share the folder.

    A blob is written beside its place and renamed, so that it is there whole or not at all; what
    a crash leaves in `incoming/` is never read. An fsync for each blob takes 2 ms and more, so
    `put` leaves it to `sync`, which has the file system write everything once (syncfs): 100,000
    blobs of 50 KB then cost seconds rather than minutes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        with self._told():
            make_private(self._incoming)
            # Opened before the first write: syncfs tells of the write errors since then.
            self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def put(self, tenant: UUID, data: bytes) -> BlobRef:
        ref = BlobRef(hashlib.sha256(data).hexdigest(), len(data))
        path = self._path(tenant, ref)
        with self._told():
            if not _holds(path, data):
                self._write(path, data)
        return ref

    def get(self, tenant: UUID, ref: BlobRef) -> bytes:
        path = self._path(tenant, ref)
        with self._told():
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                raise BlobMissing(
                    f"The blob {ref.sha256} is not in the blob folder.", "Build the campaign again."
                ) from None
        if len(data) != ref.size or hashlib.sha256(data).hexdigest() != ref.sha256:
            raise BlobDamaged(
                f"The blob {ref.sha256} is damaged: its bytes are not the ones that were stored.",
                "Check the disk, then build the campaign again.",
            )
        return data

    def has(self, tenant: UUID, ref: BlobRef) -> bool:
        path = self._path(tenant, ref)
        with self._told():
            try:
                return path.stat().st_size == ref.size
            except FileNotFoundError:
                return False

    def check(self) -> None:
        with self._told():
            self._write(self._incoming / "check", b"")
            (self._incoming / "check").unlink(missing_ok=True)

    def sync(self) -> None:
        with self._told():
            _sync_file_system(self._descriptor)

    def _path(self, tenant: UUID, ref: BlobRef) -> Path:
        if not _HASH.fullmatch(ref.sha256):
            raise BlobMissing(f'"{ref.sha256}" is not a SHA-256 in lower-case hex.')
        return self._folder / str(tenant) / ref.sha256[:2] / ref.sha256

    def _write(self, path: Path, data: bytes) -> None:
        draft = self._incoming / secrets.token_hex(16)
        descriptor = os.open(draft, _NEW, 0o600)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
            try:
                draft.replace(path)
            except FileNotFoundError:
                make_private(path.parent)
                draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns an error of the disk into one that a person can act on."""
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise StorageFailed(
                f'The blob folder "{self._folder}" '
                + ("is full." if full else f"cannot be used: {error.strerror or error}."),
                "Make room on the disk." if full else "Check that it is there and may be written.",
            ) from error


def _holds(path: Path, data: bytes) -> bool:
    """Whether the blob is there and sound; one that a crash or the disk spoilt is written anew."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _sync_file_system(descriptor: int) -> None:
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:  # not Linux
        os.sync()
    elif syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
