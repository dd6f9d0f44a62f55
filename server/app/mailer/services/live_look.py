"""One look at a campaign that somebody watches: few statements, and none over all of its letters.

What cannot have changed since the last look is remembered, and not asked again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from app.db.models import Campaign
from app.db.repositories import accounts, campaigns, live, versions
from app.db.repositories.live import Activity, BuiltVersion
from app.mailer.domain.campaign import RateLimit, SendWindow
from app.mailer.domain.delivery.figures import Trouble
from app.mailer.domain.delivery.job import OPEN, ImapStatus, SendStatus
from app.mailer.domain.mail_account import AccountTerms
from app.mailer.services.account_servers import terms_of

#: How many letters that met trouble are named.
ERRORS = 10
#: Looks after which those are read again although no count changed: one may have failed anew.
_ERRORS_AGAIN = 5

TROUBLE = (SendStatus.FAILED, SendStatus.IN_DOUBT, SendStatus.DEFERRED)

Part = TypeVar("Part", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a version's file says of its delivery."""

    limit: RateLimit
    window: SendWindow | None
    account: str | None


@dataclass(slots=True)
class Known:
    """Of a built version: how many letters it has, and how most of them stood last."""

    total: int
    send: SendStatus
    imap: ImapStatus


@dataclass(slots=True)
class Memory:
    """What the looks at one campaign remember for the next one."""

    known: dict[tuple[UUID, UUID | None], Known] = field(default_factory=dict)
    terms: dict[tuple[UUID, int], Terms] = field(default_factory=dict)
    errors: Sequence[Trouble] = ()
    errors_of: Mapping[UUID, tuple[int, ...]] = field(default_factory=dict)
    errors_used: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look into the database found."""

    campaign: Campaign
    built: Sequence[BuiltVersion]
    letters: Mapping[UUID, Counter[SendStatus]]
    copies: Counter[ImapStatus]
    active: Sequence[BuiltVersion]
    activity: Activity
    errors: Sequence[Trouble]
    terms: Terms | None
    account: AccountTerms | None

    @property
    def all_letters(self) -> Counter[SendStatus]:
        return sum(self.letters.values(), Counter())


def look_at(session: Session, memory: Memory, tenant_id: UUID, campaign_id: UUID) -> Seen:
    campaign = campaigns.get(session, tenant_id, campaign_id)
    built = live.built_versions(session, tenant_id, campaign_id)
    letters: dict[UUID, Counter[SendStatus]] = {}
    copies: Counter[ImapStatus] = Counter()
    for version in built:
        letters[version.id], filed = _counted(session, memory, tenant_id, version)
        copies += filed
    active = [each for each in built if any(letters[each.id][status] for status in OPEN)]
    terms = account = None
    if built:
        terms = _terms(session, memory, tenant_id, (active or built)[0])
        if terms.account is not None:
            row = accounts.for_campaign(session, tenant_id, campaign_id, terms.account)
            account = None if row is None else terms_of(row)
    return Seen(
        campaign=campaign,
        built=built,
        letters=letters,
        copies=copies,
        active=active,
        activity=live.activity(session, tenant_id, [each.id for each in active]),
        errors=_errors(session, memory, tenant_id, built, letters),
        terms=terms,
        account=account,
    )


def _counted(
    session: Session, memory: Memory, tenant_id: UUID, version: BuiltVersion
) -> tuple[Counter[SendStatus], Counter[ImapStatus]]:
    """A built version has as many letters as ever, so those of one state need no counting."""
    key = version.id, version.build_id
    known = memory.known.get(key)
    send = live.letters(session, tenant_id, version.id, but=known.send if known else None)
    if known is None:
        total = send.total()
        imap = live.copies(session, tenant_id, version.id)
    else:
        total = known.total
        imap = live.copies(session, tenant_id, version.id, but=known.imap)
        send[known.send] = total - send.total()
        imap[known.imap] = total - imap.total()
    memory.known[key] = Known(
        total,
        max(send, key=send.__getitem__, default=SendStatus.UNQUEUED),
        max(imap, key=imap.__getitem__, default=ImapStatus.NOT_REQUESTED),
    )
    del imap[ImapStatus.NOT_REQUESTED]
    return send, imap


def _terms(session: Session, memory: Memory, tenant_id: UUID, version: BuiltVersion) -> Terms:
    """A version's terms; its file can be large, so it is read again only where it changed."""
    key = version.id, version.revision
    if key not in memory.terms:
        config = versions.get(session, tenant_id, version.id).config
        delivery, server = config.get("delivery"), config.get("server")
        said = delivery if isinstance(delivery, dict) else {}
        memory.terms.clear()
        memory.terms[key] = Terms(
            _part(RateLimit, said.get("rate_limit")) or RateLimit(),
            _part(SendWindow, said.get("send_window")),
            server.get("account") if isinstance(server, dict) else None,
        )
    return memory.terms[key]


def _part(kind: type[Part], said: Any) -> Part | None:
    if said is None:
        return None
    try:
        return kind.model_validate(said)
    except ValidationError:
        return None


def _errors(
    session: Session,
    memory: Memory,
    tenant_id: UUID,
    built: Sequence[BuiltVersion],
    letters: Mapping[UUID, Counter[SendStatus]],
) -> Sequence[Trouble]:
    counts = {each.id: tuple(letters[each.id][status] for status in TROUBLE) for each in built}
    memory.errors_used += 1
    if counts == memory.errors_of and memory.errors_used < _ERRORS_AGAIN:
        return memory.errors
    numbers = {each.id: each.number for each in built if any(counts[each.id])}
    faults = live.faults(session, tenant_id, list(numbers), limit=ERRORS)
    memory.errors = [
        Trouble(
            each.at,
            each.entry_id,
            numbers[each.version_id],
            each.send_status,
            each.code,
            each.reply or each.error,
        )
        for each in faults
    ]
    memory.errors_of, memory.errors_used = counts, 0
    return memory.errors
