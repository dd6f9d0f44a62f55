from __future__ import annotations

from app.access.passwords import hash_password, verify_password


def test_passwords() -> None:
    stored = hash_password("kennwört")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert verify_password("kennwört", stored)
    assert not verify_password("kennwort", stored)


def test_a_damaged_hash_fits_no_password() -> None:
    assert not verify_password("x", "")
    assert not verify_password("x", "$argon2id$broken")
