"""The files that a campaign on this machine's disk refers to."""

from __future__ import annotations

import os
import stat
from collections.abc import Set as AbstractSet
from pathlib import Path

from app.mailer.adapters.file_tree import DiskFileTree
from app.mailer.adapters.sources import open_source
from app.mailer.adapters.text_encoding import (
    BadByte,
    OtherMark,
    UnknownEncoding,
    ZeroBytes,
    encoding_of,
)
from app.mailer.domain.campaign import Source
from app.mailer.domain.entries.entry import named_source
from app.mailer.domain.entries.rows import Table
from app.mailer.ports import FileFault, FileTree

#: Templates and images; larger ones are a mistake.
MAX_BYTES = 32 * 1024 * 1024


class DiskCampaignFiles:
    """`ports.CampaignFiles` for the folder that holds the campaign file; `own` is that file."""

    #: What lies on a disk was uploaded by nobody.
    uploaders: AbstractSet[str] = frozenset()

    def __init__(self, folder: Path, own: Path | None = None) -> None:
        self._folder = folder.resolve()
        self._used: set[Path] = {own} if own is not None else set()

    def text(self, path: str, encoding: str) -> str:
        """A template's text; `auto` as `text_encoding` finds it, a byte order mark left out."""
        return text_of(self.data(path), path, encoding)

    def data(self, path: str) -> bytes:
        """The bytes of a regular file; a link or a pipe in its place is refused."""
        full = self._folder / path
        self._used.add(full)
        try:
            return _content(full, path)
        except OSError as error:
            raise _fault(full, path, error) from error

    def table(self, source: Source) -> Table:
        full = self._folder / source.path
        self._used.add(full)
        return open_source(full, named_source(source))

    def tree(self, base_path: str) -> FileTree:
        try:
            return DiskFileTree(self._folder / base_path)
        except FileNotFoundError:
            raise FileFault(
                "missing-folder",
                f"There is no folder {base_path}.",
                "It is looked for beside the campaign file; capitals and small letters differ.",
            ) from None
        except NotADirectoryError:
            raise FileFault(
                "missing-folder", f"{base_path} is not a folder.", "Name the folder of the files."
            ) from None
        except OSError as error:
            raise _fault(self._folder / base_path, base_path, error) from error

    def used_below(self, tree: FileTree) -> set[str]:
        root = Path(tree.root)
        used = [path.resolve() for path in self._used]
        return {path.relative_to(root).as_posix() for path in used if path.is_relative_to(root)}


def text_of(data: bytes, path: str, encoding: str) -> str:
    """The text of a file at `path`; raises `FileFault` where it is not in its encoding."""
    try:
        return data.decode(encoding_of(data, encoding)).removeprefix("\ufeff")
    except UnknownEncoding as error:
        raise FileFault(
            "wrong-encoding",
            f"{path}: there is no encoding “{encoding}”.",
            "Use auto, utf-8, cp1252 or another name that Python knows.",
        ) from error
    except OtherMark as error:
        raise FileFault(
            "wrong-encoding",
            f"{path} begins with the byte order mark of {error.marked}, but the campaign says "
            f"{encoding}.",
            "Set its `encoding` to auto.",
        ) from error
    except ZeroBytes as error:
        raise FileFault(
            "wrong-encoding",
            f"{path} holds zero bytes, so it is not {error.encoding} text.",
            "Save the file as UTF-8.",
        ) from error
    except BadByte as error:
        line = data.count(b"\n", 0, error.offset) + 1
        raise FileFault(
            "wrong-encoding",
            f"{path}, line {line}: the byte 0x{data[error.offset]:02X} is not {error.encoding}.",
            "Save the file as UTF-8, or name its encoding.",
        ) from error


def _content(full: Path, path: str) -> bytes:
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileFault(
                "unsafe-file", f"{path} is not a regular file.", "Put a real file there."
            )
        if status.st_size > MAX_BYTES:
            raise too_many_bytes(path, status.st_size, MAX_BYTES)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES)
    finally:
        os.close(descriptor)


def _fault(full: Path, path: str, error: OSError) -> FileFault:
    if not isinstance(error, FileNotFoundError | NotADirectoryError) and full.is_symlink():
        return FileFault("unsafe-file", f"{path} is a symlink.", "Put the real file there.")
    return fault_of(error, path)


def fault_of(error: OSError, path: str) -> FileFault:
    """What kept a file from being read."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return FileFault(
            "missing-file",
            f"There is no file {path}.",
            "Paths are relative to the campaign file; capitals and small letters differ.",
        )
    return FileFault(
        "unreadable-file",
        f"{path} cannot be read: {error.strerror}.",
        "Check the permissions of the file and its folder.",
    )


def too_many_bytes(path: str, size: int, limit: int) -> FileFault:
    """A file of `size` bytes where at most `limit` are read."""
    return FileFault(
        "unreadable-file",
        f"{path} has {size / 1e6:.0f} MB; the most is {limit / 1e6:.0f}.",
        "Use a smaller file.",
    )
