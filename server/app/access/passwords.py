"""Passwords of people, kept as Argon2id hashes (RFC 9106)."""

from __future__ import annotations

from passlib.hash import argon2

# RFC 9106's second recommended choice: 64 MiB, three passes, four lanes.
_HASHER = argon2.using(type="ID", memory_cost=65536, rounds=3, parallelism=4)


def hash_password(password: str) -> str:
    """The hash to store; it holds its own salt and costs."""
    return str(_HASHER.hash(password))


def verify_password(password: str, stored: str) -> bool:
    """Whether `password` is the one that `stored` was made of; a damaged hash fits none."""
    try:
        return bool(_HASHER.verify(password, stored))
    except ValueError:
        return False
