"""Frozen messages: the bytes that were approved, with attachments named instead of held.

A frame is what a job stores. 100,000 letters that share a 5 MB file keep 100,000 small frames and
one blob; the bytes come out the same whenever they are asked for.
"""

from __future__ import annotations

import hashlib
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.mailer.domain.mime.blob import BlobRef
from app.mailer.domain.mime.body import base64_lines, base64_size

#: Gives the bytes of a blob as they are (not encoded); what it raises passes through.
Read = Callable[[BlobRef], bytes]

_VERSION = 1
_HEAD = struct.Struct(">BBIII")  # version, flags, bcc_at, length of bcc, number of segments
_SEGMENT = struct.Struct(">BQ")  # kind, length in bytes or size of the blob
_CRC = struct.Struct(">I")
_LITERAL, _BLOB = 0, 1
_SMTPUTF8 = 1


class Base64Cache:
    """The base64 of blobs that many messages share, the least recently used dropped first.

    `max_bytes` bounds what is held; a larger blob is encoded each time. Safe for threads.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._held = 0
        self._lines: OrderedDict[BlobRef, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def lines(self, ref: BlobRef, read: Read) -> bytes:
        with self._lock:
            known = self._lines.get(ref)
            if known is not None:
                self._lines.move_to_end(ref)
                return known
        lines = base64_lines(read(ref))
        with self._lock:
            if ref not in self._lines and len(lines) <= self._max_bytes:
                self._lines[ref] = lines
                self._held += len(lines)
            while self._held > self._max_bytes:
                self._held -= len(self._lines.popitem(last=False)[1])
        return lines


@dataclass(frozen=True, slots=True)
class Frame:
    """One complete message (RFC 5322) as segments: bytes, or the base64 of a blob.

    A blob's base64 has lines of 76 characters joined by CRLF, without a CRLF after the last one
    (RFC 2045, 6.8). `bcc` is the Bcc header that only the copy in Sent holds, `b""` for none;
    it goes in at `bcc_at` bytes into the first segment. `needs_smtputf8` is about the headers and
    the envelope, Bcc included (RFC 6531).
    """

    segments: tuple[bytes | BlobRef, ...]
    bcc: bytes
    bcc_at: int
    needs_smtputf8: bool = False

    @property
    def size(self) -> int:
        """Bytes of the message as SMTP sends it: without Bcc, before dot-stuffing (RFC 1870)."""
        return sum(
            base64_size(segment.size) if isinstance(segment, BlobRef) else len(segment)
            for segment in self.segments
        )

    @property
    def blobs(self) -> tuple[BlobRef, ...]:
        return tuple(segment for segment in self.segments if isinstance(segment, BlobRef))

    def chunks(self, read: Read, cache: Base64Cache | None = None) -> Iterator[bytes]:
        """The bytes that leave by SMTP. A `cache` saves reading and encoding shared blobs again."""
        for segment in self.segments:
            if not isinstance(segment, BlobRef):
                yield segment
            elif cache is not None:
                yield cache.lines(segment, read)
            else:
                yield base64_lines(read(segment))

    def sent_copy_chunks(self, read: Read, cache: Base64Cache | None = None) -> Iterator[bytes]:
        """The bytes for the Sent folder: the same, with the Bcc header."""
        chunks = self.chunks(read, cache)
        first = next(chunks)
        yield first[: self.bcc_at] + self.bcc + first[self.bcc_at :]
        yield from chunks

    def digest(self, read: Read, cache: Base64Cache | None = None) -> str:
        """SHA-256 of the SMTP bytes, in lower-case hex."""
        sha256 = hashlib.sha256()
        for chunk in self.chunks(read, cache):
            sha256.update(chunk)
        return sha256.hexdigest()

    def encode(self) -> bytes:
        """For a database column: versioned, with a checksum."""
        flags = _SMTPUTF8 if self.needs_smtputf8 else 0
        parts = [
            _HEAD.pack(_VERSION, flags, self.bcc_at, len(self.bcc), len(self.segments)),
            self.bcc,
        ]
        for segment in self.segments:
            if isinstance(segment, BlobRef):
                parts += (_SEGMENT.pack(_BLOB, segment.size), bytes.fromhex(segment.sha256))
            else:
                parts += (_SEGMENT.pack(_LITERAL, len(segment)), segment)
        encoded = b"".join(parts)
        return encoded + _CRC.pack(zlib.crc32(encoded))

    @classmethod
    def decode(cls, data: bytes) -> Frame:
        """What `encode` made; raises `ValueError` for anything else, however little differs."""
        if len(data) < _HEAD.size + _CRC.size:
            raise ValueError("A stored message is cut short.")
        if data[0] != _VERSION:
            raise ValueError(f"A stored message has the unknown version {data[0]}.")
        end = len(data) - _CRC.size
        if _CRC.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
            raise ValueError("A stored message is damaged: its checksum differs.")
        try:
            return cls._decode(data[:end])
        except struct.error as error:
            raise ValueError("A stored message is damaged: it is cut short.") from error

    @classmethod
    def _decode(cls, data: bytes) -> Frame:
        _, flags, bcc_at, bcc_length, count = _HEAD.unpack_from(data)
        at = _HEAD.size + bcc_length
        bcc = data[_HEAD.size : at]
        segments: list[bytes | BlobRef] = []
        for _ in range(count):
            kind, length = _SEGMENT.unpack_from(data, at)
            at += _SEGMENT.size
            if kind == _BLOB:
                segments.append(BlobRef(data[at : at + 32].hex(), length))
                at += 32
            elif kind == _LITERAL:
                segments.append(data[at : at + length])
                at += length
            else:
                raise ValueError(f"A stored message is damaged: unknown segment kind {kind}.")
            if at > len(data):
                raise ValueError("A stored message is damaged: it is cut short.")
        first = segments[0] if segments else None
        if not isinstance(first, bytes) or bcc_at > len(first) or at != len(data):
            raise ValueError("A stored message is damaged: its parts do not fit together.")
        if flags not in (0, _SMTPUTF8):
            raise ValueError(f"A stored message is damaged: unknown flags {flags}.")
        return cls(tuple(segments), bcc, bcc_at, flags == _SMTPUTF8)
