from __future__ import annotations

import pytest

from app.mailer.domain.errors import UnsafePath
from app.mailer.domain.files.stored_path import stored_folder, stored_path

_LEAVING = ("", "/etc", "..", "../x", "a/..", "a/../b", "a//b", "./a", "a/.", "a/", "a\\b", "C:/x")
_STRANGE = ("a\nb", "a/b\0", "a/ b", "a ", "a/b\u202egpj.exe", "\ud800", "a\u2028b")
_LONG = ("x" * 241, "ü" * 121, "/".join(["a"] * 33), "/".join(["a" * 100] * 10))


@pytest.mark.parametrize(
    "path",
    [*_LEAVING, *_STRANGE, *_LONG],
)
def test_what_leads_astray_is_refused(path: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        stored_path(path)
    assert caught.value.message.isprintable()
    assert caught.value.message.encode()


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("a", "a"),
        ("2026/payslips/Mu\u0308ller.pdf", "2026/payslips/Müller.pdf"),
        (".hidden/..a/b..c", ".hidden/..a/b..c"),
        ("x" * 240, "x" * 240),
        ("/".join(["a"] * 32), "/".join(["a"] * 32)),
    ],
)
def test_what_is_kept(path: str, kept: str) -> None:
    assert stored_path(path) == kept


def test_folders() -> None:
    assert [stored_folder(text) for text in ("", "/", "a", "a/b/")] == ["", "", "a", "a/b"]
    with pytest.raises(UnsafePath):
        stored_folder("../a")
