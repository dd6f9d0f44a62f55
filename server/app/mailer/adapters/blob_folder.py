"""The blob store in a local folder: `<folder>/<tenant>/<ab>/<sha256>`."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

from app.mailer.adapters.blob_checks import (
    CHUNK,
    Digest,
    checked_bytes,
    checked_chunks,
    checked_name,
    damaged,
    joined_pieces,
    overtaken_pieces,
    piece_name,
)
from app.mailer.adapters.private_folder import make_private
from app.mailer.domain.errors import BlobMissing, StorageFailed
from app.mailer.ports import BlobRef

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
        self._uploads = folder / "uploads"
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
                with self._draft([data]) as draft:
                    _move(draft, path)
        return ref

    def put_stream(self, tenant: UUID, chunks: Iterable[bytes]) -> BlobRef:
        digest = Digest()
        with self._told(), self._draft(digest.passing(chunks)) as draft:
            _move(draft, self._path(tenant, digest.ref))
        return digest.ref

    def get(self, tenant: UUID, ref: BlobRef) -> bytes:
        path = self._path(tenant, ref)
        with self._told():
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                raise _missing(ref) from None
        return checked_bytes(data, ref)

    def open(self, tenant: UUID, ref: BlobRef) -> Iterator[bytes]:
        path = self._path(tenant, ref)
        with self._told():
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                raise _missing(ref) from None
        if size != ref.size:
            raise damaged(ref)
        return checked_chunks(self._chunks(path), ref)

    def has(self, tenant: UUID, ref: BlobRef) -> bool:
        path = self._path(tenant, ref)
        with self._told():
            try:
                return path.stat().st_size == ref.size
            except FileNotFoundError:
                return False

    def delete(self, tenant: UUID, ref: BlobRef) -> None:
        with self._told():
            self._path(tenant, ref).unlink(missing_ok=True)

    def check(self) -> None:
        with self._told(), self._draft([b""]):
            pass

    def sync(self) -> None:
        with self._told():
            _sync_file_system(self._descriptor)

    def stage(self, tenant: UUID, upload: UUID, offset: int, turn: int, data: bytes) -> None:
        path = self._pieces(tenant, upload) / piece_name(offset, turn)
        # Here each fsync is worth it: the client was told that these bytes have arrived.
        with self._told(), self._draft([data], durable=True) as draft:
            _move(draft, path)

    def staged(self, tenant: UUID, upload: UUID) -> Iterator[bytes]:
        folder = self._pieces(tenant, upload)
        with self._told():
            names = _names(folder)
        reached = 0
        for name, offset in joined_pieces(names):
            if offset == reached:
                for chunk in self._chunks(folder / name):
                    reached += len(chunk)
                    yield chunk

    def unstage(self, tenant: UUID, upload: UUID) -> None:
        with self._told():
            _remove_folder(self._pieces(tenant, upload))

    def unstage_overtaken(self, tenant: UUID, upload: UUID, offset: int, turn: int) -> None:
        folder = self._pieces(tenant, upload)
        with self._told():
            for name in overtaken_pieces(_names(folder), offset, turn):
                (folder / name).unlink(missing_ok=True)

    def sweep(self, before: datetime) -> None:
        limit = before.timestamp()
        with self._told():
            for draft in _old(self._incoming.iterdir(), limit):
                draft.unlink(missing_ok=True)
            for folder in _old(self._uploads.glob("*/*"), limit):
                _remove_folder(folder)

    def _path(self, tenant: UUID, ref: BlobRef) -> Path:
        name = checked_name(ref)
        return self._folder / str(tenant) / name[:2] / name

    def _pieces(self, tenant: UUID, upload: UUID) -> Path:
        return self._uploads / str(tenant) / str(upload)

    def _chunks(self, path: Path) -> Iterator[bytes]:
        with self._told(), path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                yield chunk

    @contextmanager
    def _draft(self, chunks: Iterable[bytes], *, durable: bool = False) -> Iterator[Path]:
        """A complete file in `incoming/`; whoever wants to keep it moves it."""
        draft = self._incoming / secrets.token_hex(16)
        descriptor = os.open(draft, _NEW, 0o600)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                for chunk in chunks:
                    rest = memoryview(chunk)
                    while rest:
                        rest = rest[file.write(rest) :]
                if durable:
                    os.fsync(file.fileno())
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns an error of the disk into one that a person can act on."""
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise StorageFailed(
                f'The blob folder "{self._folder}" '
                + ("is full." if full else f"cannot be used: {error.strerror or error}."),
                "Make room on the disk." if full else "Check that it is there and may be written.",
            ) from error


def _missing(ref: BlobRef) -> BlobMissing:
    return BlobMissing(
        f"The blob {ref.sha256} is not in the blob folder.", "Build the campaign again."
    )


def _holds(path: Path, data: bytes) -> bool:
    """Whether the blob is there and sound; one that a crash or the disk spoilt is written anew."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _move(draft: Path, path: Path) -> None:
    try:
        draft.replace(path)
    except FileNotFoundError:
        make_private(path.parent)
        draft.replace(path)


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _old(paths: Iterable[Path], limit: float) -> Iterator[Path]:
    for path in paths:
        try:
            changed = path.stat().st_mtime
        except FileNotFoundError:
            continue
        if changed < limit:
            yield path


def _remove_folder(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        # Absent, or somebody else removes it at the same time.
        shutil.rmtree(folder, ignore_errors=True)


def _sync_file_system(descriptor: int) -> None:
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:  # not Linux
        os.sync()
    elif syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
