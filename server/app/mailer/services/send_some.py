"""Send what a version has due for a little while: the work of every worker."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.access.actor import Actor
from app.access.scopes import Scope
from app.db.repositories import campaigns, delivery, dispatching, versions
from app.mailer.domain.delivery.breaker import LONGEST_HOLDS, hold_for
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.errors import Conflict, MailerError, NotFound
from app.mailer.domain.mime.frame import Base64Cache
from app.mailer.domain.version import VersionEvent, move, sources_of
from app.mailer.ports import HOLD_SECONDS, Journals, LimiterAway, StopSign
from app.mailer.services.engine import Engine
from app.mailer.services.lane import Cause, Lane, Tally
from app.mailer.services.missed_start import hold_missed_start
from app.mailer.services.open_lane import Outbox, open_lane
from app.mailer.services.pause_campaign import pause_campaign

#: Connections of a campaign that one process has; a campaign that may have more uses several.
CONNECTIONS = 8
#: Lanes that a process keeps.
_LANES = 32


@dataclass(slots=True)
class SomeSent:
    """What was done, why it ended early, and whether somebody else should go on at once."""

    outcomes: Counter[SendStatus] = field(default_factory=Counter)
    stopped: str | None = None
    more: bool = False


class Lanes:
    """The lanes of one process, read again only where something about them changed.

    Safe for threads.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._known: dict[UUID, tuple[tuple[int, int], Lane]] = {}
        self._lock = threading.Lock()

    def of(self, session: Session, tenant_id: UUID, version_id: UUID) -> Lane:
        """The lane of a version; `NotFound` where there is no such version any more."""
        state = dispatching.state_of_terms(session, tenant_id, version_id)
        if state is None:
            raise NotFound(f"There is no version {version_id}.")
        known = self._known.get(version_id)
        if known is not None and known[0] == state:
            return known[1]
        lane = open_lane(self._outbox, session, tenant_id, version_id)
        with self._lock:
            while len(self._known) >= _LANES:
                self._known.pop(next(iter(self._known)))
            self._known[version_id] = state, lane
        return lane


class _Held:
    """The connections that one run has of a campaign's and of its account's."""

    def __init__(self, outbox: Outbox, lane: Lane, owner: str) -> None:
        self._limiter, self._clock, self._owner = outbox.limiter, outbox.clock, owner
        self._keys = (
            (lane.campaign.key, lane.own_concurrency),
            (lane.account.key, lane.account_concurrency),
        )
        self._count = 0
        self._renewed = 0.0

    def enter(self, wanted: int) -> int:
        """As many as both have free, `wanted` at most."""
        for key, at_most in self._keys:
            wanted = wanted and self._limiter.enter(key, self._owner, wanted, at_most)
        self._count, self._renewed = wanted, self._clock.monotonic()
        return wanted

    def renew(self) -> None:
        """Keep them, also through a long wait for an answer."""
        if self._clock.monotonic() - self._renewed > HOLD_SECONDS / 4:
            with suppress(LimiterAway):
                self.enter(self._count)

    def leave(self) -> None:
        with suppress(LimiterAway):
            for key, _ in self._keys:
                self._limiter.leave(key, self._owner)


class Sender:
    """One process that sends, for whatever version it is asked to; `lanes` are shared."""

    def __init__(self, outbox: Outbox, lanes: Lanes, journals: Journals) -> None:
        self._outbox = outbox
        self._lanes = lanes
        self._journals = journals
        self._encoded = Base64Cache()

    def send_some(
        self,
        tenant_id: UUID,
        version_id: UUID,
        *,
        stop: StopSign,
        seconds: float,
        on_start: Callable[[UUID, UUID], None],
    ) -> SomeSent:
        """Send what is due of a version, `seconds` long at most.

        `on_start` hears of it where the version may have more connections than this process has.

        What is at fault, if anything is, holds the campaign back for a while or until a person
        resumes it, and the reason is kept where people see it.
        """
        outbox = self._outbox
        hold_missed_start(outbox.sessions, tenant_id, version_id, outbox.clock.now())
        try:
            with outbox.sessions() as session:
                if delivery.pause_of(session, tenant_id, version_id) is not None:
                    return SomeSent()
                lane = self._lanes.of(session, tenant_id, version_id)
        except NotFound:
            return SomeSent()
        except MailerError as error:
            # The account is gone, or has no server any more: only a person can mend that.
            self._pause(tenant_id, self._campaign_of(tenant_id, version_id), str(error))
            return SomeSent(stopped=str(error))
        if lane.opens() is not None:
            return SomeSent()
        try:
            tally, crowded = self._run(lane, stop, seconds, on_start)
        except LimiterAway as away:
            return SomeSent(stopped=str(away))
        try:
            self._heed(lane, tally)
            with outbox.sessions() as session:
                due = delivery.any_due(session, tenant_id, version_id, outbox.clock.now())
        except SQLAlchemyError:
            # What is to be held is found out again by the next one who tries.
            return SomeSent(tally.outcomes, tally.stopped)
        more = due and not crowded and tally.stopped is None and not stop.is_set()
        return SomeSent(tally.outcomes, tally.stopped, more)

    def _run(
        self,
        lane: Lane,
        stop: StopSign,
        seconds: float,
        on_start: Callable[[UUID, UUID], None],
    ) -> tuple[Tally, bool]:
        """Send over as many connections as there may be; True where there may be none now."""
        held = _Held(self._outbox, lane, uuid4().hex)
        connections = held.enter(min(CONNECTIONS, lane.concurrency))
        if not connections:
            held.leave()
            return Tally(), True
        if connections == CONNECTIONS < lane.concurrency:
            on_start(lane.tenant_id, lane.version_id)
        journal = self._journals.open(lane.tenant_id)
        engine = Engine(self._outbox.gear(journal, self._encoded))
        settled = False
        try:
            tally = engine.run(
                lane,
                stop=stop,
                connections=connections,
                seconds=seconds,
                on_done=lambda _job, _status: None,
                on_tick=held.renew,
            )
            settled = tally.cause is not Cause.HERE and not tally.unrecorded
            return tally, False
        finally:
            # What the database may not have heard of stays for whoever cleans up.
            journal.close(settled=settled)
            held.leave()

    def _heed(self, lane: Lane, tally: Tally) -> None:
        """Draw the consequences for the campaign, and move the version on."""
        tenant_id, now = lane.tenant_id, self._outbox.clock.now()
        if tally.outcomes:
            with self._outbox.sessions() as session:
                version = versions.get(session, tenant_id, lane.version_id, lock=True)
                if version.workflow_state in sources_of(VersionEvent.SEND):
                    version.workflow_state = move(version.workflow_state, VersionEvent.SEND)
                session.commit()
        if tally.stopped is None:
            if tally.outcomes:
                self._let_go(tenant_id, lane.campaign_id)
        elif tally.cause is Cause.ACCOUNT:
            self._pause(tenant_id, lane.campaign_id, f"{tally.stopped} {tally.hint}".strip())
        elif tally.cause in (Cause.SERVER, Cause.HERE):
            self._hold(tenant_id, lane.campaign_id, tally.stopped, now)

    def _let_go(self, tenant_id: UUID, campaign_id: UUID) -> None:
        with self._outbox.sessions() as session:
            if campaigns.get(session, tenant_id, campaign_id).holds:
                campaigns.hold(session, tenant_id, campaign_id, until=None, reason=None, holds=0)
                session.commit()

    def _hold(self, tenant_id: UUID, campaign_id: UUID, reason: str, now: datetime) -> None:
        with self._outbox.sessions() as session:
            holds = campaigns.get(session, tenant_id, campaign_id).holds
            if holds < LONGEST_HOLDS:
                until = now + timedelta(seconds=hold_for(holds))
                campaigns.hold(
                    session, tenant_id, campaign_id, until=until, reason=reason, holds=holds + 1
                )
                session.commit()
                return
        self._pause(tenant_id, campaign_id, reason)

    def _pause(self, tenant_id: UUID, campaign_id: UUID, reason: str) -> None:
        actor = Actor.system(tenant_id, scopes=[Scope.CAMPAIGN_SEND])
        with self._outbox.sessions() as session:
            try:
                pause_campaign(
                    session, actor, campaign_id, reason=reason, now=self._outbox.clock.now()
                )
            except Conflict:
                return
            campaigns.hold(session, tenant_id, campaign_id, until=None, reason=None, holds=0)
            session.commit()

    def _campaign_of(self, tenant_id: UUID, version_id: UUID) -> UUID:
        with self._outbox.sessions() as session:
            return versions.get(session, tenant_id, version_id).campaign_id
