"""What tests with a database have in common."""

from __future__ import annotations

import pytest
from passlib.hash import argon2

from app.access import passwords


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing costs little here; what it costs in earnest is a unit test's business."""
    cheap = argon2.using(type="ID", memory_cost=64, rounds=1, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", cheap)
    monkeypatch.setattr(passwords, "_NOBODYS_HASH", cheap.hash("nobody's"))
