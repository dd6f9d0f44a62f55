"""Passwords of people, kept as Argon2id hashes (RFC 9106)."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable

from passlib.hash import argon2

from app.mailer.domain.errors import MailerError

MIN_LENGTH, MAX_LENGTH = 12, 1024

#: Everybody can read it here, so it is refused outside of development, whatever is stored.
DEVELOPMENT_PASSWORD = "dev-admin"  # noqa: S105

# RFC 9106's second recommended choice: 64 MiB, three passes, four lanes.
_HASHER = argon2.using(type="ID", memory_cost=65536, rounds=3, parallelism=4)
#: Of a text that nobody knows, at the costs above.
_NOBODYS_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$JUQoZewdo9S6V6q1ljKGsA$H5N4C1"
    "ILtJ+DVK5OTY6CDeAem8xaWPAHHPL2QxnXGSg"
)
#: Each takes 64 MiB, so no crowd at the door may take all memory there is.
_AT_ONCE = threading.BoundedSemaphore(4)


def hash_password(password: str) -> str:
    """The hash to store; it holds its own salt and costs."""
    with _AT_ONCE:
        return str(_HASHER.hash(_typed(password)))


def verify_password(password: str, stored: str) -> bool:
    """Whether `password` is the one that `stored` was made of; a damaged hash fits none."""
    with _AT_ONCE:
        try:
            return bool(_HASHER.verify(_typed(password), stored))
        except ValueError:
            return False


def verify_against_nobody(password: str) -> bool:
    """Works as long as `verify_password` does, so that time does not tell who has an account."""
    verify_password(password, _NOBODYS_HASH)
    return False


def check_new_password(password: str, known: Iterable[str]) -> None:
    """Raises `MailerError` where a password is too short, too long or easily guessed.

    `known` are texts that a guesser tries first: the address, its part before the @, the tenant.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise MailerError(
            f"A password has at least {MIN_LENGTH} characters, and at most {MAX_LENGTH}.",
            "Some words that do not belong together make a good one.",
        )
    guessed = {each.casefold() for each in (*known, DEVELOPMENT_PASSWORD)}
    if password.casefold() in guessed or len(set(password)) < 4:
        raise MailerError(
            "This password is too easy to guess.",
            "It may not be your address or your tenant, nor one letter over and over.",
        )


def _typed(password: str) -> str:
    # One keyboard sends ü as one character, another as two.
    return unicodedata.normalize("NFC", password)
