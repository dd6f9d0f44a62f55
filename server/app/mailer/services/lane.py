"""What a run of the engine is told, and what it tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.db.repositories.delivery import Claimed
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.delivery.retry import RetryPolicy
from app.mailer.domain.mime.frame import Base64Cache
from app.mailer.ports import Allowance, BlobStore, Clock, Journal, MailTransport, RateLimiter


@dataclass(frozen=True, slots=True)
class Gear:
    """The ports that sending uses, shared by all connections; `encoded` saves encoding again."""

    sessions: sessionmaker[Session]
    blobs: BlobStore
    limiter: RateLimiter
    journal: Journal
    clock: Clock
    encoded: Base64Cache


@dataclass(frozen=True, slots=True)
class Lane:
    """One version's way out: whose jobs, by which account, how fast, how often."""

    tenant_id: UUID
    version_id: UUID
    #: What limits it: the mail account, by which connections and complaints are counted, and the
    #: campaign.
    account: Allowance
    campaign: Allowance
    concurrency: int
    retry: RetryPolicy
    #: Whether a copy is to be filed in the Sent folder.
    append_sent: bool
    connect: Callable[[], MailTransport]
    #: When the send window opens, or None while it is open.
    opens: Callable[[], datetime | None]

    @property
    def allowances(self) -> tuple[Allowance, ...]:
        return self.account, self.campaign

    @property
    def is_paced(self) -> bool:
        """Whether anything limits how fast letters may leave."""
        return any(each.is_limit for each in self.allowances)


@dataclass(slots=True)
class Tally:
    """What a run did. `stopped` says why it ended before everything due was tried."""

    outcomes: Counter[SendStatus] = field(default_factory=Counter)
    stopped: str | None = None
    hint: str = ""


class Stopped(Exception):
    """The whole run has to end: the account, the disk or the database is at fault, not a job."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


OnDone = Callable[[Claimed, SendStatus], None]
