"""One-time codes of an authenticator app (TOTP, RFC 6238), and codes for when it is lost."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b32encode
from datetime import datetime
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

ISSUER = "MultiMailer"
RECOVERY_CODES = 10

_KEY_BYTES = 20  # RFC 4226, 4: 160 bits are recommended
_STEP_SECONDS = 30
_DIGITS = 6
#: A clock may be off by a step either way (RFC 6238, 5.2).
_WINDOW = (0, -1, 1)
_RECOVERY_BYTES = 10
_GROUP = 4


def new_key() -> bytes:
    """The key that this program and the app share."""
    return secrets.token_bytes(_KEY_BYTES)


def key_text(key: bytes) -> str:
    """The key as people type it into an app that cannot scan."""
    return b32encode(key).decode().rstrip("=")


def key_uri(key: bytes, account: str) -> str:
    """The key as an app scans it (`otpauth://totp/…`)."""
    return str(_totp(key).get_provisioning_uri(account, ISSUER))


def matching_step(key: bytes, code: str, now: datetime) -> int | None:
    """The time step that `code` belongs to, now or one step beside; None where it is wrong."""
    digits = "".join(code.split())
    step = int(now.timestamp()) // _STEP_SECONDS
    if not digits.isascii() or len(digits) != _DIGITS:
        return None
    for each in _WINDOW:
        try:
            _totp(key).verify(digits.encode(), (step + each) * _STEP_SECONDS)
        except InvalidToken:
            continue
        return step + each
    return None


def sealed_for(tenant_id: UUID, user_id: UUID) -> str:
    """What a stored key is bound to: tenant, row and field."""
    return f"{tenant_id}/users/{user_id}/totp_secret"


def new_recovery_codes() -> list[str]:
    """Codes of 80 random bits each, such as `k3vq-…`; each works once."""
    texts = [
        b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
        for _ in range(RECOVERY_CODES)
    ]
    return [
        "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP)) for text in texts
    ]


def hash_recovery_code(user_id: UUID, code: str) -> str:
    """What is stored of a code, however it is typed. It is random, so SHA-256 is enough."""
    plain = "".join(char for char in code.lower() if char.isalnum())
    return hashlib.sha256(f"{user_id}:{plain}".encode()).hexdigest()


def _totp(key: bytes) -> TOTP:
    # Apps know no other hash for certain, and HMAC does not need one without collisions.
    return TOTP(key, _DIGITS, SHA1(), _STEP_SECONDS)  # noqa: S303
