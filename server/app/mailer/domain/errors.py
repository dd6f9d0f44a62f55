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


class IllegalMove(MailerError):
    """A state machine was asked for a move that its table does not have."""


class Conflict(MailerError):
    """Somebody else changed the thing first, or it is not in a state that allows this."""


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


class ConfigurationError(MailerError):
    """The installation's own settings are missing, contradictory or unsafe."""
