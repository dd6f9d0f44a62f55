from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from app.access import passwords
from app.access.passwords import (
    check_new_password,
    hash_password,
    verify_against_nobody,
    verify_password,
)
from app.mailer.domain.errors import MailerError

KNOWN = ["ada@example.org", "ada", "acme", "Acme Society Berlin"]


def test_passwords() -> None:
    stored = hash_password("kennwört")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert verify_password("kennwört", stored)
    assert not verify_password("kennwort", stored)


def test_a_damaged_hash_fits_no_password() -> None:
    assert not verify_password("x", "")
    assert not verify_password("x", "$argon2id$broken")


def test_a_letter_of_two_characters_is_the_same_letter() -> None:
    assert verify_password("kennwo\u0308rt", hash_password("kennw\u00f6rt"))


class Counting:
    """The hasher, which notes what it did, and how many did it at once."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.verified: list[str] = []

    def verify(self, password: str, stored: str) -> bool:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.verified.append(stored)
        time.sleep(0.02)
        with self._lock:
            self._now -= 1
        return bool(self._inner.verify(password, stored))


def test_nobody_costs_as_much_as_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = hash_password("a good long password")
    counting = Counting(passwords._HASHER)
    monkeypatch.setattr(passwords, "_HASHER", counting)
    assert not verify_against_nobody("a good long password")
    (nobodys,) = counting.verified
    # Same kind, memory, passes and lanes; only salt and hash differ.
    assert nobodys.split("$")[:4] == stored.split("$")[:4]
    assert [len(part) for part in nobodys.split("$")] == [len(part) for part in stored.split("$")]


def test_no_more_than_four_at_once_take_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cheap:
        def verify(self, _password: str, _stored: str) -> bool:
            return False

    counting = Counting(Cheap())
    monkeypatch.setattr(passwords, "_HASHER", counting)
    threads = [threading.Thread(target=verify_password, args=("x", "y")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counting.verified) == 20
    assert counting.most == 4


@pytest.mark.parametrize(
    "password",
    [
        "",
        "elevenchars",
        "x" * 1025,
        "ADA@example.org",
        "acme society berlin",
        "aaaaaaaaaaaaaaaa",
        "abababababababab",
        "dev-admin",
    ],
)
def test_short_long_and_guessed_passwords_are_refused(password: str) -> None:
    with pytest.raises(MailerError) as caught:
        check_new_password(password, KNOWN)
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize("password", ["twelve chars", "ada@example.org!", "ü" * 3 + "abcdefghi"])
def test_other_passwords_are_taken(password: str) -> None:
    check_new_password(password, KNOWN)
