"""The bytes that were approved, read back and proved to be those before anything is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

from app.mailer.domain.errors import BlobDamaged
from app.mailer.domain.mime.frame import Base64Cache, Frame
from app.mailer.ports import BlobRef


class Approved(Protocol):
    """What is known of a message from its build."""

    @property
    def size(self) -> int | None: ...
    @property
    def sha256(self) -> str | None: ...


class ChangedAfterBuild(Exception):
    """The stored message is not the one that was built (`changed-after-build`); it never leaves."""


def approved_bytes(
    job: Approved,
    stored: bytes | None,
    read: Callable[[BlobRef], bytes],
    cache: Base64Cache,
) -> list[bytes]:
    """The message of `job` as SMTP sends it, in pieces; size and SHA-256 are those of the build.

    Raises `ChangedAfterBuild`, and lets `BlobMissing` and `OSError` of the file store through.
    """
    if stored is None:
        raise ChangedAfterBuild("changed-after-build: the stored message is gone.")
    try:
        chunks = list(Frame.decode(stored).chunks(read, cache))
    except (ValueError, BlobDamaged) as error:
        raise ChangedAfterBuild(f"changed-after-build: {error}") from error
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    if digest.hexdigest() != job.sha256 or sum(map(len, chunks)) != job.size:
        raise ChangedAfterBuild(
            "changed-after-build: the stored message differs from the one that was approved."
        )
    return chunks
