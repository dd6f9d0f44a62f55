"""The files below a base folder on this machine's disk: one scan, and reading without links."""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from app.mailer.domain.errors import FileChanged, UnsafePath
from app.mailer.ports import FileStat, Progress

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_STEP = 1000


class DiskFileTree:
    """`ports.FileTree` over a folder. Raises `FileNotFoundError` or `NotADirectoryError` for it.

    The base itself may be a symlink, since the operator named it; nothing below it is followed. The
    tree is the folder that `below` leads to from the base, again without links: `UnsafePath`.
    """

    def __init__(self, base: str | os.PathLike[str], below: Sequence[str] = ()) -> None:
        self._base = os.path.realpath(base)
        self._below = list(below)
        self.root = "/".join([self._base.rstrip("/"), *self._below]) or "/"
        self.folders: list[str] = []
        self.unreadable: list[str] = []
        with self._open_folder([]):
            pass

    def scan(self, progress: Progress | None = None) -> list[FileStat]:
        """Every file below the base, sorted by path; symlinks count as irregular files."""
        found: list[FileStat] = []
        self.folders, self.unreadable = [], []
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with self._open_folder(folder.split("/") if folder else []) as descriptor:
                    inner = self._scan_folder(descriptor, folder, found, progress)
            except (OSError, UnsafePath):
                self.unreadable.append(folder or ".")
                continue
            if folder:
                self.folders.append(folder)
            waiting += inner
        if progress:
            progress("scan", len(found), len(found))
        found.sort(key=lambda file: file.path)
        return found

    def read(self, stat: FileStat) -> bytes:
        """The bytes of a scanned file.

        Raises `UnsafePath` where a link or special file stands in its place or on its way,
        `FileChanged` where it is not the file that was scanned, `OSError` where it cannot be read.
        """
        *folders, name = stat.path.split("/")
        if any(part in ("", ".", "..") for part in (*folders, name)):
            raise UnsafePath(f'"{stat.path}" is not a path below the base folder.')
        try:
            with self._open_folder(folders) as parent:
                descriptor = os.open(name, _FILE, dir_fd=parent)
        except FileNotFoundError:
            raise _changed(stat, "is gone") from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a symlink; a socket
                raise _unsafe(stat.path) from None
            raise
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before = os.fstat(descriptor)
            if not modes.S_ISREG(before.st_mode):
                raise _unsafe(stat.path)
            if _identity(before) != stat.identity:
                raise _changed(stat, "was changed")
            data = file.read(stat.size + 1) if stat.size else b""
            while len(data) < stat.size and (more := file.read(stat.size - len(data))):
                data += more
            after = os.fstat(descriptor)
        if _identity(after) != stat.identity or after.st_ctime_ns != before.st_ctime_ns:
            raise _changed(stat, "was changed while it was read")
        if len(data) != stat.size:
            raise _changed(stat, "is shorter than it was")
        return data

    def _scan_folder(
        self, descriptor: int, folder: str, found: list[FileStat], progress: Progress | None
    ) -> list[str]:
        beginning = f"{folder}/" if folder else ""
        inner: list[str] = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                path = beginning + entry.name
                if not _is_unicode(entry.name):
                    self.unreadable.append(os.fsencode(path).decode(errors="replace"))
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        inner.append(path)
                        continue
                    stat = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # removed since the folder was listed
                except OSError:
                    self.unreadable.append(path)
                    continue
                found.append(
                    FileStat(
                        path,
                        stat.st_size,
                        stat.st_mtime_ns,
                        modes.S_ISREG(stat.st_mode),
                        _identity(stat),
                    )
                )
                if progress and len(found) % _STEP == 0:
                    progress("scan", len(found), None)
        return inner

    def _open_folder(self, parts: list[str]) -> AbstractContextManager[int]:
        return _folder_below(self._base, [*self._below, *parts])


def read_below(base: str, parts: Sequence[str], limit: int) -> bytes:
    """The bytes of a regular file that `parts` lead to from `base`, without following any link.

    Raises `UnsafePath` for a link or a special file there or on the way, and `OSError`, also for
    one of more than `limit` bytes.
    """
    *folders, name = parts or ("",)
    with _folder_below(base, folders) as parent:
        try:
            descriptor = os.open(name or ".", _FILE, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise _unsafe("/".join(parts)) from None
            raise
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not modes.S_ISREG(status.st_mode):
            raise _unsafe("/".join(parts))
        if status.st_size > limit:
            raise OSError(errno.EFBIG, f"it has more than {limit / 1e6:.0f} MB")
        # The file may grow meanwhile.
        data = bytearray()
        while len(data) <= limit and (more := file.read(limit + 1 - len(data))):
            data += more
    return bytes(data[:limit])


@contextmanager
def _folder_below(base: str, parts: Sequence[str]) -> Iterator[int]:
    """A descriptor of a folder below the base, reached without following any link."""
    descriptor = os.open(base, _FOLDER)
    try:
        for part in parts:
            try:
                inner = os.open(part, _FOLDER, dir_fd=descriptor)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise _unsafe("/".join(parts)) from None
                raise
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _identity(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _is_unicode(name: str) -> bool:
    # The disk's bytes that are not UTF-8 arrive as lone surrogates (PEP 383).
    return name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name)


def _unsafe(path: str) -> UnsafePath:
    return UnsafePath(
        f'"{path}" is, or lies behind, a symlink or a special file.',
        "Put the real file in its place.",
    )


def _changed(stat: FileStat, what: str) -> FileChanged:
    return FileChanged(f'"{stat.path}" {what} since it was checked.', "Validate and build again.")
