"""What stands in a file's place, and what happens to it between the check and the reading."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.mailer.domain.issues import EntryState
from app.mailer.domain.letters.letter import Letter
from app.mailer.services.build import Built
from tests.integration.services.pipeline.desk import (
    Desk,
    attachments,
    codes,
    document,
    entry,
    parsed,
    raw,
    tiny_pdf,
)

SECRET = b"of somebody else, and nobody's business"


def campaign(**rule: Any) -> dict[str, Any]:
    parts = {"file_filter": "card.pdf", **rule}
    return document(
        attachments={"base_path": "files", "global": [parts]},
        validation_policy={"unclaimed_file": "ignore"},
    )


def only(desk: Desk, document_: dict[str, Any]) -> tuple[Letter, Built | None]:
    return desk.letters(document_)["e0"]


# ---------------------------------------------------------------- in its place


def _link_out(desk: Desk) -> None:
    (desk.folder / "files/card.pdf").symlink_to(desk.put("../outside.pdf", SECRET))


def _link_in(desk: Desk) -> None:
    (desk.folder / "files/card.pdf").symlink_to(desk.put("files/real.txt", SECRET))


def _dangling_link(desk: Desk) -> None:
    (desk.folder / "files/card.pdf").symlink_to("/nowhere")


def _pipe(desk: Desk) -> None:
    os.mkfifo(desk.folder / "files/card.pdf")


def _socket(desk: Desk) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(desk.folder / "files/card.pdf"))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [_link_out, _link_in, _dangling_link, _pipe, _socket])
def test_links_and_special_files_are_never_attached(
    desk: Desk, make: Callable[[Desk], None]
) -> None:
    (desk.folder / "files").mkdir()
    make(desk)
    letter, built = only(desk, campaign())
    assert codes(letter.issues) == ["unsafe-file"]
    assert '"card.pdf"' in letter.issues[0].message
    assert built is None


def test_one_among_good_ones_stops_the_letter(desk: Desk) -> None:
    desk.put("files/a.pdf")
    (desk.folder / "files/b.pdf").symlink_to(desk.put("outside.pdf", SECRET))
    letter, built = only(desk, campaign(file_filter="*.pdf", allow_multiple=True))
    assert codes(letter.issues) == ["unsafe-file"]
    assert built is None


def test_a_folder_is_no_file(desk: Desk) -> None:
    (desk.folder / "files/card.pdf").mkdir(parents=True)
    letter, _ = only(desk, campaign())
    assert codes(letter.issues) == ["missing-attachment"]


def test_a_linked_folder_is_not_entered(desk: Desk) -> None:
    desk.put("outside/card.pdf", SECRET)
    (desk.folder / "files").mkdir()
    (desk.folder / "files/cards").symlink_to(desk.folder / "outside")
    for rule in ({"base_dir": "cards"}, {"include_subdirs": True}):
        letter, built = only(desk, campaign(**rule))
        assert codes(letter.issues) == ["missing-attachment"]
        assert built is None


def test_a_hard_link_is_a_file_like_any_other(desk: Desk) -> None:
    (desk.folder / "files").mkdir()
    os.link(desk.put("real.pdf", b"real"), desk.folder / "files/card.pdf")
    letter, built = only(desk, campaign())
    assert letter.state is EntryState.READY
    assert built is not None
    assert attachments(parsed(built)) == {"card.pdf": b"real"}


# ---------------------------------------------------------------- between check and reading


def _rewritten(path: Path) -> None:
    path.write_bytes(SECRET)


def _replaced(path: Path) -> None:
    spare = path.with_suffix(".new")
    spare.write_bytes(SECRET[: path.stat().st_size])
    shutil.copystat(path, spare)
    spare.replace(path)


def _grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(SECRET)


def _cut(path: Path) -> None:
    os.truncate(path, 3)


def _link(path: Path) -> None:
    target = path.with_suffix(".txt")
    target.write_bytes(SECRET)
    path.unlink()
    path.symlink_to(target)


def _pipe_now(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _gone(path: Path) -> None:
    path.unlink()


def _folder_linked(path: Path) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    shutil.copytree(path.parent, elsewhere)
    (elsewhere / path.name).write_bytes(SECRET)
    shutil.rmtree(path.parent)
    path.parent.symlink_to(elsewhere)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("swap", "code"),
    [
        (_rewritten, "changed-file"),
        (_replaced, "changed-file"),
        (_grown, "changed-file"),
        (_cut, "changed-file"),
        (_gone, "changed-file"),
        (_link, "unsafe-file"),
        (_pipe_now, "unsafe-file"),
        (_folder_linked, "unsafe-file"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_swap_blocks_that_letter_and_no_other(
    desk: Desk, swap: Callable[[Path], None], code: str, zipped: bool
) -> None:
    path = desk.put("files/p0/card.pdf", b"x" * 30)
    desk.put("files/p1/card.pdf", b"y" * 30)
    made = campaign(base_dir="${who}")
    made["fields"] = [{"name": "who"}]
    made["attachments"]["zip"] = {"enabled": zipped}
    made["entries"] = {"inline": [entry(n, values={"who": f"p{n}"}) for n in (0, 1)]}
    prepared = desk.prepare(made)
    assert [letter.state for letter in prepared.letters] == [EntryState.READY] * 2
    swap(path)
    (letter, none), (other, built) = desk.build(prepared)
    assert none is None
    assert letter.state is EntryState.BLOCKED
    (issue,) = letter.issues
    assert (issue.code, issue.entry) == (code, "e0")
    assert "p0" in issue.message
    assert issue.hint
    assert other.state is EntryState.READY
    assert built is not None
    assert SECRET[:10] not in raw(built)


def test_a_shared_file_is_not_read_again_once_it_is_frozen(desk: Desk) -> None:
    """All letters of one build hold the same bytes of a file for everybody."""
    path = desk.put("files/card.pdf", b"first")
    made = campaign()
    made["entries"] = {"inline": [entry(0), entry(1)]}
    prepared = desk.prepare(made)
    found = []
    for letter, built in desk.building(prepared):
        path.write_bytes(b"second")  # somebody replaces it as the build goes on
        assert built is not None, letter.issues
        found.append(attachments(parsed(built)))
    assert found == [{"card.pdf": b"first"}] * 2


def test_a_swap_before_the_expected_text_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.put("files/card.pdf", tiny_pdf(["4711"]))
    files = desk.files()
    tree = files.tree("files")
    scan = tree.scan

    def scan_then_swap(progress: Any = None) -> Any:
        found = scan(progress)
        desk.put("files/card.pdf", SECRET)
        return found

    monkeypatch.setattr(tree, "scan", scan_then_swap)
    monkeypatch.setattr(files, "tree", lambda _path: tree)
    monkeypatch.setattr(desk, "files", lambda: files)
    prepared = desk.prepare(campaign(expect_text=["4711"]))
    assert codes(prepared.letters[0].issues) == ["changed-file"]


# ---------------------------------------------------------------- size and rights


@pytest.mark.parametrize("expect_text", [[], ["4711"]])
@pytest.mark.parametrize("size", [60_000_000, 3_000_000_000])
def test_a_file_that_is_too_large_is_never_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, size: int, expect_text: list[str]
) -> None:
    os.truncate(desk.put("files/card.pdf"), size)  # takes no room on the disk
    monkeypatch.setattr(
        "app.mailer.adapters.file_tree.DiskFileTree.read", lambda *_: pytest.fail("it was read")
    )
    letter, built = only(desk, campaign(expect_text=expect_text))
    assert codes(letter.issues) == ["too-large"]
    assert "26.2 MB are allowed" in letter.issues[0].message
    assert built is None


def test_an_archive_of_what_is_far_too_large_is_not_tried(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(desk.put("files/card.pdf"), 3_000_000_000)
    monkeypatch.setattr(
        "app.mailer.adapters.file_tree.DiskFileTree.read", lambda *_: pytest.fail("it was read")
    )
    made = campaign()
    made["attachments"]["zip"] = {"enabled": True}
    letter, _ = only(desk, made)
    assert codes(letter.issues) == ["too-large"]


@pytest.mark.parametrize(("method", "fits"), [("deflate", True), ("store", False)])
def test_an_archive_may_make_files_fit(desk: Desk, method: str, fits: bool) -> None:
    desk.put("files/card.pdf", b"x" * 60_000)
    made = campaign()
    made["attachments"]["zip"] = {"enabled": True, "method": method}
    made["delivery"]["max_message_bytes"] = 50_000
    letter, built = only(desk, made)
    assert (built is not None) == fits
    assert codes(letter.issues) == ([] if fits else ["too-large"])


def test_an_empty_file_asks_for_review_and_travels_empty(desk: Desk) -> None:
    desk.put("files/card.pdf", b"")
    letter, built = only(desk, campaign())
    assert letter.state is EntryState.NEEDS_REVIEW
    assert built is not None
    assert attachments(parsed(built)) == {"card.pdf": b""}


def test_a_file_that_cannot_be_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The superuser reads everything, so the refusal is played."""
    desk.put("files/card.pdf", b"x")
    real = os.open

    def refusing(path: Any, *arguments: Any, **options: Any) -> int:
        if path == "card.pdf":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    prepared = desk.prepare(campaign())
    monkeypatch.setattr(os, "open", refusing)
    ((letter, built),) = desk.build(prepared)
    assert codes(letter.issues) == ["unreadable-file"]
    assert 'The file "card.pdf" cannot be read: Permission denied' in letter.issues[0].message
    assert built is None


def test_what_the_scan_cannot_see_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put("files/card.pdf")
    (desk.folder / "files" / os.fsdecode(b"M\xfcller.pdf")).write_bytes(b"x")
    prepared = desk.prepare(campaign())
    (issue,) = prepared.issues
    assert (issue.code, issue.pointer) == ("unreadable-file", "/attachments/base_path")
    assert "M\N{REPLACEMENT CHARACTER}ller.pdf" in issue.message
    assert prepared.letters[0].state is EntryState.READY


# ---------------------------------------------------------------- values in paths


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"base_dir": "${v}"}, ".."),
        ({"base_dir": "cards/${v}"}, "../.."),
        ({"base_dir": "${v}"}, "/etc"),
        ({"base_dir": "${v}"}, "C:\\temp"),
        ({"file_filter": "${v}"}, "../outside.pdf"),
        ({"file_filter": "${v}/card.pdf"}, ".."),
        ({"file_filter": "${v}"}, "/etc/passwd"),
        ({"file_filter": "${v}.pdf"}, "a\nb"),
        ({"file_filter": "${v}"}, "a\\b.pdf"),
        ({"file_filter": "${v}"}, "cards/"),
    ],
)
def test_a_value_cannot_leave_the_base(desk: Desk, rule: dict[str, str], value: str) -> None:
    desk.put("outside.pdf", SECRET)
    desk.put("files/cards/card.pdf")
    made = campaign(**rule)
    made["fields"] = [{"name": "v"}]
    made["entries"] = {"inline": [entry(values={"v": value})]}
    letter, built = only(desk, made)
    (issue,) = letter.issues
    assert issue.code == "path-outside-base"
    assert issue.pointer == "/attachments/global/0"
    assert issue.message.isprintable()
    assert issue.hint
    assert built is None


@pytest.mark.parametrize("value", ["*", "?", "c*", "[ab]", "[!x]", "**"])
@pytest.mark.parametrize("rule", [{"file_filter": "${v}.pdf"}, {"base_dir": "${v}"}])
def test_a_star_in_a_value_is_a_star(desk: Desk, value: str, rule: dict[str, str]) -> None:
    desk.put("files/a.pdf")
    desk.put("files/c/card.pdf")
    made = campaign(**rule)
    made["fields"] = [{"name": "v"}]
    made["entries"] = {"inline": [entry(values={"v": value})]}
    letter, _ = only(desk, made)
    assert codes(letter.issues) == ["missing-attachment"]
    desk.put(f"files/{value}.pdf", b"starry")
    desk.put(f"files/{value}/card.pdf", b"starry")
    letter, built = only(desk, made)
    assert built is not None, letter.issues
    assert list(attachments(parsed(built)).values()) == [b"starry"]


def test_a_secret_in_a_path_shows_in_no_issue(desk: Desk) -> None:
    desk.put("files/hunter2-a.pdf")
    desk.put("files/hunter2-b.pdf")
    for value, rule in (
        ("hunter2", {"file_filter": "${pin}-*.pdf"}),
        ("hunter2", {"file_filter": "${pin}-c.pdf"}),
        ("../hunter2", {"base_dir": "${pin}"}),
        ("hunter2", {"base_dir": "${pin}"}),
    ):
        made = campaign(**rule)
        made["fields"] = [{"name": "pin", "type": "secret"}]
        made["entries"] = {"inline": [entry(values={"pin": value})]}
        letter, _ = only(desk, made)
        assert letter.issues
        assert "hunter2" not in repr([issue.as_dict() for issue in letter.issues])


@pytest.mark.parametrize("swap", [_rewritten, _gone, _link, _folder_linked])
def test_nor_does_one_whose_file_was_swapped(desk: Desk, swap: Callable[[Path], None]) -> None:
    path = desk.put("files/hunter2/hunter2.pdf", b"x" * 30)
    made = campaign(base_dir="${pin}", file_filter="${pin}.pdf")
    made["fields"] = [{"name": "pin", "type": "secret"}]
    made["entries"] = {"inline": [entry(values={"pin": "hunter2"})]}
    prepared = desk.prepare(made)
    swap(path)
    ((letter, built),) = desk.build(prepared)
    assert built is None
    assert letter.issues
    assert "hunter2" not in repr([issue.as_dict() for issue in letter.issues])


# ---------------------------------------------------------------- templates and images


@pytest.mark.parametrize("part", ["text", "html", "image"])
@pytest.mark.parametrize("make", ["link", "pipe", "folder"])
@pytest.mark.timeout(20)
def test_a_template_or_image_is_a_regular_file(desk: Desk, part: str, make: str) -> None:
    path = desk.folder / "part"
    if make == "link":
        path.symlink_to(desk.put("real", SECRET))
    elif make == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    template: dict[str, Any] = {
        "subject": "x",
        "text": "x",
        "html": '<img src="cid:logo">' if part == "image" else "x",
    }
    if part == "image":
        template["inline_images"] = [{"cid": "logo", "path": "part"}]
        pointer = "/template/inline_images/0/path"
    else:
        template[part] = {"path": "part"}
        pointer = f"/template/{part}/path"
    prepared = desk.prepare(document(template=template))
    (issue,) = prepared.issues
    assert (issue.code, issue.pointer) == ("unsafe-file", pointer)
    assert "part" in issue.message
    assert prepared.blocked
