"""Where a tenant's own files are kept: what keeping and losing their bytes takes.

Their contents are apart from those of messages, in a store of their own: a message keeps its bytes
whatever becomes of the file that they came from, and a deleted file leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.db.repositories import files
from app.db.repositories.access import tenants
from app.mailer.ports import BlobRef, BlobStore, Clock, ContentType, Scanner

#: Contents that are looked at under one lock.
_CHUNK = 100


@dataclass(frozen=True, slots=True)
class Depot:
    """The ports that uploads and files need; `scanner` is None where none is set up."""

    sessions: sessionmaker[Session]
    reading: Callable[[], Session]
    blobs: BlobStore
    clock: Clock
    content_type: ContentType
    scanner: Scanner | None
    quota_bytes: int
    max_bytes: int

    def quota_of(self, own: int | None) -> int:
        """Bytes that a tenant's files may take, `own` being what the tenant itself says."""
        return self.quota_bytes if own is None else own


def drop_unused(depot: Depot, tenant_id: UUID, refs: Collection[BlobRef]) -> None:
    """Delete those contents that no file of the tenant has any more.

    Looking and deleting happen under the tenant's lock, which keeping a file takes, too: what is
    deleted here cannot be what somebody keeps at the same moment.
    """
    left = iter(set(refs))
    while some := list(islice(left, _CHUNK)):
        with depot.sessions() as session:
            tenants.lock_tenant(session, tenant_id)
            used = files.hashes_in_use(session, tenant_id, [ref.sha256 for ref in some])
            for ref in some:
                if ref.sha256 not in used:
                    depot.blobs.delete(tenant_id, ref)
            session.commit()
