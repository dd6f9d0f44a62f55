from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.adapters.smtp_text import PIECE, UnsafeText, checked, refuse_unsafe, stuffed
from app.mailer.ports import Envelope, Stage, TransportFailure

_LINES = st.lists(
    st.one_of(st.sampled_from([b"", b".", b"..", b"...x", b"a.b", b".a"]), st.just(b"text"))
)
_CUTS = st.lists(st.integers(0, 200))


def _cut(text: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


@given(_LINES, _CUTS)
def test_stuffing_is_undone_by_the_receiver_however_the_text_is_cut(
    lines: list[bytes], cuts: list[int]
) -> None:
    text = b"".join(line + b"\r\n" for line in lines) or b"\r\n"
    sent = b"".join(stuffed(checked(_cut(text, cuts), len(text))))
    assert b"\r\n.\r\n" not in b"\r\n" + sent
    assert re.sub(rb"(?m)^\.", b"", sent) == text


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"."])), _CUTS)
def test_only_whole_line_ends_pass_however_the_text_is_cut(
    parts: list[bytes], cuts: list[int]
) -> None:
    text = b"".join(parts)
    sound = text.endswith(b"\r\n") and not re.search(rb"\r(?!\n)|(?<!\r)\n", text)
    try:
        passed = b"".join(checked(_cut(text, cuts), len(text)))
    except UnsafeText:
        assert not sound
    else:
        assert sound
        assert passed == text


@pytest.mark.parametrize("size", [4, 6])
def test_another_size_than_announced_is_refused(size: int) -> None:
    with pytest.raises(UnsafeText, match="5 octets"):
        list(checked([b"abc\r\n"], size))


def test_small_chunks_are_gathered() -> None:
    chunks = [b"x" * 70 + b"\r\n"] * 5000
    pieces = list(stuffed(chunks))
    assert b"".join(pieces) == b"".join(chunks)
    assert all(len(piece) >= PIECE for piece in pieces[:-1])


@pytest.mark.parametrize(
    "address",
    ["", "a@x\r\nRCPT TO:<b@x>", "a@x> SIZE=1", "a b@x", "<a@x", "a@x\x00", "a@x\u2028", "a\x85@x"],
)
@pytest.mark.parametrize("utf8", [False, True])
def test_an_address_that_could_inject_is_refused(address: str, utf8: bool) -> None:
    for envelope in (Envelope(address, ("b@x",), utf8), Envelope("b@x", ("c@x", address), utf8)):
        with pytest.raises(TransportFailure) as caught:
            refuse_unsafe(envelope)
        assert (caught.value.stage, caught.value.permanent_here) == (Stage.MAIL, True)
        assert "\n" not in caught.value.message


def test_letters_outside_ascii_need_smtputf8() -> None:
    refuse_unsafe(Envelope("jürgen@example.org", ("a@x",), needs_smtputf8=True))
    with pytest.raises(TransportFailure, match="SMTPUTF8"):
        refuse_unsafe(Envelope("jürgen@example.org", ("a@x",)))


def test_nobody_to_send_to_is_refused() -> None:
    with pytest.raises(TransportFailure, match="no recipient"):
        refuse_unsafe(Envelope("a@x", ()))
