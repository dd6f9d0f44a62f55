"""A ZIP file as a stream, each byte outside of the compressed data decided by its members.

So whoever verifies one can say of every byte what it has to be: nothing hides between the members.
Form: PKWARE APPNOTE 6.3.3; deflate, UTF-8 names, sizes behind the data (4.3.9), ZIP64 throughout
(4.5.3), no comments, and one date for all, since when it was made stands in the manifest.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from struct import pack

_NEEDED = 45  # ZIP64
_MADE_BY = (3 << 8) | _NEEDED  # on Unix, for the permissions
_FLAGS = 0x0808  # sizes behind the data, names in UTF-8
_DEFLATE = 8
_TIME, _DATE = 0, 0x21  # 1980-01-01, the earliest there is
_PERMISSIONS = 0o100600 << 16
_SHORT, _LONG = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Stored:
    """A member as it lies in the file: sizes in bytes, `offset` of its header from the start."""

    name: str
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self.data + self.packed + len(descriptor(self))

    @property
    def data(self) -> int:
        return self.offset + len(local_header(self.name))


@dataclass(frozen=True, slots=True)
class Member:
    """What a member holds."""

    name: str
    size: int
    sha256: str


class ZipStream:
    """Makes the file piece by piece; one member at a time is under way."""

    def __init__(self) -> None:
        self._stored: list[Stored] = []
        self._at = 0

    def add(self, name: str, chunks: Iterable[bytes]) -> Generator[bytes, None, Member]:
        """The bytes of a member; the generator's value says what it holds."""
        offset, size, crc, packed = self._at, 0, 0, 0
        digest = hashlib.sha256()
        squeeze = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        yield self._passed(local_header(name))
        for chunk in chunks:
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
            if piece := squeeze.compress(chunk):
                packed += len(piece)
                yield self._passed(piece)
        piece = squeeze.flush()
        packed += len(piece)
        stored = Stored(name, crc, packed, size, offset)
        self._stored.append(stored)
        yield self._passed(piece + descriptor(stored))
        return Member(name, size, digest.hexdigest())

    def end(self) -> Iterator[bytes]:
        """The list of members, which ends the file."""
        yield from tail(self._stored)

    def _passed(self, piece: bytes) -> bytes:
        self._at += len(piece)
        return piece


def local_header(name: str) -> bytes:
    """What stands in front of a member's data."""
    raw = name.encode()
    sizes = pack("<HHQQ", 1, 16, 0, 0)
    return (
        pack("<4s5H3L2H", b"PK\3\4", _NEEDED, _FLAGS, _DEFLATE, _TIME, _DATE, 0, _LONG, _LONG,
             len(raw), len(sizes))
        + raw
        + sizes
    )  # fmt: skip


def descriptor(member: Stored) -> bytes:
    """What stands behind a member's data."""
    return pack("<4sLQQ", b"PK\7\x08", member.crc, member.packed, member.size)


def tail(members: Sequence[Stored]) -> Iterator[bytes]:
    """What stands behind the last member."""
    start = members[-1].end if members else 0
    length = 0
    for member in members:
        line = _central(member)
        length += len(line)
        yield line
    count = len(members)
    yield pack("<4sQ2H2L4Q", b"PK\6\6", 44, _MADE_BY, _NEEDED, 0, 0, count, count, length, start)
    yield pack("<4sLQL", b"PK\6\7", 0, start + length, 1)
    short = min(count, _SHORT)
    yield pack("<4s4H2LH", b"PK\5\6", 0, 0, short, short, min(length, _LONG), min(start, _LONG), 0)


def _central(member: Stored) -> bytes:
    raw = member.name.encode()
    sizes = pack("<HHQQQ", 1, 24, member.size, member.packed, member.offset)
    return (
        pack("<4s6H3L5H2L", b"PK\1\2", _MADE_BY, _NEEDED, _FLAGS, _DEFLATE, _TIME, _DATE,
             member.crc, _LONG, _LONG, len(raw), len(sizes), 0, 0, 0, _PERMISSIONS, _LONG)
        + raw
        + sizes
    )  # fmt: skip
