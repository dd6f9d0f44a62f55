"""A large request body that waits for a worker: sealed, since a campaign file holds passwords.

It waits among the unfinished uploads of its tenant, under an id of its own. Sealed in pieces, so
that it is never in memory as a whole while it comes: four bytes of length before each piece, and
the last piece is empty. A piece opens only in its own place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from app.mailer.domain.errors import BlobDamaged
from app.mailer.domain.sealed import sealed_place
from app.mailer.ports import SecretBox

#: Bytes of text in one piece.
PIECE = 2**20
_LENGTH = 4


class Sealer:
    """Seals one body as it comes, in chunks of any size."""

    def __init__(self, box: SecretBox, tenant_id: UUID, body_id: UUID) -> None:
        self._box = box
        self._tenant_id = tenant_id
        self._body_id = body_id
        self._number = 0
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """The next sealed pieces, if there are some whole ones."""
        self._rest += chunk
        done = []
        while len(self._rest) >= PIECE:
            done.append(self._sealed(bytes(self._rest[:PIECE])))
            del self._rest[:PIECE]
        return b"".join(done)

    def end(self) -> bytes:
        """The last pieces."""
        rest = self._sealed(bytes(self._rest)) if self._rest else b""
        self._rest.clear()
        return rest + self._sealed(b"")

    def _sealed(self, piece: bytes) -> bytes:
        context = _context(self._tenant_id, self._body_id, self._number)
        self._number += 1
        sealed = self._box.seal(piece, context)
        return len(sealed).to_bytes(_LENGTH, "big") + sealed


def opened(
    box: SecretBox, tenant_id: UUID, body_id: UUID, stored: Iterable[bytes]
) -> Iterator[bytes]:
    """What was sealed, from chunks of any size; `BlobDamaged` where its end is missing."""
    number = 0
    rest = bytearray()
    for chunk in stored:
        rest += chunk
        while len(rest) >= _LENGTH:
            end = _LENGTH + int.from_bytes(rest[:_LENGTH], "big")
            if len(rest) < end:
                break
            piece = box.open(bytes(rest[_LENGTH:end]), _context(tenant_id, body_id, number))
            del rest[:end]
            number += 1
            if not piece:
                return
            yield piece
    raise BlobDamaged(
        "The stored body of the request is gone, or a part of it is.", "Send the request again."
    )


def _context(tenant_id: UUID, body_id: UUID, number: int) -> str:
    return sealed_place(tenant_id, "operations", body_id, f"body-{number}")
