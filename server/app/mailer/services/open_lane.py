"""The way out of one version's letters: by which account, how fast, how often they are tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.db.repositories import budgets, versions
from app.mailer.domain.campaign import Campaign, RateLimit, ResolvedServer
from app.mailer.domain.delivery.retry import RetryPolicy
from app.mailer.domain.delivery.window import next_open
from app.mailer.domain.mail_account import AccountTerms
from app.mailer.domain.mime.frame import Base64Cache
from app.mailer.ports import (
    Allowance,
    BlobStore,
    Clock,
    Journal,
    MailTransport,
    RateLimiter,
    SecretBox,
    ServerAccess,
)
from app.mailer.services.import_campaign import stored_campaign
from app.mailer.services.lane import LEASE, Gear, Lane
from app.mailer.services.server_access import SmtpOverrides, smtp_access, wants_sent_copy


def _hang_up(_access: ServerAccess, transport: MailTransport) -> None:
    transport.close()


@dataclass(frozen=True, slots=True)
class Outbox:
    """The ports that sending needs."""

    sessions: sessionmaker[Session]
    blobs: BlobStore
    limiter: RateLimiter
    clock: Clock
    box: SecretBox
    connect: Callable[[ServerAccess], MailTransport]
    overrides: SmtpOverrides
    disconnect: Callable[[ServerAccess, MailTransport], None] = _hang_up
    #: How long a worker that says nothing keeps its jobs, and how many of them a connection may
    #: have past the point of no return.
    lease: timedelta = LEASE
    window: int = 1

    def gear(self, journal: Journal, encoded: Base64Cache) -> Gear:
        """What an engine of this outbox works with; `encoded` may outlive it."""
        return Gear(
            self.sessions,
            self.blobs,
            self.limiter,
            journal,
            self.clock,
            encoded,
            self.window,
            self.lease,
        )


@dataclass(frozen=True, slots=True)
class Terms:
    retry: RetryPolicy
    append_sent: bool


def open_lane(
    outbox: Outbox,
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    *,
    rate_limit: bool = True,
) -> Lane:
    """What a run needs to send letters of a version; `ConfigurationError` without a server."""
    version = versions.get(session, tenant_id, version_id)
    campaign_id = version.campaign_id
    campaign = stored_campaign(version, outbox.box)
    access = smtp_access(campaign, outbox.overrides)
    server = campaign.server
    account = server.terms if isinstance(server, ResolvedServer) else None
    own, at_most = campaign.delivery.rate_limit, account.concurrency if account else None
    terms = _terms_of(campaign)
    window = campaign.delivery.send_window
    limited = allowances_of(
        outbox.sessions, outbox.clock, tenant_id, campaign_id, account, own if rate_limit else None
    )

    def opens() -> datetime | None:
        now = outbox.clock.now()
        opening = next_open(window, now)
        return opening if opening > now else None

    return Lane(
        tenant_id=tenant_id,
        campaign_id=campaign_id,
        version_id=version_id,
        account=limited[0],
        campaign=limited[1],
        own_concurrency=own.concurrency,
        account_concurrency=own.concurrency if at_most is None else at_most,
        retry=terms.retry,
        append_sent=terms.append_sent,
        connect=lambda: outbox.connect(access),
        disconnect=lambda transport: outbox.disconnect(access, transport),
        opens=opens,
    )


def allowances_of(
    sessions: sessionmaker[Session],
    clock: Clock,
    tenant_id: UUID,
    campaign_id: UUID,
    account: AccountTerms | None,
    own: RateLimit | None,
) -> tuple[Allowance, Allowance]:
    """What limits a campaign's letters: its mail account's limits, and its own.

    Whoever asks a limiter about them asks with these: a limiter that forgot what the account sent
    hears of it from the database.
    """
    campaign = Allowance(f"campaign:{campaign_id}", own.messages_per_minute if own else None)
    if account is None:
        return Allowance(f"account-of:{campaign_id}"), campaign
    return (
        Allowance(
            f"account:{account.id}",
            account.per_minute,
            account.per_hour,
            account.per_day,
            partial(_sent_lately, sessions, clock, tenant_id, account.id),
        ),
        campaign,
    )


def _sent_lately(
    sessions: sessionmaker[Session], clock: Clock, tenant_id: UUID, account_id: UUID
) -> list[tuple[float, int]]:
    with sessions() as session:
        return budgets.sent_lately(session, tenant_id, account_id, clock.now())


def terms_of(session: Session, tenant_id: UUID, version_id: UUID, box: SecretBox) -> Terms:
    """What recovery has to know of a version's delivery."""
    return _terms_of(stored_campaign(versions.get(session, tenant_id, version_id), box))


def _terms_of(campaign: Campaign) -> Terms:
    retry = campaign.delivery.retry
    return Terms(
        RetryPolicy(
            max_attempts=retry.max_attempts,
            backoff=timedelta(seconds=retry.backoff_seconds),
            max_age=timedelta(hours=retry.max_age_hours),
        ),
        wants_sent_copy(campaign),
    )
