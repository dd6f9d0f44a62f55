"""Which of an account's folders is the Sent folder."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

#: Names that mail programs and providers give it, the likelier first.
USUAL_NAMES = (
    "Sent",
    "Sent Items",
    "Sent Messages",
    "Sent Mail",
    "Gesendet",
    "Gesendete Objekte",
    "Gesendete Elemente",
    "Gesendete Nachrichten",
    "Envoyés",
    "Éléments envoyés",
    "Messages envoyés",
    "Enviados",
    "Elementos enviados",
    "Inviata",
    "Posta inviata",
    "Verzonden",
    "Verzonden items",
    "Wysłane",
)
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Folder:
    """One line of LIST: the name decoded, the hierarchy separator (or ""), the attributes."""

    name: str
    separator: str
    flags: frozenset[bytes]

    @property
    def selectable(self) -> bool:
        return not {b"\\noselect", b"\\nonexistent"} & self._flags

    @property
    def is_sent(self) -> bool:
        return b"\\sent" in self._flags

    @property
    def _flags(self) -> frozenset[bytes]:
        return frozenset(flag.lower() for flag in self.flags)


class FolderAbsent(Exception):
    """No folder fits; the message names the nearest and those that there are."""


def choose(folders: Sequence[Folder], prefixes: Sequence[str], *settings: str) -> str:
    """The name of the Sent folder: the first setting that is not `auto`, else the server's own.

    `prefixes` are those of the personal namespaces (RFC 2342), such as `INBOX.`; a name is looked
    for with and without them. A setting may use `/` whatever the server's separator is.
    """
    usable = [folder for folder in folders if folder.selectable]
    for setting in settings:
        if setting.strip().casefold() not in ("", "auto"):
            return _configured(usable, prefixes, setting.strip())
    for folder in usable:
        if folder.is_sent:
            return folder.name
    by_name = {folder.name.casefold(): folder.name for folder in usable}
    starts = ["", *prefixes, *(f"INBOX{s}" for s in {f.separator for f in usable if f.separator})]
    for name in USUAL_NAMES:
        for start in starts:
            if found := by_name.get((start + name).casefold()):
                return found
    raise FolderAbsent(
        "no folder is marked as Sent or has one of the usual names. Name it in "
        f"server.imap.sent_folder. {_listing(usable)}"
    )


def _configured(folders: Sequence[Folder], prefixes: Sequence[str], wanted: str) -> str:
    names = {folder.name for folder in folders}
    spellings = [wanted]
    spellings += [wanted.replace("/", f.separator) for f in folders[:1] if f.separator]
    for start in ("", *prefixes):
        for spelling in spellings:
            if start + spelling in names:
                return start + spelling
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    hint = f" Is “{near[0]}” meant?" if near else ""
    raise FolderAbsent(f"there is no folder “{wanted}”.{hint} {_listing(folders)}")


def _listing(folders: Sequence[Folder]) -> str:
    names = sorted(folder.name for folder in folders)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"Folders: {', '.join(names[:_SHOWN]) or 'none'}{more}."
