"""What all blob stores do alike: verify bytes while they pass, and join the pieces of an upload."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from app.mailer.domain.errors import BlobDamaged, BlobMissing
from app.mailer.ports import BlobRef

#: Bytes read at once.
CHUNK = 1 << 20

_HASH = re.compile(r"[0-9a-f]{64}")
_PIECE = re.compile(r"(\d{20})-(\d{20})")


def checked_name(ref: BlobRef) -> str:
    """The hash, if it is one: it becomes part of a path. Raises `BlobMissing`."""
    if not _HASH.fullmatch(ref.sha256):
        raise BlobMissing(f'"{ref.sha256}" is not a SHA-256 in lower-case hex.')
    return ref.sha256


def checked_bytes(data: bytes, ref: BlobRef) -> bytes:
    """The bytes, if they are the ones that `ref` names; raises `BlobDamaged`."""
    if len(data) != ref.size or hashlib.sha256(data).hexdigest() != ref.sha256:
        raise damaged(ref)
    return data


def checked_chunks(chunks: Iterator[bytes], ref: BlobRef) -> Iterator[bytes]:
    """The chunks, the last one held back until all of them are known to be right.

    The first is read at once, so that a fault of the beginning is told before anything is used.
    """
    first = next(chunks, b"")

    def rest() -> Iterator[bytes]:
        digest, size, held = hashlib.sha256(first), len(first), first
        for chunk in chunks:
            yield held
            digest.update(chunk)
            size += len(chunk)
            held = chunk
        if size != ref.size or digest.hexdigest() != ref.sha256:
            raise damaged(ref)
        yield held

    return rest()


def damaged(ref: BlobRef) -> BlobDamaged:
    return BlobDamaged(
        f"The blob {ref.sha256} is damaged: its bytes are not the ones that were stored.",
        "Check the disk, then build the campaign again.",
    )


class Digest:
    """The name of a stream of bytes, found while it passes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0

    def passing(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._hash.update(chunk)
            self._size += len(chunk)
            yield chunk

    @property
    def ref(self) -> BlobRef:
        return BlobRef(self._hash.hexdigest(), self._size)


def piece_name(offset: int, turn: int) -> str:
    """The name of an upload's piece: names sort by offset, then by turn."""
    return f"{offset:020d}-{turn:020d}"


def joined_pieces(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The pieces that count, each with its offset: of several at one offset the last turn's.

    Whoever goes on with an upload takes a higher turn, and only the highest can move its offset.
    So a piece with a higher turn at the same offset has taken the place of all others there.
    """
    pieces = [(int(found[1]), name) for name in sorted(names) if (found := _PIECE.fullmatch(name))]
    for offset, same in groupby(pieces, key=lambda piece: piece[0]):
        yield list(same)[-1][1], offset


def overtaken_pieces(names: Iterable[str], offset: int, turn: int) -> Iterator[str]:
    """The pieces from `offset` on that turns before `turn` left."""
    for name in names:
        found = _PIECE.fullmatch(name)
        if found and int(found[1]) >= offset and int(found[2]) < turn:
            yield name
