"""Slows down whoever guesses passwords: by account, known or not, and by where they come from.

Each try counts before its password is looked at, so a crowd of tries at once gains nothing, and is
taken back when it was right. A block is short, grows with every failure behind the free ones, and
never lasts longer than `LONGEST`: else guessing would be a way to lock somebody else out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from sqlalchemy.orm import Session

from app.db.repositories.access import throttles
from app.mailer.domain.errors import TooManyTries

LONGEST = timedelta(minutes=15)
_FIRST = timedelta(seconds=5)
_IPV6_NETWORK_BITS = 64


@dataclass(frozen=True, slots=True)
class Rule:
    """So many failures are free, and one is forgotten each time that `forgets` passes."""

    free: int
    forgets: timedelta


ACCOUNT = Rule(free=5, forgets=timedelta(minutes=15))
#: An office behind one address has many people who mistype.
ADDRESS = Rule(free=30, forgets=timedelta(minutes=1))
#: By then every failure is forgotten, since no block is longer than LONGEST.
_FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Count:
    """Failures as of a moment, and until when no further try is taken."""

    failures: int
    as_of: datetime
    blocked_until: datetime | None


@dataclass(frozen=True, slots=True)
class Counter:
    """What tries are counted under."""

    key_hash: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Try:
    """A try that was counted, so that it can be taken back: each key with the block it made."""

    blocks: tuple[tuple[str, datetime | None], ...]


def counters(tenant_slug: str, email: str, address: str | None) -> list[Counter]:
    """What a sign-in counts under: the account, whether there is one or not, and the address.

    Of an IPv6 address it is the network of 64 bits, which is what one subscriber gets.
    """
    found = [Counter(_hash("account", tenant_slug.lower(), email.lower()), ACCOUNT)]
    if address is not None:
        found.append(Counter(_hash("address", _network(address)), ADDRESS))
    # Two tries that share both lock them in one order.
    return sorted(found, key=lambda counter: counter.key_hash)


def count_try(session: Session, wanted: Iterable[Counter], now: datetime) -> Try:
    """Counts a try; `TooManyTries` where one is blocked, and then none counts.

    The caller commits before it looks at the password, or rolls back.
    """
    throttles.forget(session, now - _FORGOTTEN)
    blocks = []
    for counter in wanted:
        row = throttles.lock(session, counter.key_hash, now)
        before = Count(row.failures, row.updated_at, row.blocked_until)
        after = counted(before, counter.rule, now)
        row.failures, row.updated_at, row.blocked_until = (
            after.failures,
            after.as_of,
            after.blocked_until,
        )
        session.flush()
        blocks.append((counter.key_hash, after.blocked_until))
    return Try(tuple(blocks))


def take_back(session: Session, tried: Try) -> None:
    """The try was no failure."""
    for key_hash, blocked_until in tried.blocks:
        throttles.give_back(session, key_hash, blocked_until)


def forgive(session: Session, wanted: Iterable[Counter]) -> None:
    """Somebody signed in: the account's failures are forgotten, those of the address are not."""
    for counter in wanted:
        if counter.rule is ACCOUNT:
            throttles.reset(session, counter.key_hash)


def counted(count: Count, rule: Rule, now: datetime) -> Count:
    """`count` with one more try, or `TooManyTries` while a block lasts."""
    if count.blocked_until is not None and now < count.blocked_until:
        wait = count.blocked_until - now
        raise TooManyTries(
            "Too many tries to sign in failed.",
            "Wait, then try again; an administrator can set a new password.",
            wait_seconds=-(-wait // timedelta(seconds=1)),
        )
    forgotten = max(0, (now - count.as_of) // rule.forgets)
    failures = max(0, count.failures - forgotten)
    as_of = count.as_of + forgotten * rule.forgets if failures else now
    failures += 1
    over = failures - rule.free
    block = min(LONGEST, _FIRST * 2 ** min(over - 1, 20)) if over > 0 else None
    return Count(failures, as_of, None if block is None else now + block)


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> (128 - _IPV6_NETWORK_BITS):x}"


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
