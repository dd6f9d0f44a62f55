"""Which of a version's letters are queued now, so that ten can go before ten thousand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.mailer.domain.errors import MailerError

#: More entries than these are chosen by a number, not by their names.
MOST_CHOSEN = 1000
#: Seeds are below it, and so are the ranks of positions. A prime (Mersenne's eighth).
PRIME = 2**31 - 1


@dataclass(frozen=True, slots=True)
class First:
    """The first `count`, in the order of the source."""

    count: int


@dataclass(frozen=True, slots=True)
class Random:
    """Any `count`, always the same ones of a build for one seed; None: somebody makes one."""

    count: int
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """These entries and no other."""

    entry_ids: tuple[str, ...]


Sample = First | Random | Chosen


def check_sample(sample: Sample) -> None:
    """Raises `MailerError` for a sample that nobody can draw."""
    if isinstance(sample, Chosen):
        if not sample.entry_ids:
            raise MailerError("No entry was named.", "Name entries by their ids.")
        if len(sample.entry_ids) > MOST_CHOSEN:
            raise MailerError(
                f"{len(sample.entry_ids)} entries are named, and {MOST_CHOSEN} may be.",
                "Queue them in several steps, or take the first ones by their number.",
            )
        return
    if sample.count < 1:
        raise MailerError(f"A sample of {sample.count} letters is none.", "Ask for one or more.")
    if isinstance(sample, Random) and sample.seed is not None and not 0 <= sample.seed < PRIME:
        raise MailerError(
            f"{sample.seed} is no seed.", f"A seed is a whole number from 0 to {PRIME - 1}."
        )


def lots(version_id: UUID, seed: int) -> tuple[int, int]:
    """What `rank` mixes positions with: other ones for each seed and each version."""
    digest = hashlib.sha256(f"{version_id}:{seed}".encode()).digest()
    return 1 + int.from_bytes(digest[:8]) % (PRIME - 1), int.from_bytes(digest[8:16]) % PRIME


def rank(position: Any, drawn: tuple[int, int]) -> Any:
    """Where the letter at `position` comes in an order by chance; no two come at the same place.

    Of a number, and as well of a column of 64 bits: with these operations alone, every database
    gives the same order as Python. Both steps are permutations modulo the prime (the fifth power,
    since 5 divides no `PRIME - 1`), and no product is longer than 62 bits.
    """
    factor, shift = drawn
    mixed = (position * factor + shift) % PRIME
    square = mixed * mixed % PRIME
    return square * square % PRIME * mixed % PRIME
