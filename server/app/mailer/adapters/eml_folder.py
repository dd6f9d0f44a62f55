"""A folder of built letters for review, which holds those of the last build and no older ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from app.mailer.domain.attachment_names import safe_filename
from app.mailer.domain.errors import MailerError

#: Names what the last build wrote, so that the next one removes that and nothing else.
_LIST = ".multimailer-letters"


class EmlFolder:
    """Writes letters as `0001-<entry>.eml`; each file is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._older = self._listed()
        except OSError as error:
            raise MailerError(
                f"The folder {folder} cannot be used: {error.strerror}.",
                "Name a folder that this user may write to.",
            ) from error
        self._written: list[str] = []

    def write(self, number: int, entry_id: str, chunks: Iterable[bytes]) -> Path:
        """One letter, as SMTP would send it."""
        name = safe_filename(f"{number:04d}-{entry_id[:100]}.eml")
        path = self._folder / name
        unfinished = path.with_name(f".{name}.part")
        with unfinished.open("wb") as file:
            file.writelines(chunks)
        unfinished.replace(path)
        self._written.append(name)
        return path

    def finish(self) -> int:
        """Remove the letters of an older build that this one has not; how many there are now."""
        for name in self._older.difference(self._written):
            (self._folder / name).unlink(missing_ok=True)
        (self._folder / _LIST).write_text("\n".join(self._written), "utf-8")
        return len(self._written)

    def _listed(self) -> set[str]:
        try:
            names = (self._folder / _LIST).read_text("utf-8").split("\n")
        except FileNotFoundError:
            return set()
        return {name for name in names if name.endswith(".eml") and "/" not in name}
