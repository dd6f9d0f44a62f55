"""Folders of letters, and files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.mailer.adapters.eml_folder import EmlFolder
from app.mailer.adapters.whole_file import whole_file
from app.mailer.domain.errors import MailerError

_LIST = ".multimailer-letters"


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _build(folder: Path, *entries: str) -> EmlFolder:
    letters = EmlFolder(folder)
    for number, entry in enumerate(entries, start=1):
        letters.write(number, entry, [b"letter of ", entry.encode()])
    return letters


def test_the_letters_are_named_by_number_and_entry(tmp_path: Path) -> None:
    assert _build(tmp_path / "a/b", "ada", "bob").finish() == 2
    assert _names(tmp_path / "a/b") == {"0001-ada.eml", "0002-bob.eml", _LIST}
    assert (tmp_path / "a/b/0002-bob.eml").read_bytes() == b"letter of bob"


def test_an_older_build_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "0009-mine.eml").write_text("mine")
    _build(tmp_path, "ada", "bob", "cyd").finish()
    _build(tmp_path, "ada", "dan").finish()
    assert _names(tmp_path) == {
        "notes.txt",
        "0009-mine.eml",
        "0001-ada.eml",
        "0002-dan.eml",
        _LIST,
    }


def test_a_build_that_broke_off_leaves_nothing_for_ever(tmp_path: Path) -> None:
    _build(tmp_path, "ada", "bob")  # killed before it could finish
    _build(tmp_path, "eve").finish()
    assert _names(tmp_path) == {"0001-eve.eml", _LIST}


def test_the_list_of_letters_cannot_remove_what_is_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "precious.eml").write_text("keep")
    folder = tmp_path / "letters"
    _build(folder, "ada").finish()
    (folder / _LIST).write_text("../precious.eml\n/etc/hostname\n.\n\n0001-ada.eml\n")
    _build(folder, "bob").finish()
    assert (tmp_path / "precious.eml").exists()
    assert _names(folder) == {"0001-bob.eml", _LIST}


@pytest.mark.parametrize("entry", ["../../x", "a/b", "CON", "x" * 500, "..", "é\n", "\x00"])
def test_any_entry_id_gives_a_file_in_the_folder(tmp_path: Path, entry: str) -> None:
    letters = EmlFolder(tmp_path / "letters")
    path = letters.write(1, entry, [b"x"])
    assert path.parent == tmp_path / "letters"
    assert path.read_bytes() == b"x"
    assert letters.finish() == 1
    assert path.exists()


def test_a_letter_that_fails_while_it_is_written_is_not_there(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError

    letters = EmlFolder(tmp_path)
    with pytest.raises(RuntimeError):
        letters.write(1, "ada", broken())
    assert _names(tmp_path) == {_LIST}


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MailerError, match=r"/file cannot be used: File exists"):
        EmlFolder(tmp_path / "file")
    (tmp_path / "letters/0001-ada.eml").mkdir(parents=True)
    with pytest.raises(MailerError, match="Is a directory"):
        _build(tmp_path / "letters", "ada")


def test_letters_are_for_their_owner_alone(tmp_path: Path) -> None:
    _build(tmp_path / "letters", "ada").finish()
    for path in (tmp_path / "letters", *(tmp_path / "letters").iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("name", ["0001-ada.eml", ".0001-ada.eml.part"])
def test_a_link_in_the_way_of_a_letter_leads_nowhere(tmp_path: Path, name: str) -> None:
    """In a folder that others may write to, they could have any file of ours overwritten."""
    (tmp_path / "precious").write_text("keep")
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "precious")
    _build(folder, "ada").finish()
    assert (tmp_path / "precious").read_text() == "keep"
    assert not (folder / "0001-ada.eml").is_symlink()


def test_a_link_in_the_place_of_the_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / _LIST).symlink_to(tmp_path / "precious")
    with pytest.raises(MailerError, match="cannot be used"):
        EmlFolder(folder)
    assert (tmp_path / "precious").read_text() == "keep"


# -- whole files


def test_a_new_file_is_for_its_owner_alone_and_an_older_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "inner/table.csv"
    with whole_file(path) as file:
        file.write(b"x")
        (unfinished,) = path.parent.iterdir()
        assert unfinished.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    with whole_file(path) as file:
        file.write(b"y")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_in_the_way_of_the_unfinished_file_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    (tmp_path / ".table.csv.part").symlink_to(tmp_path / "precious")
    with whole_file(tmp_path / "table.csv") as file:
        file.write(b"x")
    assert (tmp_path / "precious").read_text() == "keep"
    assert (tmp_path / "table.csv").read_bytes() == b"x"


def test_the_older_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "inner/table.csv"
    with whole_file(path) as file:
        file.write(b"old")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"ne", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert _names(path.parent) == {"table.csv"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "real/table.csv")
    with whole_file(tmp_path / "link.csv") as file:
        file.write(b"x")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real/table.csv").read_bytes() == b"x"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with whole_file(pipe) as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()
