"""A blob store in memory, for tests and dry runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from app.mailer.adapters.blob_checks import (
    checked_bytes,
    joined_pieces,
    overtaken_pieces,
    piece_name,
)
from app.mailer.domain.errors import BlobMissing
from app.mailer.ports import BlobRef


class MemoryBlobStore:
    """`ports.BlobStore` that ends with its process."""

    def __init__(self) -> None:
        self._blobs: dict[tuple[UUID, BlobRef], bytes] = {}
        self._pieces: dict[tuple[UUID, UUID], dict[str, bytes]] = {}

    def put(self, tenant: UUID, data: bytes) -> BlobRef:
        ref = BlobRef(hashlib.sha256(data).hexdigest(), len(data))
        self._blobs[tenant, ref] = data
        return ref

    def put_stream(self, tenant: UUID, chunks: Iterable[bytes]) -> BlobRef:
        return self.put(tenant, b"".join(chunks))

    def get(self, tenant: UUID, ref: BlobRef) -> bytes:
        data = self._blobs.get((tenant, ref))
        if data is None:
            raise BlobMissing(f"The blob {ref.sha256} is not in this store.")
        return checked_bytes(data, ref)

    def open(self, tenant: UUID, ref: BlobRef) -> Iterator[bytes]:
        return iter([self.get(tenant, ref)])

    def has(self, tenant: UUID, ref: BlobRef) -> bool:
        return (tenant, ref) in self._blobs

    def delete(self, tenant: UUID, ref: BlobRef) -> None:
        self._blobs.pop((tenant, ref), None)

    def sync(self) -> None:
        """Nothing to wait for: memory does not survive its process anyway."""

    def check(self) -> None:
        """Nothing can be away here."""

    def stage(self, tenant: UUID, upload: UUID, offset: int, turn: int, data: bytes) -> None:
        self._pieces.setdefault((tenant, upload), {})[piece_name(offset, turn)] = data

    def staged(self, tenant: UUID, upload: UUID) -> Iterator[bytes]:
        pieces = self._pieces.get((tenant, upload), {})
        reached = 0
        for name, offset in joined_pieces(pieces):
            if offset == reached:
                reached += len(pieces[name])
                yield pieces[name]

    def unstage(self, tenant: UUID, upload: UUID) -> None:
        self._pieces.pop((tenant, upload), None)

    def unstage_overtaken(self, tenant: UUID, upload: UUID, offset: int, turn: int) -> None:
        pieces = self._pieces.get((tenant, upload), {})
        for name in list(overtaken_pieces(pieces, offset, turn)):
            del pieces[name]

    def sweep(self, before: datetime) -> None:
        """Nothing is ever left: a crash takes everything with it."""
