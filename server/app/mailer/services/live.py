"""Live figures of campaigns, for as many watchers as there are: they share one look a second."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.models import Campaign
from app.db.repositories import live
from app.db.repositories.delivery import Pause
from app.mailer.domain.delivery.figures import Figures, VersionFigures
from app.mailer.domain.delivery.job import OPEN, ImapStatus, SendStatus
from app.mailer.domain.delivery.live import HELD_BACK, Facts, Limit, forecast, verdict
from app.mailer.domain.delivery.pulse import LONG, SHORT, Pulse
from app.mailer.domain.report import every
from app.mailer.ports import Allowance, Clock, LimiterAway, RateLimiter
from app.mailer.services.live_look import TROUBLE, Memory, Seen, look_at
from app.mailer.services.open_lane import allowances_of

#: Seconds that figures are new enough for everybody who asks meanwhile.
FRESH_SECONDS = 0.9
#: A look that takes long is not taken again before so many times as long: watching costs a
#: database at most this part of its time.
_REST = 10
#: Campaigns that one process remembers something of.
_MOST = 200

_ANSWERED = (SendStatus.SENT, *TROUBLE)


@dataclass(slots=True)
class _Track:
    """What this process saw of a campaign; whoever looks at it holds `lock`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    pulse: Pulse = field(default_factory=Pulse)
    memory: Memory = field(default_factory=Memory)
    figures: Figures | None = None
    good_until: float = 0.0
    moved: Counter[SendStatus] | None = None
    active_at: datetime | None = None
    free_since: datetime | None = None


class LiveBoard:
    """The figures of all campaigns that somebody watches in this process.

    `limits_are_shared`: the limiter is the one that senders ask. Where theirs is in another process
    only what is allowed can be told.
    """

    def __init__(
        self,
        reading: sessionmaker[Session],
        limiter: RateLimiter,
        clock: Clock,
        *,
        limits_are_shared: bool,
    ) -> None:
        self._reading = reading
        self._limiter = limiter
        self._clock = clock
        self._limits_are_shared = limits_are_shared
        self._tracks: OrderedDict[tuple[UUID, UUID], _Track] = OrderedDict()
        self._lock = threading.Lock()

    def figures(self, actor: Actor, campaign_id: UUID) -> Figures:
        """How a campaign stands; less than a second old. `NotFound` where there is none."""
        require_scope(actor, Scope.CAMPAIGN_READ)
        track = self._track(actor.tenant_id, campaign_id)
        with track.lock:
            began = self._clock.monotonic()
            if track.figures is None or began >= track.good_until:
                track.figures = self._look(track, actor.tenant_id, campaign_id, began)
            return track.figures

    def _track(self, tenant_id: UUID, campaign_id: UUID) -> _Track:
        key = tenant_id, campaign_id
        with self._lock:
            track = self._tracks.setdefault(key, _Track())
            self._tracks.move_to_end(key)
            while len(self._tracks) > _MOST:
                self._tracks.popitem(last=False)
            return track

    def _look(self, track: _Track, tenant_id: UUID, campaign_id: UUID, at: float) -> Figures:
        with self._reading() as session:
            now = self._clock.now()
            seen = look_at(session, track.memory, tenant_id, campaign_id)
            sent = seen.all_letters[SendStatus.SENT]
            if track.pulse.knows(at):
                track.pulse.add(at, sent)
            else:
                self._begin(session, track, seen, now, at)
        took = self._clock.monotonic() - at
        track.good_until = at + max(FRESH_SECONDS, took * _REST)
        _note_moves(track, seen, now)
        limits, away = self._limits(campaign_id, seen)
        return _figures(track, seen, limits, away, now)

    def _begin(self, session: Session, track: _Track, seen: Seen, now: datetime, at: float) -> None:
        """Make up for the counts that nobody took, from the times of the letters sent last."""
        ids = [each.id for each in seen.built if seen.letters[each.id][SendStatus.SENT]]
        tenant_id, since = seen.campaign.tenant_id, now - timedelta(seconds=LONG)
        moments = live.last_sent(session, tenant_id, ids, since)
        ages = [max(0.0, (now - each).total_seconds()) for each in moments]
        is_all = len(moments) < live.PROBE
        track.pulse.begin(at, seen.all_letters[SendStatus.SENT], ages, is_all=is_all)
        track.active_at = _latest(track.active_at, *moments[:1])

    def _limits(self, campaign_id: UUID, seen: Seen) -> tuple[list[Limit], str | None]:
        """The limits that hold, and why they cannot be asked. No session is open meanwhile."""
        if seen.terms is None:
            return [], None
        names = (
            ("account", seen.account.name if seen.account else "the mail server"),
            (
                "campaign",
                "this campaign",
            ),
        )
        allowances = allowances_of(
            self._reading,
            self._clock,
            seen.campaign.tenant_id,
            campaign_id,
            seen.account,
            seen.terms.limit,
        )
        bare = [_bare(of, name, each) for (of, name), each in zip(names, allowances, strict=True)]
        try:
            found = self._limiter.standing(allowances)
        except LimiterAway as away:
            return bare, str(away)
        if not self._limits_are_shared:
            return bare, None
        standing = {each.key: each for each in found}
        limits = []
        for limit, allowance in zip(bare, allowances, strict=True):
            stands = standing[allowance.key]
            limits.append(
                Limit(
                    of=limit.of,
                    name=limit.name,
                    per_minute=limit.per_minute,
                    per_hour=limit.per_hour,
                    per_day=limit.per_day,
                    pace_per_minute=stands.pace,
                    share=stands.share,
                    wait_seconds=stands.wait,
                    this_hour=stands.this_hour,
                    today=stands.today,
                    connections=stands.connections,
                )
            )
        return limits, None


def _note_moves(track: _Track, seen: Seen, now: datetime) -> None:
    """Somebody sends where more letters have an answer than before, or one was just claimed."""
    letters = seen.all_letters
    answered = Counter({status: letters[status] for status in _ANSWERED})
    if track.moved is not None and any(answered[each] > track.moved[each] for each in _ANSWERED):
        track.active_at = now
    track.moved = answered
    met = [each.at for each in seen.errors if each.at is not None]
    track.active_at = _latest(track.active_at, seen.activity.claimed_at, *met)


def _figures(
    track: _Track, seen: Seen, limits: Sequence[Limit], away: str | None, now: datetime
) -> Figures:
    letters, campaign = seen.all_letters, seen.campaign
    waiting = sum(letters[status] for status in OPEN)
    short, long = track.pulse.per_second(SHORT), track.pulse.per_second(LONG)
    starts = [each.starts_at for each in seen.active]
    facts = Facts(
        now=now,
        waiting=waiting,
        in_hand=sum(letters[status] for status in live.IN_HAND),
        only_deferred=not letters[SendStatus.QUEUED],
        began=letters.total() > letters[SendStatus.UNQUEUED],
        copies_pending=seen.copies[ImapStatus.PENDING],
        pause=_pause(campaign),
        held_until=campaign.held_until,
        hold_reason=campaign.hold_reason,
        starts_at=min((each for each in starts if each), default=None) if all(starts) else None,
        window=None if seen.terms is None else seen.terms.window,
        due_at=seen.activity.due_at,
        active_at=track.active_at,
        free_since=_latest(track.free_since, campaign.held_until),
        limits_away=away,
        limits=limits,
        per_second=track.pulse.steady,
    )
    found = verdict(facts)
    if found.state in HELD_BACK:
        track.free_since = now
    end = forecast(facts, found)
    return Figures(
        at=now,
        campaign_id=campaign.id,
        external_id=campaign.external_id,
        name=campaign.name,
        state=found.state,
        text=found.text,
        until=found.until,
        is_over=found.is_over,
        letters=every(SendStatus, letters),
        newest=_newest(seen),
        sent=letters[SendStatus.SENT],
        remaining=waiting,
        failed=letters[SendStatus.FAILED],
        in_doubt=letters[SendStatus.IN_DOUBT],
        per_second_10=_rounded(short),
        per_second_60=_rounded(long),
        expected_end=None if end.at is None else end.at.replace(microsecond=0),
        expected_from=end.basis,
        no_end_reason=end.reason,
        next_due_at=facts.due_at,
        limits=limits,
        copies={status.value: seen.copies[status] for status in ImapStatus if status.value != _NO},
        errors=seen.errors,
    )


_NO = ImapStatus.NOT_REQUESTED.value


def _newest(seen: Seen) -> VersionFigures | None:
    if not seen.built:
        return None
    newest = seen.built[0]
    return VersionFigures(
        newest.id,
        newest.number,
        newest.mode,
        newest.workflow_state.value,
        every(SendStatus, seen.letters[newest.id]),
    )


def _bare(of: str, name: str, allowance: Allowance) -> Limit:
    return Limit(
        of=of,
        name=name,
        per_minute=allowance.per_minute,
        per_hour=allowance.per_hour,
        per_day=allowance.per_day,
    )


def _pause(campaign: Campaign) -> str | None:
    if campaign.paused_at is None:
        return None
    by = campaign.paused_by or "somebody"
    return str(Pause(by, campaign.paused_at, campaign.pause_reason or ""))


def _latest(*moments: datetime | None) -> datetime | None:
    return max((each for each in moments if each is not None), default=None)


def _rounded(pace: float | None) -> float | None:
    return None if pace is None else round(pace, 2)
