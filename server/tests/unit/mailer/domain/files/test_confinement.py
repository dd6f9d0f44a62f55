from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.errors import UnsafePath
from app.mailer.domain.files.confinement import Place, Root, confined_place

ROOTS = [Root("/srv/link", "/mnt/real"), Root("/data", "/data")]


@pytest.mark.parametrize(
    ("path", "base", "place"),
    [
        ("letter.txt", "uploads:", Place(None, ("letter.txt",))),
        ("a/./b//c.txt", "uploads:", Place(None, ("a", "b", "c.txt"))),
        ("a/../b.txt", "uploads:spring", Place(None, ("spring", "b.txt"))),
        ("../b.txt", "uploads:spring", Place(None, ("b.txt",))),
        (".", "uploads:", Place(None, ())),
        ("uploads:", "/data", Place(None, ())),
        ("uploads:/a/b", "/data", Place(None, ("a", "b"))),
        ("Mu\u0308ller.pdf", "uploads:", Place(None, ("Müller.pdf",))),
        ("letter.txt", "/data/spring", Place("/data", ("spring", "letter.txt"))),
        ("/data", "uploads:", Place("/data", ())),
        ("/srv/link/a", "uploads:", Place("/mnt/real", ("a",))),
        ("/mnt/real/a", "uploads:", Place("/mnt/real", ("a",))),
        ("../a", "/data/spring", Place("/data", ("a",))),
    ],
)
def test_within(path: str, base: str, place: Place) -> None:
    assert confined_place(path, base, ROOTS) == place


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("../x", "uploads:"),
        ("uploads:../x", "uploads:spring"),
        ("uploads://etc/passwd", "uploads:"),
        ("/etc/passwd", "uploads:"),
        ("/database/x", "uploads:"),
        ("/data/../etc/passwd", "uploads:"),
        ("//data/x", "uploads:"),
        ("../../x", "/data/spring"),
        ("x", "/elsewhere"),
        ("x", "."),
        ("a\0b", "uploads:"),
        ("\ud800", "uploads:"),
    ],
)
def test_outside(path: str, base: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        confined_place(path, base, ROOTS)
    assert caught.value.message.encode()
    assert "\0" not in caught.value.message


@given(
    st.lists(st.sampled_from(["..", ".", "", "a", "data", "etc"]), max_size=8).map("/".join),
    st.sampled_from(["uploads:", "uploads:a", "/data", "/data/a", "/etc"]),
)
def test_no_path_leads_out(path: str, base: str) -> None:
    try:
        place = confined_place(path, base, ROOTS)
    except UnsafePath:
        return
    assert ".." not in place.parts
    assert "" not in place.parts
    if place.root is not None:
        assert posixpath.join(place.root, *place.parts).startswith(("/data", "/mnt/real"))


def test_names_tell_places_apart() -> None:
    places = [Place(None, ()), Place(None, ("a",)), Place("/data", ("a",)), Place("/", ("a",))]
    assert [place.name for place in places] == ["uploads:", "uploads:/a", "/data/a", "/a"]
