"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write; it takes the place of an older one once it is complete.

    Its folder is made where it is absent. Raises `OSError`.
    """
    # Where a link leads, so that the link stays.
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        # Nothing may take the place of a pipe or of /dev/null.
        with path.open("wb") as file:
            yield file
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = unfinished_of(target)
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def unfinished_of(path: Path) -> Path:
    """Where the bytes wait until they are complete."""
    return path.with_name(f".{path.name}.part")
