from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.adapters.secret_box import AesSecretBox
from app.mailer.domain.errors import ConfigurationError

KEY, OTHER = bytes(range(32)), bytes(32)
BOX = AesSecretBox(KEY)
HEAD, WRAPPED, OVERHEAD = 5, 12 + 32 + 16, 12 + 16


def version_1(key: bytes, plaintext: bytes, context: str) -> bytes:
    """As the program before the data keys sealed."""
    head = b"\1" + hashlib.sha256(b"multimailer key id" + key).digest()[:4]
    nonce = b"n" * 12
    return head + nonce + AESGCM(key).encrypt(nonce, plaintext, head + context.encode())


@given(st.binary(max_size=200), st.text(max_size=30))
def test_round_trip(plaintext: bytes, context: str) -> None:
    context = context.encode("utf-8", "ignore").decode()
    sealed = BOX.seal(plaintext, context)
    assert AesSecretBox(KEY).open(sealed, context) == plaintext


def test_the_sealed_form_is_versioned_and_never_the_same_twice() -> None:
    first, second = BOX.seal(b"hunter2", "c"), BOX.seal(b"hunter2", "c")
    assert first[0] == second[0] == 2
    assert first.startswith(BOX.head)
    assert len(BOX.head) == HEAD
    assert not {first[n : n + 12] for n in (5, 65)} & {second[n : n + 12] for n in (5, 65)}
    assert first[17:65] != second[17:65]
    assert len(first) == HEAD + WRAPPED + OVERHEAD + len(b"hunter2")
    assert b"hunter2" not in first


@pytest.mark.parametrize(
    "sealed",
    [BOX.seal(b"hunter2", "t/r/f"), version_1(KEY, b"s", "t/r/f")],
    ids=["version 2", "version 1"],
)
def test_every_changed_byte_is_noticed(sealed: bytes) -> None:
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1
        for use in (BOX.open, BOX.rewrap):
            if use == BOX.rewrap and sealed[0] == 2 and index >= HEAD + WRAPPED:
                continue  # the text is left alone
            with pytest.raises(ConfigurationError) as caught:
                use(bytes(changed), "t/r/f")
            assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 5, 17, 32, 65, 93])
def test_a_cut_value_is_damaged(length: int) -> None:
    with pytest.raises(ConfigurationError, match=r"damaged|changed"):
        BOX.open(BOX.seal(b"x", "c")[:length], "c")


def test_parts_of_two_values_make_no_third() -> None:
    one, two = BOX.seal(b"one", "c"), BOX.seal(b"two", "c")
    with pytest.raises(ConfigurationError):
        BOX.open(one[: HEAD + WRAPPED] + two[HEAD + WRAPPED :], "c")


def test_another_context_does_not_open_it() -> None:
    for use in (BOX.open, BOX.rewrap):
        with pytest.raises(ConfigurationError, match="moved to another place"):
            use(BOX.seal(b"x", "tenant-a/password"), "tenant-b/password")


def test_another_key_is_named_by_its_id_alone() -> None:
    other = AesSecretBox(OTHER)
    with pytest.raises(ConfigurationError, match="another master key"):
        other.open(BOX.seal(b"x", "c"), "c")
    assert KEY.hex() not in repr(BOX)
    assert KEY.hex() not in repr(AesSecretBox(OTHER, KEY))


def test_a_key_of_the_wrong_length() -> None:
    with pytest.raises(ConfigurationError, match="MASTER_KEY_B64"):
        AesSecretBox(b"short")
    with pytest.raises(ConfigurationError, match="MASTER_KEY_OLD_B64"):
        AesSecretBox(KEY, b"short")


def test_a_value_of_version_1_still_opens() -> None:
    assert BOX.open(version_1(KEY, b"hunter2", "c"), "c") == b"hunter2"


def test_with_both_keys_everything_opens_and_new_values_are_under_the_new_one() -> None:
    both = AesSecretBox(OTHER, KEY)
    assert both.open(BOX.seal(b"x", "c"), "c") == b"x"
    assert AesSecretBox(OTHER).open(both.seal(b"y", "c"), "c") == b"y"


def test_a_rewrap_leaves_the_text_alone_and_needs_the_new_key_only() -> None:
    sealed = BOX.seal(b"hunter2", "c")
    moved = AesSecretBox(OTHER, KEY).rewrap(sealed, "c")
    assert moved[HEAD + WRAPPED :] == sealed[HEAD + WRAPPED :]
    assert moved.startswith(AesSecretBox(OTHER).head)
    assert AesSecretBox(OTHER).open(moved, "c") == b"hunter2"
    with pytest.raises(ConfigurationError):
        BOX.open(moved, "c")


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_a_rewrap_makes_version_2_of_version_1(key: bytes) -> None:
    moved = AesSecretBox(OTHER, KEY).rewrap(version_1(key, b"hunter2", "c"), "c")
    assert moved[0] == 2
    assert AesSecretBox(OTHER).open(moved, "c") == b"hunter2"
