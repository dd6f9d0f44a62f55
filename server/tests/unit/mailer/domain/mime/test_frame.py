from __future__ import annotations

import base64
import hashlib
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.mime.blob import BlobRef
from app.mailer.domain.mime.frame import Base64Cache, Frame

HEAD = b"From: a@b\r\nTo: c@d\r\nSubject: x\r\n\r\n"
BCC = b"Bcc: e@f\r\n"
BCC_AT = HEAD.index(b"Subject")


class Blobs:
    """Bytes by their reference; counts the reads."""

    def __init__(self) -> None:
        self.data: dict[BlobRef, bytes] = {}
        self.reads = 0

    def add(self, data: bytes) -> BlobRef:
        ref = BlobRef(hashlib.sha256(data).hexdigest(), len(data))
        self.data[ref] = data
        return ref

    def __call__(self, ref: BlobRef) -> bytes:
        self.reads += 1
        return self.data[ref]


refs = st.builds(BlobRef, st.binary(min_size=32, max_size=32).map(bytes.hex), st.integers(0, 2**40))
frames = st.builds(
    lambda first, rest, bcc, utf8: Frame((first, *rest), bcc, len(first) // 2, utf8),
    st.binary(max_size=50),
    st.lists(st.binary(max_size=50) | refs, max_size=6),
    st.binary(max_size=30),
    st.booleans(),
)


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_chunks_size_and_digest_tell_of_the_same_bytes(contents: list[bytes]) -> None:
    blobs = Blobs()
    segments: list[bytes | BlobRef] = [HEAD]
    expected = HEAD
    for content in contents:
        segments += [blobs.add(content), b"\r\n"]
        lines = base64.encodebytes(content).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
        expected += lines + b"\r\n"
    frame = Frame(tuple(segments), b"", BCC_AT)

    message = b"".join(frame.chunks(blobs))
    assert message == expected
    assert frame.size == len(message)
    assert frame.digest(blobs) == hashlib.sha256(message).hexdigest()
    assert frame.blobs == tuple(ref for ref in segments if isinstance(ref, BlobRef))


def test_size_reads_no_blob() -> None:
    frame = Frame((HEAD, BlobRef("0" * 64, 57 * 10**6), b"\r\n"), b"", 0)
    assert frame.size == len(HEAD) + 78 * 10**6 - 2 + 2


def test_only_the_copy_for_sent_has_the_bcc() -> None:
    blobs = Blobs()
    frame = Frame((HEAD, blobs.add(b"x"), b"\r\n"), BCC, BCC_AT)
    sent = b"".join(frame.sent_copy_chunks(blobs))
    assert BCC not in b"".join(frame.chunks(blobs))
    assert sent == b"From: a@b\r\nTo: c@d\r\nBcc: e@f\r\nSubject: x\r\n\r\neA==\r\n"


@given(frames)
def test_a_frame_comes_back_from_a_database(frame: Frame) -> None:
    assert Frame.decode(frame.encode()) == frame


def test_the_encoding_is_fixed() -> None:
    frame = Frame((b"ab", BlobRef("11" * 32, 3)), b"c", 2, True)
    assert frame.encode().hex() == (
        "01" "01" "00000002" "00000001" "00000002" "63"
        "00" "0000000000000002" "6162"
        "01" "0000000000000003" + "11" * 32 + "b0377cad"
    )  # fmt: skip


def test_any_damage_is_noticed() -> None:
    encoded = Frame((HEAD, BlobRef("ab" * 32, 5), b"--x\r\n"), BCC, BCC_AT, True).encode()
    for at in range(len(encoded)):
        for mask in (0x01, 0x80, 0xFF):
            damaged = bytearray(encoded)
            damaged[at] ^= mask
            with pytest.raises(ValueError, match="stored message"):
                Frame.decode(bytes(damaged))
        with pytest.raises(ValueError, match="stored message"):
            Frame.decode(encoded[:at])
    with pytest.raises(ValueError, match="stored message"):
        Frame.decode(encoded + b"\x00")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("0100000000000000000000000000", "do not fit"),  # no segment
        ("01020000000000000000000000010000000000000000" "00", "flags"),
        ("0100000000090000000000000001" "00" "0000000000000001" "61", "do not fit"),  # bcc_at
        ("0100000000000000000000000001" "01" "0000000000000001" + "00" * 32, "do not fit"),
        ("0100000000000000000000000001" "02" "0000000000000001" "61", "unknown segment"),
        ("0100000000000000000000000001" "00" "0000000000000009" "61", "cut short"),
        ("0100000000000000000000000002" "00" "0000000000000001" "61", "cut short"),
        ("0100000000000000000000000001" "00" "0000000000000001" "6161", "do not fit"),
        ("0900000000000000000000000001" "00" "0000000000000001" "61", "version 9"),
    ],
)  # fmt: skip
def test_what_no_frame_encodes_to_is_refused(body: str, reason: str) -> None:
    data = bytes.fromhex(body)
    with pytest.raises(ValueError, match=re.escape(reason)):
        Frame.decode(data + zlib.crc32(data).to_bytes(4))


def test_a_cache_reads_a_shared_blob_once() -> None:
    blobs, cache = Blobs(), Base64Cache()
    frame = Frame((HEAD, blobs.add(b"shared" * 100), b"\r\n"), b"", 0)
    plain = list(frame.chunks(blobs))
    for _ in range(3):
        assert list(frame.chunks(blobs, cache)) == plain
    assert frame.digest(blobs, cache) == frame.digest(blobs)
    assert blobs.reads == 1 + 1 + 1  # without, once into the cache, without


def test_a_cache_drops_what_was_not_used_for_longest() -> None:
    blobs, cache = Blobs(), Base64Cache(max_bytes=8)
    a, b, c = blobs.add(b"a"), blobs.add(b"b"), blobs.add(b"c")
    for ref in (a, b, a, c, a):
        cache.lines(ref, blobs)
    assert blobs.reads == 3
    cache.lines(b, blobs)
    assert blobs.reads == 4


def test_a_cache_does_not_keep_what_is_over_its_limit() -> None:
    blobs, cache = Blobs(), Base64Cache(max_bytes=8)
    small, large = blobs.add(b"s"), blobs.add(b"l" * 100)
    cache.lines(small, blobs)
    assert cache.lines(large, blobs) == cache.lines(large, blobs)
    assert blobs.reads == 3
    cache.lines(small, blobs)
    assert blobs.reads == 3
