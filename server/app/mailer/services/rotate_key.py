"""Move every sealed value from the old master key to the new one, while what has both runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor
from app.audit import log
from app.db.repositories import sealed
from app.db.repositories.sealed import COLUMNS, Key, SealedColumn
from app.failpoints import failpoint
from app.mailer.domain.errors import ConfigurationError
from app.mailer.ports import Clock, Progress, SecretBox

_PAGE = 100
#: A process that has only the old key may seal more meanwhile; so often everything is looked at.
_SWEEPS = 3
_PHASE = "Wrapping secrets anew"
_NAME = "rotate_master_key"


@dataclass(slots=True)
class Rotation:
    """What was done. `unreadable` names values that no key opens; `left` are not yet moved."""

    found: int = 0
    rewrapped: int = 0
    unreadable: list[str] = field(default_factory=list)
    left: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is left that needs the old key."""
        return self.left == 0


def rotate_master_key(
    sessions: sessionmaker[Session],
    *,
    box: SecretBox,
    clock: Clock,
    progress: Progress,
    page: int = _PAGE,
) -> Rotation:
    """Wrap everything under `box`'s current key that is under another one.

    In short transactions of `page` values, each exchanged only where nobody put another one there
    meanwhile. Killed at any point, it is simply run again: what is moved is no longer found.
    """
    rotation = Rotation()
    with sessions() as session:
        tenants = sealed.tenant_ids(session)
        waiting = {tenant: _count(session, tenant, box) for tenant in tenants}
    rotation.found = rotation.left = sum(waiting.values())
    for tenant, count in waiting.items():
        if count:
            _record(sessions, tenant, clock, "master_key.rotation_begun", {"values": count})
    progress(_PHASE, 0, rotation.found)
    moved = dict.fromkeys(tenants, 0)
    for _sweep in range(_SWEEPS):
        if not rotation.left:
            break
        rotation.unreadable.clear()
        for tenant in tenants:
            for column in COLUMNS:
                moved[tenant] += _Sweep(sessions, box, tenant, column, rotation, progress).run(page)
        with sessions() as session:
            rotation.left = sum(_count(session, tenant, box) for tenant in tenants)
        if rotation.left <= len(rotation.unreadable):
            break
    for tenant, count in moved.items():
        if count:
            _record(sessions, tenant, clock, "master_key.rotated", {"values": count})
    return rotation


class _Sweep:
    """One walk through one column of one tenant."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        box: SecretBox,
        tenant_id: UUID,
        column: SealedColumn,
        rotation: Rotation,
        progress: Progress,
    ) -> None:
        self._sessions = sessions
        self._box = box
        self._tenant_id = tenant_id
        self._column = column
        self._rotation = rotation
        self._progress = progress

    def run(self, size: int) -> int:
        """How many values were moved."""
        after: Key | None = None
        moved = 0
        while True:
            with self._sessions() as session:
                rows = list(
                    sealed.page_of_others(
                        session,
                        self._tenant_id,
                        self._column,
                        self._box.head,
                        after=after,
                        limit=size,
                    )
                )
                if not rows:
                    return moved
                done = sum(self._move(session, key, value) for key, value in rows)
                failpoint("rotate_before_commit")
                session.commit()
            failpoint("rotate_after_commit")
            after = rows[-1][0]
            moved += done
            self._rotation.rewrapped += done
            self._progress(_PHASE, self._rotation.rewrapped, self._rotation.found)

    def _move(self, session: Session, key: Key, value: bytes) -> bool:
        place = self._column.place(self._tenant_id, key)
        try:
            anew = self._box.rewrap(value, place)
            # Proven before the old form is gone.
            self._box.open(anew, place)
        except ConfigurationError as error:
            self._rotation.unreadable.append(f"{place}: {error.message}")
            return False
        return sealed.exchange(session, self._tenant_id, self._column, key, value, anew)


def _count(session: Session, tenant_id: UUID, box: SecretBox) -> int:
    return sum(sealed.count_others(session, tenant_id, column, box.head) for column in COLUMNS)


def _record(
    sessions: sessionmaker[Session],
    tenant_id: UUID,
    clock: Clock,
    action: str,
    details: dict[str, object],
) -> None:
    actor = Actor.system(tenant_id, _NAME)
    with sessions() as session:
        log.record(session, actor, action, "tenant", tenant_id, details, clock.now())
        session.commit()
