from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from app.mailer.adapters.file_tree import DiskFileTree
from app.mailer.domain.errors import FileChanged, UnsafePath
from app.mailer.ports import FileStat, FileTree


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "a.pdf").write_bytes(b"aaa")
    (folder / "sub" / "b.pdf").write_bytes(b"bb")
    (folder / "sub" / "deep" / "c.pdf").write_bytes(b"")
    return folder


def one(base: Path, path: str) -> FileStat:
    return next(file for file in DiskFileTree(base).scan() if file.path == path)


def test_one_scan_sees_every_file(base: Path) -> None:
    tree: FileTree = DiskFileTree(base)
    files = tree.scan()
    assert [(file.path, file.size, file.regular) for file in files] == [
        ("a.pdf", 3, True),
        ("sub/b.pdf", 2, True),
        ("sub/deep/c.pdf", 0, True),
    ]
    assert files[0].mtime_ns == (base / "a.pdf").stat().st_mtime_ns
    assert sorted(tree.folders) == ["empty", "sub", "sub/deep"]
    assert tree.unreadable == []
    assert [tree.read(file) for file in files] == [b"aaa", b"bb", b""]


def test_a_missing_base_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DiskFileTree(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        DiskFileTree(tmp_path / "file")


def test_the_base_itself_may_be_a_link(base: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(base)
    tree = DiskFileTree(tmp_path / "link")
    assert tree.root == str(base.resolve())
    assert tree.read(tree.scan()[0]) == b"aaa"


def test_links_and_special_files_are_seen_but_neither_entered_nor_read(
    base: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.pdf").write_bytes(b"secret")
    (base / "link.pdf").symlink_to(outside / "secret.pdf")
    (base / "inner.pdf").symlink_to("a.pdf")
    (base / "dangling.pdf").symlink_to("nowhere")
    (base / "folder.pdf").symlink_to(outside)
    os.mkfifo(base / "pipe.pdf")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(base / "s.pdf"))
        tree = DiskFileTree(base)
        special = [file for file in tree.scan() if not file.regular]
        assert [file.path for file in special] == [
            "dangling.pdf",
            "folder.pdf",
            "inner.pdf",
            "link.pdf",
            "pipe.pdf",
            "s.pdf",
        ]
        for file in special:
            with pytest.raises(UnsafePath, match=file.path):
                tree.read(file)


def test_hard_links_are_files(base: Path) -> None:
    (base / "hard.pdf").hardlink_to(base / "a.pdf")
    assert DiskFileTree(base).read(one(base, "hard.pdf")) == b"aaa"


def test_a_file_swapped_for_a_link_is_not_read(base: Path, tmp_path: Path) -> None:
    file = one(base, "a.pdf")
    (tmp_path / "secret").write_bytes(b"sec")
    (base / "a.pdf").unlink()
    (base / "a.pdf").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafePath):
        DiskFileTree(base).read(file)


def test_a_file_swapped_for_a_pipe_is_not_waited_for(base: Path) -> None:
    file = one(base, "a.pdf")
    (base / "a.pdf").unlink()
    os.mkfifo(base / "a.pdf")
    with pytest.raises(UnsafePath):
        DiskFileTree(base).read(file)


def test_a_folder_swapped_for_a_link_is_not_entered(base: Path, tmp_path: Path) -> None:
    file = one(base, "sub/b.pdf")
    (base / "sub").rename(tmp_path / "moved")
    (base / "sub").symlink_to(tmp_path / "moved")
    with pytest.raises(UnsafePath):
        DiskFileTree(base).read(file)


@pytest.mark.parametrize("new", [b"bbb", b"longer", b"s", b""])
def test_a_file_replaced_or_rewritten_is_told(base: Path, tmp_path: Path, new: bytes) -> None:
    file = one(base, "a.pdf")
    (tmp_path / "new").write_bytes(new)
    (tmp_path / "new").replace(base / "a.pdf")
    with pytest.raises(FileChanged, match=r"a\.pdf"):
        DiskFileTree(base).read(file)


def test_a_file_that_is_gone_is_told(base: Path) -> None:
    file = one(base, "a.pdf")
    (base / "a.pdf").unlink()
    with pytest.raises(FileChanged):
        DiskFileTree(base).read(file)


def test_a_file_written_to_while_it_is_read_is_told(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = one(base, "a.pdf")
    real = os.fstat
    calls = []

    def fstat(descriptor: int) -> os.stat_result:
        if calls:
            # The same size and the same time stamps as before: only ctime can tell.
            (base / "a.pdf").write_bytes(b"xxx")
            os.utime(base / "a.pdf", ns=(file.mtime_ns, file.mtime_ns))
        calls.append(descriptor)
        return real(descriptor)

    monkeypatch.setattr("app.mailer.adapters.file_tree.os.fstat", fstat)
    with pytest.raises(FileChanged, match="while it was read"):
        DiskFileTree(base).read(file)


@pytest.mark.parametrize("path", ["../base/a.pdf", "/etc/passwd", "sub/../a.pdf", "", "sub//b.pdf"])
def test_a_made_up_path_does_not_leave_the_base(base: Path, path: str) -> None:
    with pytest.raises(UnsafePath):
        DiskFileTree(base).read(FileStat(path, 3, 1, True, (1, 1, 3, 1)))


def test_a_name_that_is_not_utf8_is_reported(base: Path) -> None:
    (base / os.fsdecode(b"sub/M\xfcller.pdf")).touch()
    tree = DiskFileTree(base)
    assert len(tree.scan()) == 3
    assert tree.unreadable == ["sub/M\N{REPLACEMENT CHARACTER}ller.pdf"]


def test_a_closed_folder_is_reported(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def closed(path, *arguments, **options):  # root may enter every folder, so it is acted out
        if path == "deep":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr("app.mailer.adapters.file_tree.os.open", closed)
    tree = DiskFileTree(base)
    assert [file.path for file in tree.scan()] == ["a.pdf", "sub/b.pdf"]
    assert tree.unreadable == ["sub/deep"]


def test_progress_is_told(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.mailer.adapters.file_tree._STEP", 2)
    heard: list[tuple[str, int, int | None]] = []
    DiskFileTree(base).scan(lambda *what: heard.append(what))
    assert heard == [("scan", 2, None), ("scan", 3, 3)]


def test_no_descriptor_is_left_open(base: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    tree = DiskFileTree(base)
    for file in tree.scan():
        tree.read(file)
    with pytest.raises(FileChanged):
        tree.read(FileStat("sub/deep/none.pdf", 1, 1, True, (1, 1, 1, 1)))
    with pytest.raises(UnsafePath):
        tree.read(FileStat("a.pdf/x.pdf", 1, 1, True, (1, 1, 1, 1)))
    assert len(os.listdir("/proc/self/fd")) == before
