"""Temporary files, where what is passed on must not grow in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from app.mailer.domain.errors import StorageFailed


@contextmanager
def local_disk() -> Iterator[None]:
    """Turns an error of the disk into one that a person can act on."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(
            f'The folder for temporary files "{tempfile.gettempdir()}" cannot be used: '
            f"{error.strerror or error}.",
            "Make room there, or name another one by TMPDIR.",
        ) from error
