"""Secrets at rest: AES-256-GCM (NIST SP 800-38D) under the installation's master key."""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.mailer.domain.errors import ConfigurationError

_VERSION = 1
_KEY_BYTES = 32
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_TAG_BYTES = 16
_NONCE_AT = 1 + _KEY_ID_BYTES
_TEXT_AT = _NONCE_AT + _NONCE_BYTES


class AesSecretBox:
    """`ports.SecretBox`. A sealed value is version (1), key id (4), nonce (12), text and tag (16).

    The context is authenticated, not stored: a value moved to another row or field does not open.
    Nonces are random, which is safe for some 2^32 values under one key.
    """

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != _KEY_BYTES:
            raise ConfigurationError(
                f"The master key has {len(master_key)} bytes, and {_KEY_BYTES} are needed.",
                "Set MASTER_KEY_B64 to 32 random bytes in base64.",
            )
        self._cipher = AESGCM(master_key)
        #: Tells keys apart without telling anything of them.
        self._key_id = hashlib.sha256(b"multimailer key id" + master_key).digest()[:_KEY_ID_BYTES]

    def __repr__(self) -> str:
        return f"AesSecretBox(key {self._key_id.hex()})"

    def seal(self, plaintext: bytes, context: str) -> bytes:
        head = bytes([_VERSION]) + self._key_id
        nonce = os.urandom(_NONCE_BYTES)
        return head + nonce + self._cipher.encrypt(nonce, plaintext, head + context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """The plaintext; `ConfigurationError` where key or context differ, or a byte changed."""
        if len(sealed) < _TEXT_AT + _TAG_BYTES or sealed[0] != _VERSION:
            raise ConfigurationError(
                "A stored secret is damaged, or was written by a newer version of this program.",
                "Restore it from a backup, or enter the secret again.",
            )
        head, nonce = sealed[:_NONCE_AT], sealed[_NONCE_AT:_TEXT_AT]
        if head[1:] != self._key_id:
            raise ConfigurationError(
                f"A stored secret was sealed with another master key ({head[1:].hex()}) than the "
                f"one that is set ({self._key_id.hex()}).",
                "Set MASTER_KEY_B64 to the key of this database, or enter the secret again.",
            )
        try:
            return self._cipher.decrypt(nonce, sealed[_TEXT_AT:], head + context.encode())
        except InvalidTag:
            raise ConfigurationError(
                "A stored secret was changed, or moved to another place than it was made for.",
                "Enter the secret again.",
            ) from None
