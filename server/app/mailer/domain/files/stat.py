"""A file as a scan saw it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file as the one scan of its base saw it.

    `path` is relative to the base, with `/`, as the disk spells it. `regular` is False for
    symlinks, pipes, sockets and devices. `identity` is (device, inode, size, mtime_ns): a file
    that differs at reading was changed after the check.
    """

    path: str
    size: int
    mtime_ns: int
    regular: bool
    identity: tuple[int, int, int, int]
