from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.adapters.secret_box import AesSecretBox
from app.mailer.domain.errors import ConfigurationError

KEY = bytes(range(32))
BOX = AesSecretBox(KEY)


@given(st.binary(max_size=200), st.text(max_size=30))
def test_round_trip(plaintext: bytes, context: str) -> None:
    context = context.encode("utf-8", "ignore").decode()
    sealed = BOX.seal(plaintext, context)
    assert AesSecretBox(KEY).open(sealed, context) == plaintext


def test_the_sealed_form_is_versioned_and_never_the_same_twice() -> None:
    first, second = BOX.seal(b"hunter2", "c"), BOX.seal(b"hunter2", "c")
    assert first[0] == second[0] == 1
    assert first[5:] != second[5:]
    assert len(first) == 1 + 4 + 12 + len(b"hunter2") + 16
    assert b"hunter2" not in first


def test_every_changed_byte_is_noticed() -> None:
    sealed = BOX.seal(b"hunter2", "tenant/row/field")
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        with pytest.raises(ConfigurationError) as caught:
            BOX.open(bytes(changed), "tenant/row/field")
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 5, 17, 32])
def test_a_cut_value_is_damaged(length: int) -> None:
    with pytest.raises(ConfigurationError, match="damaged"):
        BOX.open(BOX.seal(b"x", "c")[:length], "c")


def test_another_context_does_not_open_it() -> None:
    with pytest.raises(ConfigurationError, match="moved to another place"):
        BOX.open(BOX.seal(b"x", "tenant-a/password"), "tenant-b/password")


def test_another_key_is_named_by_its_id_alone() -> None:
    other = AesSecretBox(bytes(32))
    with pytest.raises(ConfigurationError, match="another master key"):
        other.open(BOX.seal(b"x", "c"), "c")
    assert KEY.hex() not in repr(BOX)


def test_a_key_of_the_wrong_length() -> None:
    with pytest.raises(ConfigurationError, match="MASTER_KEY_B64"):
        AesSecretBox(b"short")
