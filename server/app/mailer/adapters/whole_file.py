"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.mailer.adapters.private_folder import make_private

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def whole_file(path: Path, *, follow: bool = True) -> Iterator[BinaryIO]:
    """A file to write; it takes the place of an older one once it is complete.

    Only its owner may read it, or whoever might read the older one: it holds people's letters.
    With `follow` a link stays and the file stands where it leads, else the link is replaced. The
    folder is made where it is absent. Raises `OSError`.
    """
    target = Path(os.path.realpath(path)) if follow else path
    if target.exists() and not (target.is_file() or target.is_symlink()):
        # Nothing may take the place of a pipe or of /dev/null.
        with path.open("wb") as file:
            yield file
        return
    make_private(target.parent)
    unfinished = unfinished_of(target)
    # What stands there is left from a crash, or a link that somebody put in the way.
    unfinished.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(unfinished, _NEW, 0o600), "wb") as file:
            if target.is_file() and not target.is_symlink():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def unfinished_of(path: Path) -> Path:
    """Where the bytes wait until they are complete."""
    return path.with_name(f".{path.name}.part")
