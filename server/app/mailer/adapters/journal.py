"""The journal of replies: what the server answered, on this machine's disk before the database.

One file for each live worker, `<folder>/<worker>.journal`: a JSON object a line. Before
each closing dot stands that it may leave; behind it, what the server answered. The file is locked
(`flock`) from its creation until the process ends, however it ends, so a free lock proves that its
worker is dead. Space is set aside ahead of need, so that a full disk is noticed before a
dot leaves and never after it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson

from app.mailer.adapters.private_folder import make_private
from app.mailer.ports import AbandonedJournal, Journal, JournalRecord

#: The longest reply text that is kept: enough for any server's explanation.
_LONGEST_TEXT = 1_000
#: No record is longer, with every character of the text escaped.
_LONGEST_RECORD = 8 * 1024
#: Set aside ahead of dots: a window of records for each of the connections of a process, and more.
_AHEAD = 512 * _LONGEST_RECORD
#: Set aside at once, so that a file is rarely enlarged.
_CHUNK = 2 * _AHEAD
_SUFFIX = ".journal"
_CLOSED = -1


class FileJournal:
    """Implements `ports.Journal` in a local folder that all workers of this machine share."""

    def __init__(self, folder: Path) -> None:
        make_private(folder)
        self._folder = folder
        self.worker = f"{os.uname().nodename}-{os.getpid()}-{uuid4().hex[:12]}"[-100:]
        self._path = folder / f"{self.worker}{_SUFFIX}"
        # Locked under a name that nobody looks for, so that no other worker can take the file
        # for a dead one's between its creation and its lock.
        unborn = folder / f"{self.worker}.new"
        self._fd = os.open(unborn, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        unborn.rename(self._path)
        _sync_folder(folder)
        self._end = 0
        self._reserved = 0
        self._lock = threading.Lock()
        self._write(orjson.dumps({"boot": _boot()}) + b"\n")

    def check(self) -> None:
        with self._lock:
            if not os.fstat(self._open()).st_nlink:
                raise OSError(errno.ENOENT, "the journal was deleted", str(self._path))
            if self._end + _AHEAD > self._reserved:
                os.posix_fallocate(self._fd, self._end, _CHUNK)
                os.fsync(self._fd)
                self._reserved = self._end + _CHUNK

    def dot(self, job_id: UUID, fence: int) -> None:
        self._write(b'{"dot":"%s","fence":%d}\n' % (str(job_id).encode(), fence))

    def record(self, record: JournalRecord) -> None:
        line = orjson.dumps(
            {
                "job": str(record.job_id),
                "fence": record.fence,
                "code": record.code,
                "text": record.text[:_LONGEST_TEXT],
                "at": record.at.isoformat(),
            }
        )
        self._write(line + b"\n")

    def sync(self) -> None:
        with self._lock:
            os.fdatasync(self._open())

    def _write(self, line: bytes) -> None:
        with self._lock:
            rest = memoryview(line)
            end = self._end
            while rest:
                written = os.pwrite(self._open(), rest, end)
                rest, end = rest[written:], end + written
            # After a failure the next record takes the same place, so that no torn one is in front.
            self._end = end

    def abandoned(self) -> Iterator[AbandonedJournal]:
        return _abandoned(self._folder, self._path)

    def close(self, *, settled: bool) -> None:
        with self._lock:
            if self._fd == _CLOSED:
                return
            if settled:
                self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = _CLOSED

    def _open(self) -> int:
        """The file, as long as it is ours: its number may be another file's after `close`."""
        if self._fd == _CLOSED:
            raise OSError(errno.EBADF, "the journal is closed")
        return self._fd


class JournalFolder:
    """Implements `ports.Journals`: a folder for each tenant below one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, tenant: UUID) -> Journal:
        return FileJournal(self._folder / str(tenant))

    def tenants(self) -> Sequence[UUID]:
        found: dict[UUID, None] = {}
        for path in sorted(self._folder.glob(f"*/*{_SUFFIX}")):
            with suppress(ValueError):
                found[UUID(path.parent.name)] = None
        return list(found)

    def abandoned(self, tenant: UUID) -> Iterator[AbandonedJournal]:
        return _abandoned(self._folder / str(tenant), None)


class _Abandoned:
    """A dead worker's journal, locked by us while we read it."""

    def __init__(self, path: Path, fd: int) -> None:
        self.worker = path.name.removesuffix(_SUFFIX)
        self._path = path
        self._fd = fd

    def records(self) -> Sequence[JournalRecord]:
        found = []
        for row in self._rows():
            with suppress(KeyError, ValueError, TypeError):
                found.append(
                    JournalRecord(
                        job_id=UUID(str(row["job"])),
                        fence=row["fence"],
                        code=row["code"],
                        text=row["text"],
                        at=datetime.fromisoformat(row["at"]),
                    )
                )
        return found

    def dots(self) -> AbstractSet[tuple[UUID, int]] | None:
        rows = list(self._rows())
        if not rows or rows[0].get("boot") != _boot():
            # What was not synced may be gone with the machine.
            return None
        return {(UUID(row["dot"]), row["fence"]) for row in rows if "dot" in row}

    def _rows(self) -> Iterator[dict[str, Any]]:
        for line in self._path.read_bytes().split(b"\n"):
            # The space set aside, or a line cut off by the crash: nothing was kept there.
            with suppress(orjson.JSONDecodeError):
                row = orjson.loads(line)
                if isinstance(row, dict):
                    yield row

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)

    def release(self) -> None:
        os.close(self._fd)


def _abandoned(folder: Path, own: Path | None) -> Iterator[AbandonedJournal]:
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if path == own:
            continue
        journal = _take(path)
        if journal is not None:
            try:
                yield journal
            finally:
                journal.release()


def _take(path: Path) -> _Abandoned | None:
    """Lock a journal if its worker is dead; None if it lives or the file is gone meanwhile."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return _Abandoned(path, fd)
    except BlockingIOError:
        pass
    os.close(fd)
    return None


def _boot() -> str:
    """Another one each time that the machine starts: files keep what was written until then."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
