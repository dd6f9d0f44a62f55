"""The chain of a tenant's audit log: each entry carries a hash over itself and the hash before it.

Whoever changes, removes, adds or swaps entries breaks it, and whoever cuts off its end is told on
by the head that was noted elsewhere. The form, which can never change without a migration:

- The first entry follows `genesis(tenant_id)`: SHA-256 of the tenant's id in its usual spelling.
- The content of an entry is a JSON object of exactly the members `FIELDS`. Ids are in their usual
  spelling, `at` is UTC to the microsecond (`2026-03-01T12:00:00.000000Z`).
- The content's hash is SHA-256 of its canonical text. Canonical: no blanks; keys sorted by code
  point; strings as ASCII, everything else in them as `\\uXXXX` (lower-case hex, surrogate pairs),
  `\\b \\f \\n \\r \\t \\" \\\\` short; a number as its exact decimal value, digits without zeros at
  either end and the power of ten: 0 is `0e0`, 1500 is `15e2`, -0.5 is `-5e-1`. So it does not
  matter how a database spells a number, or in which order it keeps keys.
- The entry's hash is SHA-256 of the previous entry's hash followed by the content's hash.

All hashes are written as 64 lower-case hexadecimal digits, and hashed as that text. Since what an
entry says counts only by its hash, a chain can be followed across entries that are not shown.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

#: The members of an entry that its hash covers: all but the hashes themselves.
FIELDS = (
    "id",
    "tenant_id",
    "sequence",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "address",
    "action",
    "object_type",
    "object_id",
    "details",
    "before",
    "after",
)


_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: the number of its last entry and that one's hash."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """From what `str` gives; `ValueError` for anything else."""
        found = _HEAD.fullmatch(text)
        if found is None:
            raise ValueError("A head is a number, a colon and 64 hexadecimal digits.")
        return cls(int(found[1]), found[2])


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where a chain is not what it must be, and why."""

    sequence: int
    reason: str


def genesis(tenant_id: UUID | str) -> str:
    """What the first entry of a tenant has as its previous hash."""
    return hashlib.sha256(str(tenant_id).encode()).hexdigest()


def content_hash(entry: Mapping[str, object]) -> str:
    """The hash of what an entry says: of its members `FIELDS`; `KeyError` where one is absent."""
    text = canonical({name: entry[name] for name in FIELDS})
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def link(previous: str, content: str) -> str:
    """The hash of an entry, from the hash of the one before and that of its own content."""
    return hashlib.sha256((previous + content).encode("ascii")).hexdigest()


def moment(at: datetime) -> str:
    """A time as entries spell it; one without a zone is UTC."""
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return aware.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def canonical(value: object) -> str:
    """The canonical text of a JSON value; `TypeError` for what JSON does not know."""
    if value is None or isinstance(value, bool | str):
        return json.dumps(value)
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, Mapping):
        members = sorted(value.items())
        return "{" + ",".join(f"{json.dumps(key)}:{canonical(item)}" for key, item in members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _number(value: float | Decimal) -> str:
    # The shortest spelling of a float is the one that databases are given.
    exact = value if isinstance(value, int | Decimal) else Decimal(repr(value))
    sign, digits, exponent = Decimal(exact).as_tuple()
    if not isinstance(exponent, int):
        raise TypeError("NaN and infinity have no place in JSON")
    whole = "".join(map(str, digits)).lstrip("0")
    short = whole.rstrip("0")
    if not short:
        return "0e0"
    return f"{'-' if sign else ''}{short}e{exponent + len(whole) - len(short)}"


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as the chain sees it; `content` is the hash of what it says."""

    sequence: int
    previous_hash: str
    content: str
    hash: str


class Walk:
    """Follows a chain link by link and stops at the first that does not fit.

    `begin` is where it is known to stand: nothing, or the head of what was proved before.
    """

    def __init__(self, tenant_id: UUID | str, begin: Head | None = None) -> None:
        self.head = begin or Head(0, genesis(tenant_id))

    def step(self, found: Link) -> Break | None:
        """Goes on to a link, in the order of `sequence`; why it cannot, if so."""
        wanted = self.head.sequence + 1
        if found.sequence > wanted:
            return Break(wanted, "it is missing")
        if found.sequence < wanted:
            return Break(found.sequence, "its number is no entry's, or is used twice")
        if found.previous_hash != self.head.hash:
            return Break(wanted, "it does not follow the entry before it")
        if found.hash != link(found.previous_hash, found.content):
            return Break(wanted, "its content is not what was recorded")
        self.head = Head(wanted, found.hash)
        return None
