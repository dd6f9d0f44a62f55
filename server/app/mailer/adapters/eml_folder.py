"""A folder of built letters for review, which holds those of the last build and no older ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.mailer.adapters.whole_file import unfinished_of, whole_file
from app.mailer.domain.attachment_names import safe_filename
from app.mailer.domain.errors import MailerError

#: Names what was written here, so that the next build removes that and nothing else.
_LIST = ".multimailer-letters"


class EmlFolder:
    """Writes letters as `0001-<entry>.eml`; each file is there whole or not at all.

    Raises `MailerError` where the folder or a file in it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: list[str] = []
        with self._told():
            folder.mkdir(parents=True, exist_ok=True)
            # Each name is noted before its file is made, so a build that is killed leaves no
            # letter that the next one does not know.
            self._names = (folder / _LIST).open("a", encoding="utf-8")

    def write(self, number: int, entry_id: str, chunks: Iterable[bytes]) -> Path:
        """One letter, as SMTP would send it."""
        name = safe_filename(f"{number:04d}-{entry_id[:100]}.eml")
        path = self._folder / name
        with self._told():
            self._names.write(f"{name}\n")
            self._names.flush()
            with whole_file(path) as file:
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
            with whole_file(path) as file:
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
