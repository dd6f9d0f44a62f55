from __future__ import annotations

import re
from base64 import b32decode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.access.second_factor import (
    hash_recovery_code,
    key_text,
    key_uri,
    matching_step,
    new_key,
    new_recovery_codes,
)

#: RFC 6238, appendix B, with the six last digits of its eight.
KEY = b"12345678901234567890"
VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
    (20000000000, "353130"),
]
ADA = UUID(int=1)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_the_vectors_of_the_rfc(seconds: int, code: str) -> None:
    assert matching_step(KEY, code, at(seconds)) == seconds // 30
    assert matching_step(KEY, f"{code[:3]} {code[3:]}", at(seconds)) == seconds // 30


def test_a_clock_may_be_off_by_a_step_and_no_more() -> None:
    step = 1111111111 // 30
    begin = at(step * 30)
    for seconds in (-30, -1, 0, 29, 59):
        assert matching_step(KEY, "050471", begin + timedelta(seconds=seconds)) == step
    for seconds in (-31, 60):
        assert matching_step(KEY, "050471", begin + timedelta(seconds=seconds)) is None


@pytest.mark.parametrize("code", ["", "000000", "05047", "0504711", "٠٥٠٤٧١", "abcdef", "+50471"])
def test_what_is_no_code_fits_never(code: str) -> None:
    assert matching_step(KEY, code, at(1111111111)) is None


def test_keys_are_random_and_written_as_apps_read_them() -> None:
    key = new_key()
    assert len(key) == 20
    assert key != new_key()
    assert b32decode(key_text(key)) == key
    uri = key_uri(key, "ada@example.org")
    assert uri.startswith("otpauth://totp/MultiMailer:ada%40example.org?")
    assert f"secret={key_text(key)}" in uri


def test_recovery_codes_are_of_80_bits_each_and_known_however_they_are_typed() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    for code in codes:
        assert re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", code)
    code = codes[0]
    stored = hash_recovery_code(ADA, code)
    assert code not in stored
    assert hash_recovery_code(ADA, code.upper().replace("-", " ")) == stored
    assert hash_recovery_code(UUID(int=2), code) != stored
    assert hash_recovery_code(ADA, codes[1]) != stored
