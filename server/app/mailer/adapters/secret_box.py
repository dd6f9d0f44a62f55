"""Secrets at rest: envelope encryption with AES-256-GCM (NIST SP 800-38D).

Each value has a data key of its own, and the installation's master key wraps that. So another
master key means to wrap 32 bytes anew and to leave the value alone, and no key ever seals so many
values that a nonce could come twice.
"""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.mailer.domain.errors import ConfigurationError

_UNWRAPPED, _VERSION = 1, 2
_KEY_BYTES = 32
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEAD_BYTES = 1 + _KEY_ID_BYTES
#: Version 2: head (version, key id), nonce and wrapped data key, nonce and text.
_KEY_AT = _HEAD_BYTES + _NONCE_BYTES
_TEXT_AT = _KEY_AT + _KEY_BYTES + _TAG_BYTES


class AesSecretBox:
    """`ports.SecretBox` under `master_key`; what `old_key` sealed opens, too.

    A sealed value is version (1), id of the master key (4), nonce (12), data key and tag (48),
    nonce (12), text and tag (16). The context is authenticated in both layers and not stored: a
    value moved to another tenant, row or field does not open. Version 1 had no data key; its
    values still open, and `rewrap` makes version 2 of them.
    """

    def __init__(self, master_key: bytes, old_key: bytes | None = None) -> None:
        self._key_id, self._cipher = _master(master_key, "MASTER_KEY_B64")
        self._ciphers = {self._key_id: self._cipher}
        if old_key is not None and old_key != master_key:
            key_id, cipher = _master(old_key, "MASTER_KEY_OLD_B64")
            self._ciphers[key_id] = cipher

    def __repr__(self) -> str:
        return f"AesSecretBox({', '.join(f'key {each.hex()}' for each in self._ciphers)})"

    @property
    def key_ids(self) -> list[bytes]:
        """Of the master keys that are set, the one that seals first; each stands in the values."""
        return list(self._ciphers)

    @property
    def head(self) -> bytes:
        return bytes([_VERSION]) + self._key_id

    def seal(self, plaintext: bytes, context: str) -> bytes:
        data_key = os.urandom(_KEY_BYTES)
        return self._wrapped(data_key, context) + _encrypted(
            AESGCM(data_key), plaintext, _text_context(context)
        )

    def open(self, sealed: bytes, context: str) -> bytes:
        cipher = self._cipher_of(sealed)
        if sealed[0] == _UNWRAPPED:
            return _decrypted(cipher, sealed[_HEAD_BYTES:], sealed[:_HEAD_BYTES] + context.encode())
        data_key = self._data_key(cipher, sealed, context)
        return _decrypted(AESGCM(data_key), sealed[_TEXT_AT:], _text_context(context))

    def rewrap(self, sealed: bytes, context: str) -> bytes:
        cipher = self._cipher_of(sealed)
        if sealed[0] == _UNWRAPPED:
            return self.seal(self.open(sealed, context), context)
        return self._wrapped(self._data_key(cipher, sealed, context), context) + sealed[_TEXT_AT:]

    def _wrapped(self, data_key: bytes, context: str) -> bytes:
        head = self.head
        return head + _encrypted(self._cipher, data_key, _key_context(head, context))

    def _data_key(self, cipher: AESGCM, sealed: bytes, context: str) -> bytes:
        head = sealed[:_HEAD_BYTES]
        return _decrypted(cipher, sealed[_HEAD_BYTES:_TEXT_AT], _key_context(head, context))

    def _cipher_of(self, sealed: bytes) -> AESGCM:
        """The cipher of the master key that a value names, its length and version checked."""
        least = {
            _UNWRAPPED: _KEY_AT + _TAG_BYTES,
            _VERSION: _TEXT_AT + _NONCE_BYTES + _TAG_BYTES,
        }
        if not sealed or len(sealed) < least.get(sealed[0], len(sealed) + 1):
            raise ConfigurationError(
                "A stored secret is damaged, or was written by a newer version of this program.",
                "Restore it from a backup, or enter the secret again.",
            )
        key_id = sealed[1:_HEAD_BYTES]
        if key_id not in self._ciphers:
            known = " or ".join(each.hex() for each in self._ciphers)
            raise ConfigurationError(
                f"A stored secret was sealed with another master key ({key_id.hex()}) than is "
                f"set ({known}).",
                "Set MASTER_KEY_B64 to the key of this database, or enter the secret again.",
            )
        return self._ciphers[key_id]


def _master(key: bytes, name: str) -> tuple[bytes, AESGCM]:
    """A master key's id, which tells keys apart without telling anything of them; its cipher."""
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(
            f"The master key has {len(key)} bytes, and {_KEY_BYTES} are needed.",
            f"Set {name} to 32 random bytes in base64.",
        )
    digest = hashlib.sha256(b"multimailer key id" + key).digest()
    return digest[:_KEY_ID_BYTES], AESGCM(key)


def _key_context(head: bytes, context: str) -> bytes:
    return head + b"key/" + context.encode()


def _text_context(context: str) -> bytes:
    """Without the master key's id, since a rewrap leaves the text as it is."""
    return bytes([_VERSION]) + b"text/" + context.encode()


def _encrypted(cipher: AESGCM, plaintext: bytes, associated: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plaintext, associated)


def _decrypted(cipher: AESGCM, sealed: bytes, associated: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated)
    except InvalidTag:
        raise ConfigurationError(
            "A stored secret was changed, or moved to another place than it was made for.",
            "Enter the secret again.",
        ) from None
