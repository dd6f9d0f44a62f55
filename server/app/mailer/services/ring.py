"""Waking up whoever sends, once what there is to send is committed."""

from __future__ import annotations

from uuid import UUID

from app.mailer.ports import Bell, BellAway


def ring_for_sending(bell: Bell, tenant_id: UUID, version_id: UUID) -> str | None:
    """Have letters of a version sent at once; what to tell where nobody could be woken up.

    That is no failure: whoever sends looks into the database by itself, every few seconds.
    """
    try:
        bell.send(tenant_id, version_id)
    except BellAway as away:
        return _untold(away)
    return None


def ring_for_everything(bell: Bell) -> str | None:
    """As `ring_for_sending`, for all that waits."""
    try:
        bell.dispatch()
    except BellAway as away:
        return _untold(away)
    return None


def _untold(away: BellAway) -> str:
    return (
        f"No worker could be told ({str(away).rstrip('.')}). Workers that run look by themselves."
    )
