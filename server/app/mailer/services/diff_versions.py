"""What differs between two versions of a campaign: its file, and its letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.models import CampaignVersion
from app.db.repositories import letter_diff
from app.db.repositories.letter_diff import LetterChange
from app.mailer.domain.campaign.diff import Change, Kind, config_changes, entry_changes
from app.mailer.services.versions import version_of

#: Changes of the file that one answer has; more of them is another file.
MAX_CHANGES = 500


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What is other in `after` than in `before`.

    `basis`: `jobs` where both are built (their letters are compared by content), else `entries`
    (the recipients in the files are, by their ids; those of tables are not). `counts` has all
    letters added, removed and changed, `letters` a page of them.
    """

    before: CampaignVersion
    after: CampaignVersion
    config: Sequence[Change]
    config_truncated: bool
    basis: str
    counts: Mapping[str, int]
    letters: Sequence[LetterChange]
    next_behind: str | None


def diff_versions(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    against_id: UUID,
    *,
    kind: Kind | None,
    behind: str | None,
    limit: int,
) -> VersionDiff:
    """Compare a version with another one of its campaign; `behind`: the entry id that the page
    before ended with.
    """
    require_scope(actor, Scope.CAMPAIGN_READ)
    after = version_of(session, actor.tenant_id, campaign_id, version_id)
    before = version_of(session, actor.tenant_id, campaign_id, against_id)
    changes = list(islice(config_changes(before.config, after.config), MAX_CHANGES + 1))
    if before.built_at is not None and after.built_at is not None:
        basis = "jobs"
        tenant_id = actor.tenant_id
        counts = letter_diff.counts(session, tenant_id, before.id, after.id)
        letters = letter_diff.page(
            session, tenant_id, before.id, after.id, kind=kind, behind=behind, limit=limit + 1
        )
    else:
        basis = "entries"
        found = entry_changes(before.config, after.config)
        counts = {each: sum(k is each for k in found.values()) for each in Kind}
        letters = [
            LetterChange(name, each, None, None, "", "")
            for name, each in found.items()
            if kind in (None, each) and (behind is None or name > behind)
        ][: limit + 1]
    more = len(letters) > limit
    letters = letters[:limit]
    return VersionDiff(
        before,
        after,
        changes[:MAX_CHANGES],
        len(changes) > MAX_CHANGES,
        basis,
        {each.value: counts.get(each.value, 0) for each in Kind},
        letters,
        letters[-1].entry_id if more else None,
    )
