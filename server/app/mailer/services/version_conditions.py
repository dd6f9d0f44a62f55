"""What a writer expects a version to be, so that nobody overwrites what he has not seen."""

from __future__ import annotations

from dataclasses import dataclass

from app.access.actor import Actor
from app.db.models import CampaignVersion
from app.mailer.domain.errors import Conflict


@dataclass(frozen=True, slots=True)
class Expected:
    """The tags (`tag_of`) of what was looked at; `anything`: whatever it is by now."""

    tags: frozenset[str] = frozenset()
    anything: bool = False


class EditedMeanwhile(Conflict):
    """It is not the expected one any more; `current` is what it is now, or what to write in."""

    def __init__(self, message: str, hint: str, current: CampaignVersion) -> None:
        super().__init__(message, hint)
        self.current = current


class ConditionMissing(Conflict):
    """Somebody else wrote last, and nothing says that this was seen."""


def tag_of(version: CampaignVersion) -> str:
    """Another one after each change of the version's content."""
    return f"r{version.revision}-{version.id.hex[:8]}"


def refuse_stale(version: CampaignVersion, expected: Expected | None) -> None:
    """Raises `EditedMeanwhile` where the version is not the expected one."""
    if expected is None or expected.anything or tag_of(version) in expected.tags:
        return
    raise EditedMeanwhile(
        f"Version {version.number} was changed meanwhile"
        + (f", by {version.edited_by}." if version.edited_by else "."),
        "Look at what it is now, then write again.",
        version,
    )


def refuse_unseen(version: CampaignVersion, expected: Expected | None, actor: Actor) -> None:
    """Raises `ConditionMissing` where somebody else wrote last and nothing is expected."""
    last = version.author_ids[-1] if version.author_ids else actor.identity
    if expected is None and last != actor.identity:
        raise ConditionMissing(
            f"{version.edited_by or version.created_by} wrote in version {version.number} last.",
            "Send If-Match with the ETag of what you looked at.",
        )
