"""Errors of the domain: each has a sentence for a person and, where it helps, a remedy."""

from __future__ import annotations

from collections.abc import Sequence

from app.mailer.domain.issues import Issue


class MailerError(Exception):
    """Something that the person asking can understand and mend.

    `message` says what is wrong, with the value; `hint` says what to do. Neither ever holds a
    secret. Commands print both and exit 2; the API turns them into problem details.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class CampaignInvalid(MailerError):
    """The campaign cannot be read at all; `issues` has every reason, not just the first."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        first = issues[0].message if issues else "The campaign is invalid."
        super().__init__(first)
        self.issues = list(issues)


class NotFound(MailerError):
    """No such thing in this tenant (a thing of another tenant does not exist here)."""


class AccessDenied(MailerError):
    """The key is unknown, revoked or expired, or lacks the scope."""


class TooManyTries(MailerError):
    """Too much was tried in vain; in `wait_seconds` the next try is taken."""

    def __init__(self, message: str, hint: str = "", *, wait_seconds: int) -> None:
        super().__init__(message, hint)
        self.wait_seconds = wait_seconds


class IllegalMove(MailerError):
    """A state machine was asked for a move that its table does not have."""


class Conflict(MailerError):
    """Somebody else changed the thing first, or it is not in a state that allows this."""


class Locked(Conflict):
    """Somebody else is working on the thing, and has said so."""


class UnsafePath(MailerError):
    """A path that leaves its base, or names something that is not a regular file."""


class FileChanged(MailerError):
    """A file is not the one that was looked at before (swapped, grown, truncated)."""


class BlobMissing(MailerError):
    """The blob store does not hold these bytes (or is not there at all)."""


class BlobDamaged(BlobMissing):
    """The blob store holds other bytes under this hash."""


class StorageFailed(MailerError):
    """The blob store cannot take or give bytes: it is full, closed to this user, or away."""


class ScannerFailed(MailerError):
    """The malware scanner gives no verdict, so nothing is taken in."""


class TooLarge(MailerError):
    """A file is larger than is allowed, or there is no room left for the tenant's files."""


class WrongContent(MailerError):
    """A file's bytes are not what its name says, or not the ones that were announced."""


class Infected(MailerError):
    """A scanner found malware in a file."""


class Expired(MailerError):
    """A thing was there, but not used for too long."""


class ConfigurationError(MailerError):
    """The installation's own settings are missing, contradictory or unsafe."""
