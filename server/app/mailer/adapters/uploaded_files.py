"""A tenant's uploaded files, as campaigns read them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.db.repositories import files
from app.mailer.domain.errors import BlobDamaged, BlobMissing, FileChanged
from app.mailer.domain.files.confinement import Place
from app.mailer.ports import BlobRef, BlobStore, FileStat, Progress

_STEP = 1000


class UploadedFiles:
    """The files of one tenant, each asked for when it is needed.

    `uploaders` grows with what is read: who uploaded it (`Actor.identity`).
    """

    def __init__(self, tenant_id: UUID, reading: Callable[[], Session], blobs: BlobStore) -> None:
        self._tenant_id = tenant_id
        self._reading = reading
        self._blobs = blobs
        self.uploaders: set[str] = set()
        #: By path and SHA-256, of all that was looked for.
        self._uploader_of: dict[tuple[str, str], str | None] = {}

    def find(self, path: str) -> BlobRef | None:
        """The content of the file at exactly this path."""
        with self._reading() as session:
            file = files.at(session, self._tenant_id, path)
        if file is None:
            return None
        self._uploader_of[path, file.sha256] = file.uploaded_by_id
        return BlobRef(file.sha256, file.size)

    def read(self, ref: BlobRef, path: str, *, folder: str = "") -> bytes:
        """The bytes of a file that was found. Raises `FileChanged` where it was deleted since,
        `OSError` where they are damaged, and `StorageFailed`."""
        full = f"{folder}/{path}" if folder else path
        if (uploader := self._uploader_of.get((full, ref.sha256))) is not None:
            self.uploaders.add(uploader)
        try:
            return self._blobs.get(self._tenant_id, ref)
        except BlobDamaged:
            raise OSError(errno.EIO, "its stored bytes are damaged", path) from None
        except BlobMissing:
            raise FileChanged(
                f'"{path}" is gone since it was checked.', "Upload it again, and validate."
            ) from None

    def scan(self, folder: str, progress: Progress | None = None) -> list[FileStat]:
        """The files in a folder and below it, with paths relative to it, by path."""
        found: list[FileStat] = []
        start = len(folder) + 1 if folder else 0
        with self._reading() as session:
            rows = files.below(session, self._tenant_id, folder)
            for path, size, sha256, uploaded_at, uploader in rows:
                self._uploader_of[path, sha256] = uploader
                modified = int(uploaded_at.timestamp() * 1_000_000) * 1000
                found.append(FileStat(path[start:], size, modified, True, _identity(sha256)))
                if progress and len(found) % _STEP == 0:
                    progress("scan", len(found), None)
        if progress:
            progress("scan", len(found), len(found))
        # The database may sort as people do.
        found.sort(key=lambda file: file.path)
        return found

    def has_folder(self, folder: str) -> bool:
        """Whether there is a file below it; the folder of all uploads is always there."""
        if not folder:
            return True
        with self._reading() as session:
            return next(files.below(session, self._tenant_id, folder), None) is not None


class UploadTree:
    """`ports.FileTree` over a folder of the uploads.

    A file is known by its content, so that what was checked is what is read, whatever was uploaded
    in its place meanwhile.
    """

    def __init__(self, uploads: UploadedFiles, place: Place) -> None:
        self._uploads = uploads
        self._folder = place.path
        self.root = place.name
        self.folders: list[str] = []
        self.unreadable: list[str] = []

    def scan(self, progress: Progress | None = None) -> Sequence[FileStat]:
        found = self._uploads.scan(self._folder, progress)
        self.folders = sorted({above for file in found for above in _folders_of(file.path)})
        return found

    def read(self, stat: FileStat) -> bytes:
        ref = BlobRef(_sha256(stat.identity), stat.size)
        return self._uploads.read(ref, stat.path, folder=self._folder)


def _folders_of(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _identity(sha256: str) -> tuple[int, int, int, int]:
    """The hash as the four numbers that a file is known by."""
    first, second, third, fourth = (int(sha256[at : at + 16], 16) for at in range(0, 64, 16))
    return first, second, third, fourth


def _sha256(identity: tuple[int, int, int, int]) -> str:
    return "".join(f"{number:016x}" for number in identity)
