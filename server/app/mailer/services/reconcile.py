"""Look for letters in doubt in the Sent folder: one that is there was sent.

Our own copies go there only once a letter counts as sent, so the copy of one that is in doubt comes
from the provider, which files what it took. That it is not there proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.repositories import campaigns, doubts
from app.db.repositories.doubts import Doubtful
from app.mailer.domain.delivery.filing import NO_FOLDER_YET, next_look
from app.mailer.domain.delivery.job import Event
from app.mailer.domain.errors import ConfigurationError, NotFound
from app.mailer.ports import SentFolderFailure, StopSign
from app.mailer.services.open_folders import OpenFolders

_BATCH = 20


@dataclass(slots=True)
class Looked:
    """Entries that were found, how many were not, and why it ended early, if it did.

    `in_doubt` are left; `permanent`: what stopped it is for a person to mend.
    """

    found: list[str] = field(default_factory=list)
    absent: int = 0
    in_doubt: int = 0
    stopped: str | None = None
    permanent: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "found": self.found,
            "absent": self.absent,
            "in_doubt": self.in_doubt,
            "stopped": self.stopped,
        }


def reconcile(
    folders: OpenFolders,
    actor: Actor,
    campaign_id: UUID,
    *,
    stop: StopSign,
    limit: int | None = None,
    seconds: float = math.inf,
) -> Looked:
    """Look for all letters of a campaign that are in doubt, or `limit` of them, for a person.

    Those that were never looked for, or longest ago, come first.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    with folders.sent_box.sessions() as session:
        campaigns.get(session, actor.tenant_id, campaign_id)
    search = _Search(folders, actor, campaign_id)
    looked = search.run(stop=stop, limit=limit, seconds=seconds, only_due=False)
    with folders.sent_box.sessions() as session:
        looked.in_doubt = doubts.count(session, actor.tenant_id, campaign_id)
    return looked


def look_for_due(
    folders: OpenFolders, tenant_id: UUID, campaign_id: UUID, *, stop: StopSign, seconds: float
) -> Looked:
    """The same for a worker: those of which a look is due."""
    actor = Actor.system(tenant_id)
    search = _Search(folders, actor, campaign_id)
    return search.run(stop=stop, limit=None, seconds=seconds, only_due=True)


class _Search:
    def __init__(self, folders: OpenFolders, actor: Actor, campaign_id: UUID) -> None:
        self._folders = folders
        self._box = folders.sent_box
        self._actor = actor
        self._campaign_id = campaign_id
        self._looked = Looked()

    def run(self, *, stop: StopSign, limit: int | None, seconds: float, only_due: bool) -> Looked:
        looked, clock = self._looked, self._box.clock
        begin, deadline = clock.now(), clock.monotonic() + seconds
        left = math.inf if limit is None else limit
        while left > 0 and not stop.is_set() and clock.monotonic() < deadline:
            with self._box.sessions() as session:
                batch = doubts.page(
                    session,
                    self._actor.tenant_id,
                    self._campaign_id,
                    due_at=clock.now() if only_due else None,
                    looked_before=begin,
                    limit=int(min(_BATCH, left)),
                )
            if not batch:
                break
            left -= len(batch)
            for version_id, letters in groupby(batch, lambda each: each.version_id):
                self._look(
                    version_id,
                    list(letters),
                    lambda: stop.is_set() or clock.monotonic() >= deadline,
                    only_due=only_due,
                )
                if looked.stopped is not None:
                    return looked
        return looked

    def _look(
        self,
        version_id: UUID,
        letters: Sequence[Doubtful],
        is_over: Callable[[], bool],
        *,
        only_due: bool,
    ) -> None:
        found: list[Doubtful] = []
        absent: list[Doubtful] = []
        name, wants_copies = "", False
        try:
            with self._folders.lend(self._actor.tenant_id, version_id) as lent:
                name, wants_copies = lent.folder.folder(), lent.wants_copies
                for each in letters:
                    if is_over():
                        break
                    place = found if lent.folder.contains(each.message_id) else absent
                    place.append(each)
        except SentFolderFailure as failure:
            self._looked.stopped, self._looked.permanent = failure.message, failure.permanent_here
        except ConfigurationError as failure:
            if not only_due:
                self._looked.stopped, self._looked.permanent = str(failure), True
            self._put_off(letters)
        except NotFound:  # deleted meanwhile
            return
        self._record(version_id, name, found, absent, wants_copies=wants_copies)

    def _record(
        self,
        version_id: UUID,
        folder: str,
        found: Sequence[Doubtful],
        absent: Sequence[Doubtful],
        *,
        wants_copies: bool,
    ) -> None:
        if not (found or absent):
            return
        tenant_id, now = self._actor.tenant_id, self._box.clock.now()
        with self._box.sessions() as session:
            doubts.note_absent(
                session,
                tenant_id,
                absent,
                now=now,
                next_at={each.id: next_look(each.look_count + 1, now) for each in absent},
            )
            proven = doubts.prove(
                session,
                tenant_id,
                found,
                copy_is_wanted=wants_copies,
                now=now,
                words=f"Found in the folder “{folder}” of the mail account: it was sent.",
            )
            if proven:
                log.record(
                    session,
                    self._actor,
                    f"job.{Event.FIND_EVIDENCE}",
                    "campaign",
                    self._campaign_id,
                    {
                        "version_id": str(version_id),
                        "count": len(proven),
                        "entries": [each.entry_id for each in proven],
                        "message_ids": [each.message_id for each in proven],
                        "folder": folder,
                    },
                    now,
                )
            session.commit()
        self._looked.found += [each.entry_id for each in proven]
        self._looked.absent += len(absent)

    def _put_off(self, letters: Sequence[Doubtful]) -> None:
        until: datetime = self._box.clock.now() + NO_FOLDER_YET
        with self._box.sessions() as session:
            doubts.put_off(session, self._actor.tenant_id, letters, until)
            session.commit()
