"""Reads a file of evidence, and says of each of its bytes whether it is one that belongs there."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from app.mailer.domain.errors import MailerError
from app.mailer.domain.evidence.check import Damaged
from app.mailer.domain.evidence.zip_form import Stored, descriptor, local_header, tail

_PIECE = 256 * 1024
#: No line and no manifest is longer; a forged file must not fill the memory.
_LONGEST = 256 * 2**20

#: What zipfile raises on a file that is none, or is damaged.
_BROKEN = (
    zipfile.BadZipFile,
    OSError,
    OverflowError,
    EOFError,
    NotImplementedError,
    ValueError,
    struct.error,
)


class EvidenceFile:
    """An open file of evidence. Everything raises `Damaged` where its bytes are wrong.

    Opening one that is no ZIP file raises it, too, and `MailerError` where there is no file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise MailerError(f"{path} cannot be read: {error.strerror}.") from error
        try:
            # Only the list of members is read by it.
            self._zip = zipfile.ZipFile(self._file)
            infos = self._zip.infolist()
            self._size = self._file.seek(0, os.SEEK_END)
        except _BROKEN as error:
            self._file.close()
            raise Damaged(f"This is no ZIP file, or a damaged one: {error}") from error
        self._stored = [
            Stored(
                each.orig_filename, each.CRC, each.compress_size, each.file_size, each.header_offset
            )
            for each in infos
        ]

    def __enter__(self) -> EvidenceFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()
        self._file.close()

    @property
    def names(self) -> Sequence[str]:
        """The members in the order in which they lie there; one may be there twice."""
        return [each.name for each in self._stored]

    def check_form(self) -> None:
        """Each byte that is not a member's own is what it has to be, and none is too many."""
        at = 0
        for member in self._stored:
            if member.offset != at:
                raise Damaged(f"Something lies hidden in front of {member.name}.")
            self._expect(at, [local_header(member.name)], f"The header of {member.name}")
            if member.end > self._size:
                raise Damaged(f"{member.name} is said to be longer than the file.")
            end = member.data + member.packed
            self._expect(end, [descriptor(member)], f"What ends {member.name}")
            at = member.end
        self._expect(at, tail(self._stored), "The list of members")
        if self._file.read(1):
            raise Damaged("Something was added at the end of the file.")

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a member."""
        member = next((each for each in self._stored if each.name == name), None)
        if member is None:
            raise Damaged(f"{name} is not there.")
        crc = size = 0
        try:
            for chunk in self._unpacked(member):
                crc = zlib.crc32(chunk, crc)
                size += len(chunk)
                yield chunk
        except zlib.error as error:
            raise Damaged(f"{name} is damaged: {error}") from error
        if (size, crc) != (member.size, member.crc):
            raise Damaged(f"{name} is damaged: its checksum differs.")

    def _unpacked(self, member: Stored) -> Iterator[bytes]:
        # zipfile would stop where the content ends, and not see what is behind it.
        if member.offset < 0 or member.end > self._size:
            raise Damaged(f"{member.name} is not where it is said to be.")
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        at, left = member.data, member.packed
        while left and not inflate.eof:
            self._file.seek(at)
            piece = self._file.read(min(left, _PIECE))
            if not piece:
                break
            at += len(piece)
            left -= len(piece)
            while piece and not inflate.eof:
                yield inflate.decompress(piece, _PIECE)
                piece = inflate.unconsumed_tail
        if left or not inflate.eof or inflate.unused_data:
            raise Damaged(f"{member.name} is damaged: its data do not end where they should.")

    def document(self, name: str) -> Any:
        """A member that is one JSON document."""
        whole = bytearray()
        for chunk in self.chunks(name):
            whole += chunk
            if len(whole) > _LONGEST:
                raise Damaged(f"{name} is too long.")
        return _parsed(name, bytes(whole))

    def lines(self, name: str) -> Iterator[Any]:
        """The documents of a member that has one in each line."""
        rest = b""
        for chunk in self.chunks(name):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield _parsed(name, line)
            if len(rest) > _LONGEST:
                raise Damaged(f"A line of {name} is too long.")
        if rest:
            raise Damaged(f"The last line of {name} was cut off.")

    def _expect(self, at: int, pieces: Iterable[bytes], what: str) -> None:
        self._file.seek(at)
        for piece in pieces:
            if self._file.read(len(piece)) != piece:
                raise Damaged(f"{what} is not as it was written.")


def _parsed(name: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{name} is not JSON: {error}") from error
