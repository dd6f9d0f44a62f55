"""A blob store in memory, for tests and dry runs."""

from __future__ import annotations

import hashlib
from uuid import UUID

from app.mailer.domain.errors import BlobMissing
from app.mailer.ports import BlobRef


class MemoryBlobStore:
    """`ports.BlobStore` that ends with its process."""

    def __init__(self) -> None:
        self._blobs: dict[tuple[UUID, BlobRef], bytes] = {}

    def put(self, tenant: UUID, data: bytes) -> BlobRef:
        ref = BlobRef(hashlib.sha256(data).hexdigest(), len(data))
        self._blobs.setdefault((tenant, ref), data)
        return ref

    def get(self, tenant: UUID, ref: BlobRef) -> bytes:
        data = self._blobs.get((tenant, ref))
        if data is None:
            raise BlobMissing(f"The blob {ref.sha256} is not in this store.")
        return data

    def has(self, tenant: UUID, ref: BlobRef) -> bool:
        return (tenant, ref) in self._blobs

    def sync(self) -> None:
        """Nothing to wait for: memory does not survive its process anyway."""

    def check(self) -> None:
        """Nothing can be away here."""
