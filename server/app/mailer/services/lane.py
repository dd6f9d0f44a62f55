"""What a run of the engine is told, and what it tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.db.repositories.delivery import Claimed
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.delivery.retry import RetryPolicy
from app.mailer.domain.mime.frame import Base64Cache
from app.mailer.ports import Allowance, BlobStore, Clock, Journal, MailTransport, RateLimiter

#: Longer than the longest wait for a reply to the dot (RFC 5321, 4.5.3.2.6: ten minutes). A dead
#: worker on this machine is known by its journal's free lock, so nobody waits for this here.
LEASE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Gear:
    """The ports that sending uses, shared by all connections; `encoded` saves encoding again.

    `window` is how many messages a connection may have past the point of no return at once, where
    nothing limits the pace; `lease` is how long a worker that says nothing keeps its jobs.
    """

    sessions: sessionmaker[Session]
    blobs: BlobStore
    limiter: RateLimiter
    journal: Journal
    clock: Clock
    encoded: Base64Cache
    window: int = 1
    lease: timedelta = LEASE


@dataclass(frozen=True, slots=True)
class Lane:
    """One version's way out: whose jobs, by which account, how fast, how often."""

    tenant_id: UUID
    campaign_id: UUID
    version_id: UUID
    #: What limits it: the mail account, by which connections and complaints are counted, and the
    #: campaign.
    account: Allowance
    campaign: Allowance
    #: Connections at once: of this campaign, and of all that leave by its account.
    own_concurrency: int
    account_concurrency: int
    retry: RetryPolicy
    #: Whether a copy is to be filed in the Sent folder.
    append_sent: bool
    connect: Callable[[], MailTransport]
    #: What becomes of a connection when a run is over: closed, or kept for the next one.
    disconnect: Callable[[MailTransport], None]
    #: When the send window opens, or None while it is open.
    opens: Callable[[], datetime | None]

    @property
    def concurrency(self) -> int:
        """Connections that this version's letters may have at once."""
        return min(self.own_concurrency, self.account_concurrency)

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
    cause: Cause | None = None
    #: Some of what was done could not be written down; the journal has it.
    unrecorded: bool = False


class Cause(Enum):
    """What is at fault when a whole run has to end."""

    #: No letter of the account can go before a person has mended something.
    ACCOUNT = "account"
    #: The server cannot be reached, or says again and again that this is too fast: it passes.
    SERVER = "server"
    #: This installation: its disk, its file store, its limits, its database.
    HERE = "here"
    #: Nothing is at fault: somebody paused the campaign, or its window has closed.
    NOBODY = "nobody"


class Stopped(Exception):
    """The whole run has to end: it is no job's fault."""

    def __init__(self, cause: Cause, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.cause = cause
        self.reason = reason
        self.hint = hint


OnDone = Callable[[Claimed, SendStatus], None]
