"""The audit log becomes a chain: each entry is hashed together with the one before.

Entries that are there already are hashed, too. On Postgres that happens in short transactions, so
that the service can go on meanwhile; the step can be started again where it was broken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

# The form of the chain is fixed for good: hashes that were noted elsewhere are checked by it.
from app.mailer.domain.audit_chain import content_hash, genesis, link, moment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
HASH = sa.String(length=64)
BATCH = 1_000
INDEXES = {
    "ix_audit_entries_tenant_id_actor_id": ["tenant_id", "actor_id", "sequence"],
    "ix_audit_entries_tenant_id_at": ["tenant_id", "at", "sequence"],
}

ENTRIES = sa.table(
    "audit_entries",
    sa.column("id", sa.Uuid()),
    sa.column("tenant_id", sa.Uuid()),
    sa.column("sequence", sa.BigInteger()),
    sa.column("at", MOMENT),
    *(
        sa.column(name, sa.Text())
        for name in ("actor_kind", "actor_id", "actor_name", "action", "object_type", "object_id")
    ),
    sa.column("details", DOCUMENT),
    sa.column("previous_hash", HASH),
    sa.column("hash", HASH),
)
COUNTERS = sa.table(
    "audit_counters",
    sa.column("tenant_id", sa.Uuid()),
    sa.column("last", sa.BigInteger()),
    sa.column("hash", HASH),
)


def upgrade() -> None:
    bind = op.get_bind()
    if not _has_hash(bind):
        # Until its turn comes an entry has an empty hash.
        with op.batch_alter_table("audit_entries") as batch:
            batch.add_column(sa.Column("address", sa.Text(), nullable=True))
            batch.add_column(sa.Column("before", DOCUMENT, nullable=True))
            batch.add_column(sa.Column("after", DOCUMENT, nullable=True))
            batch.add_column(sa.Column("previous_hash", HASH, server_default="", nullable=False))
            batch.add_column(sa.Column("hash", HASH, server_default="", nullable=False))
        with op.batch_alter_table("audit_counters") as batch:
            batch.add_column(sa.Column("hash", HASH, server_default="", nullable=False))
    if bind.dialect.name == "postgresql":
        with op.get_context().autocommit_block(), bind.engine.connect() as own:
            for tenant in _tenants(own):
                while _chain_some(own, tenant):
                    own.commit()
                own.commit()
            _create_indexes()
        op.execute("SET LOCAL lock_timeout = '10s'")
        op.execute("SET LOCAL statement_timeout = '10min'")
        # What the service recorded meanwhile; from here on it cannot record without a hash.
        op.execute("LOCK TABLE audit_counters, audit_entries IN SHARE ROW EXCLUSIVE MODE")
    else:
        _create_indexes()
    for tenant in _tenants(bind):
        while _chain_some(bind, tenant):
            pass
        bind.execute(
            COUNTERS.update()
            .where(COUNTERS.c.tenant_id == tenant)
            .values(hash=_head(bind, tenant)[1])
        )
    with op.batch_alter_table("audit_entries") as batch:
        batch.alter_column("previous_hash", server_default=None)
        batch.alter_column("hash", server_default=None)
    with op.batch_alter_table("audit_counters") as batch:
        batch.alter_column("hash", server_default=None)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, "audit_entries")
    with op.batch_alter_table("audit_counters") as batch:
        batch.drop_column("hash")
    with op.batch_alter_table("audit_entries") as batch:
        batch.drop_column("hash")
        batch.drop_column("previous_hash")
        batch.drop_column("after")
        batch.drop_column("before")
        batch.drop_column("address")


def _create_indexes() -> None:
    for name, columns in INDEXES.items():
        # One that was broken off is there, but is of no use.
        op.drop_index(name, "audit_entries", if_exists=True)
        op.create_index(name, "audit_entries", columns, postgresql_concurrently=True)


def _has_hash(bind: sa.Connection) -> bool:
    return any(
        column["name"] == "hash" for column in sa.inspect(bind).get_columns("audit_counters")
    )


def _tenants(bind: sa.Connection) -> Sequence[UUID]:
    return bind.scalars(sa.select(COUNTERS.c.tenant_id)).all()


def _head(bind: sa.Connection, tenant: UUID) -> tuple[int, str]:
    """The last entry of the tenant that has its hash."""
    found = bind.execute(
        sa.select(ENTRIES.c.sequence, ENTRIES.c.hash)
        .where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.hash != "")
        .order_by(ENTRIES.c.sequence.desc())
        .limit(1)
    ).one_or_none()
    return (0, genesis(tenant)) if found is None else (found.sequence, found.hash)


def _chain_some(bind: sa.Connection, tenant: UUID) -> bool:
    """Hashes the tenant's next entries; whether there were any."""
    sequence, previous = _head(bind, tenant)
    rows = bind.execute(
        sa.select(ENTRIES)
        .where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence > sequence)
        .order_by(ENTRIES.c.sequence)
        .limit(BATCH)
    ).all()
    hashes: list[dict[str, Any]] = []
    for row in rows:
        fields = {
            **row._asdict(),
            "id": str(row.id),
            "tenant_id": str(row.tenant_id),
            "at": moment(row.at),
            "address": None,
            "before": None,
            "after": None,
        }
        hashed = link(previous, content_hash(fields))
        hashes.append({"row": row.id, "previous": previous, "hashed": hashed})
        previous = hashed
    if hashes:
        bind.execute(
            ENTRIES.update()
            .where(ENTRIES.c.id == sa.bindparam("row", type_=sa.Uuid()))
            .values(previous_hash=sa.bindparam("previous"), hash=sa.bindparam("hashed")),
            hashes,
        )
    return bool(hashes)
