"""A folder of built letters for review, which holds those of the last build and no older ones."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.mailer.adapters.private_folder import make_private
from app.mailer.adapters.whole_file import unfinished_of, whole_file
from app.mailer.domain.errors import MailerError
from app.mailer.domain.files.attachment_names import safe_filename

#: Names what was written here, so that the next build removes that and nothing else.
_LIST = ".multimailer-letters"
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class EmlFolder:
    """Writes letters as `0001-<entry>.eml`; each file is there whole or not at all.

    Raises `MailerError` where the folder or a file in it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: list[str] = []
        with self._told():
            make_private(folder)
            # Each name is noted before its file is made, so a build that is killed leaves no
            # letter that the next one does not know.
            # No link is followed: in a folder of others it would lead somewhere else.
            self._names = os.fdopen(
                os.open(folder / _LIST, _APPENDING, 0o600), "a", encoding="utf-8"
            )

    def write(self, number: int, entry_id: str, chunks: Iterable[bytes]) -> Path:
        """One letter, as SMTP would send it."""
        name = safe_filename(f"{number:04d}-{entry_id[:100]}.eml")
        path = self._folder / name
        with self._told():
            self._names.write(f"{name}\n")
            self._names.flush()
            with whole_file(path, follow=False) as file:
                file.writelines(chunks)
        self._written.append(name)
        return path

    def finish(self) -> int:
        """Remove the letters of older builds that this one has not; how many there are now."""
        with self._told():
            self._names.close()
            path = self._folder / _LIST
            for name in set(path.read_text("utf-8").split("\n")).difference(self._written):
                if name.endswith(".eml") and "/" not in name:
                    (self._folder / name).unlink(missing_ok=True)
                    unfinished_of(self._folder / name).unlink(missing_ok=True)
            with whole_file(path, follow=False) as file:
                file.writelines(f"{name}\n".encode() for name in self._written)
        return len(self._written)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MailerError(
                f"The folder {self._folder} cannot be used: {error.strerror}.",
                "Name a folder that this user may write to.",
            ) from error
