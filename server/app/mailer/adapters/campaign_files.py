"""The files that a campaign on this machine's disk refers to."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from app.mailer.adapters.file_tree import DiskFileTree
from app.mailer.adapters.sources import open_source
from app.mailer.domain.campaign import Source
from app.mailer.domain.entries import named_source
from app.mailer.domain.rows import Table
from app.mailer.ports import FileFault, FileTree

#: Templates and images; larger ones are a mistake.
MAX_BYTES = 32 * 1024 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class DiskCampaignFiles:
    """`ports.CampaignFiles` for the folder that holds the campaign file; `own` is that file."""

    def __init__(self, folder: Path, own: Path | None = None) -> None:
        self._folder = folder.resolve()
        self._used: set[Path] = {own.resolve()} if own is not None else set()

    def text(self, path: str, encoding: str) -> str:
        """A template's text: by its byte order mark, else UTF-8, else cp1252; or as told."""
        data = self.data(path)
        try:
            if encoding != "auto":
                return data.decode(encoding)
            for mark, marked in _MARKS:
                if data.startswith(mark):
                    return data.decode(marked)
            try:
                return data.decode("utf-8")
            except UnicodeDecodeError:
                return data.decode("cp1252")
        except LookupError as error:
            raise FileFault(
                "wrong-encoding",
                f"There is no encoding “{encoding}”.",
                "Use auto, utf-8, cp1252 or another name that Python knows.",
            ) from error
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise FileFault(
                "wrong-encoding",
                f"{path}, line {line}: the byte 0x{data[error.start]:02X} is not {error.encoding}.",
                "Save the file as UTF-8, or name its encoding.",
            ) from error

    def data(self, path: str) -> bytes:
        """The bytes of a regular file; a link or a pipe in its place is refused."""
        full = self._folder / path
        self._used.add(full)
        try:
            fd = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _fault(full, path, error) from error
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise FileFault(
                    "unsafe-file", f"{path} is not a regular file.", "Put a real file there."
                )
            if status.st_size > MAX_BYTES:
                raise FileFault(
                    "unreadable-file",
                    f"{path} has {status.st_size / 1e6:.0f} MB; the most is {MAX_BYTES / 1e6:.0f}.",
                    "Use a smaller file.",
                )
            return file.read(MAX_BYTES)

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
        return {
            path.relative_to(root).as_posix() for path in self._used if path.is_relative_to(root)
        }


def _fault(full: Path, path: str, error: OSError) -> FileFault:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return FileFault(
            "missing-file",
            f"There is no file {path}.",
            "Paths are relative to the campaign file; capitals and small letters differ.",
        )
    if full.is_symlink():
        return FileFault("unsafe-file", f"{path} is a symlink.", "Put the real file there.")
    return FileFault(
        "unreadable-file",
        f"{path} cannot be read: {error.strerror}.",
        "Check the permissions of the file and its folder.",
    )
