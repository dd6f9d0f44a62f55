"""A lock that one process of this machine holds, until it ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from app.mailer.adapters.private_folder import make_private


class ProcessLock:
    """An advisory lock (`flock`) on a file of its own; the kernel frees it with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take it; False where another process has it. Raises `OSError`."""
        make_private(self._path.parent)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it up; nothing where it is not held. The file stays: removing it would race."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
