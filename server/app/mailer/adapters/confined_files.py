"""The files of a campaign that came by the API: uploads, and what is below FILE_ROOTS."""

from __future__ import annotations

import os
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress

from app.mailer.adapters.campaign_files import MAX_BYTES, fault_of, text_of, too_many_bytes
from app.mailer.adapters.file_tree import DiskFileTree, read_below
from app.mailer.adapters.sources import MAX_BYTES as MAX_TABLE_BYTES
from app.mailer.adapters.sources import read_source
from app.mailer.adapters.uploaded_files import UploadedFiles, UploadTree
from app.mailer.domain.campaign import Source
from app.mailer.domain.entries.entry import named_source
from app.mailer.domain.entries.rows import Table
from app.mailer.domain.errors import FileChanged, UnsafePath
from app.mailer.domain.files.confinement import Place, Root, confined_place
from app.mailer.ports import FileFault, FileTree


class ConfinedCampaignFiles:
    """`ports.CampaignFiles` that reads nothing else, `path-outside-roots` for what lies elsewhere.

    `base` is where relative paths begin, `own` the campaign's own file. Below a root no link is
    followed, whoever made it and whenever.
    """

    def __init__(
        self, base: str, own: str | None, *, roots: Sequence[str], uploads: UploadedFiles
    ) -> None:
        self._base = base
        self._roots = [Root(os.path.normpath(root), os.path.realpath(root)) for root in roots]
        self._uploads = uploads
        self._used: set[str] = set()
        if own is not None:
            with suppress(FileFault):
                self._place(own)

    @property
    def uploaders(self) -> AbstractSet[str]:
        return self._uploads.uploaders

    def text(self, path: str, encoding: str) -> str:
        return text_of(self.data(path), path, encoding)

    def data(self, path: str) -> bytes:
        return self._read(path, MAX_BYTES)

    def table(self, source: Source) -> Table:
        return read_source(named_source(source), lambda: self._read(source.path, MAX_TABLE_BYTES))

    def tree(self, base_path: str) -> FileTree:
        place = self._place(base_path)
        self._used.discard(place.name)
        if place.root is None:
            if not self._uploads.has_folder(place.path):
                raise _no_folder(base_path)
            return UploadTree(self._uploads, place)
        try:
            return DiskFileTree(place.root, place.parts)
        except (FileNotFoundError, NotADirectoryError):
            raise _no_folder(base_path) from None
        except UnsafePath:
            raise _link(base_path) from None
        except OSError as error:
            raise fault_of(error, base_path) from error

    def used_below(self, tree: FileTree) -> set[str]:
        beginning = tree.root.rstrip("/") + "/"
        return {name.removeprefix(beginning) for name in self._used if name.startswith(beginning)}

    def _place(self, path: str) -> Place:
        try:
            place = confined_place(path, self._base, self._roots)
        except UnsafePath as error:
            raise FileFault("path-outside-roots", error.message, error.hint) from None
        self._used.add(place.name)
        return place

    def _read(self, path: str, limit: int) -> bytes:
        place = self._place(path)
        try:
            if place.root is not None:
                return read_below(place.root, place.parts, limit)
            ref = self._uploads.find(place.path)
            if ref is None:
                raise FileNotFoundError
            if ref.size > limit:
                raise too_many_bytes(path, ref.size, limit)
            return self._uploads.read(ref, place.path)
        except UnsafePath:
            raise _link(path) from None
        except FileChanged as error:
            raise FileFault("missing-file", error.message, error.hint) from error
        except (FileNotFoundError, NotADirectoryError):
            raise _no_file(path) from None
        except OSError as error:
            raise fault_of(error, path) from error


def _no_file(path: str) -> FileFault:
    return FileFault(
        "missing-file",
        f"There is no file {path}.",
        "Upload it, or correct the path; capitals and small letters differ.",
    )


def _no_folder(path: str) -> FileFault:
    return FileFault(
        "missing-folder",
        f"There is no folder {path}.",
        "Upload the files, or correct the path; capitals and small letters differ.",
    )


def _link(path: str) -> FileFault:
    return FileFault(
        "unsafe-file",
        f"{path} is, or lies behind, a symlink or a special file.",
        "Put the real file there.",
    )
