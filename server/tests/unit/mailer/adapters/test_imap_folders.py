from __future__ import annotations

import pytest

from app.mailer.adapters.imap_folders import Folder, FolderAbsent, choose


def _folders(*names: str, sent: str = "", separator: str = "/") -> list[Folder]:
    return [
        Folder(name, separator, frozenset({b"\\Sent"} if name == sent else ())) for name in names
    ]


def test_settings_come_before_what_the_server_says() -> None:
    folders = _folders("INBOX", "Gesendet", "Archiv", "Kopien", sent="Gesendet")
    assert choose(folders, [], "Archiv", "Kopien") == "Archiv"
    assert choose(folders, [], "auto", "Kopien") == "Kopien"
    assert choose(folders, [], "auto", "auto") == "Gesendet"


def test_the_special_use_comes_before_usual_names() -> None:
    assert choose(_folders("Sent", "Ablage", sent="Ablage"), [], "auto", "auto") == "Ablage"


def test_a_special_use_that_cannot_be_opened_is_passed_over() -> None:
    closed = Folder("[Mail]", "/", frozenset({b"\\Noselect", b"\\Sent"}))
    assert choose([closed, *_folders("Sent")], [], "auto") == "Sent"


@pytest.mark.parametrize(
    ("names", "prefixes", "found"),
    [
        (["INBOX", "Sent Items"], [""], "Sent Items"),
        (["INBOX", "gesendete objekte"], [""], "gesendete objekte"),
        (["INBOX", "INBOX.Gesendet"], ["INBOX."], "INBOX.Gesendet"),
        (["INBOX", "INBOX/Sent"], [], "INBOX/Sent"),
        (["INBOX", "Mail/Sent"], ["Mail/"], "Mail/Sent"),
    ],
)
def test_usual_names(names: list[str], prefixes: list[str], found: str) -> None:
    separator = "." if "INBOX." in found else "/"
    assert choose(_folders(*names, separator=separator), prefixes, "auto", "auto") == found


def test_a_setting_is_found_behind_the_prefix_and_with_another_separator() -> None:
    folders = _folders("INBOX", "INBOX.Archiv.2026", separator=".")
    assert choose(folders, ["INBOX."], "Archiv/2026") == "INBOX.Archiv.2026"


def test_an_absent_folder_names_the_nearest_and_the_others() -> None:
    with pytest.raises(FolderAbsent, match=r"“Gesendt”.*“Gesendet”.*Folders: Gesendet, INBOX\."):
        choose(_folders("INBOX", "Gesendet"), [], "Gesendt")


def test_no_folder_at_all_says_what_to_set() -> None:
    with pytest.raises(FolderAbsent, match=r"server\.imap\.sent_folder.*F00.* and 10 more"):
        choose(_folders(*(f"F{n:02}" for n in range(30))), [], "auto", "auto")
