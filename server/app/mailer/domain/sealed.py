"""What sealed values are bound to, so that none opens anywhere but in its own place."""

from __future__ import annotations

from uuid import UUID


def sealed_place(tenant_id: UUID, table: str, row: object, field: str) -> str:
    """The context of one value: a copy of it in another tenant, row or field does not open."""
    return f"{tenant_id}/{table}/{row}/{field}"
