"""Issues: every mistake that can be found in a campaign, each with a stable code.

`CODES` is the one list of codes; `docs/issue-codes.md` is generated from it, and a test fails for a
code that no test causes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

#: Findings that one answer names; how many there are, it says beside them.
MOST_ISSUES = 100


class Severity(StrEnum):
    """What a finding does to its entry; the values are those of `validation_policy`."""

    BLOCK = "block"
    EXCLUDE = "exclude"
    REVIEW = "review"
    WARN = "warn"
    IGNORE = "ignore"


class EntryState(StrEnum):
    """The six states of an entry, gravest first (campaign format, "Policies and states")."""

    INACTIVE = "inactive"
    EXCLUDED = "excluded"
    BLOCKED = "blocked"
    NEEDS_REVIEW = "needs_review"
    WARNING = "warning"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Issue:
    """One mistake, said so that a clerk can mend it.

    `pointer` is a JSON Pointer (RFC 6901) into the campaign file, or `entries.csv:17` for a row
    of an external source (17 is the row that a spreadsheet shows). `entry` is the entry's id,
    or None for an issue of the whole campaign. Values of `secret` fields never appear.
    """

    code: str
    severity: Severity
    pointer: str
    message: str
    hint: str = ""
    entry: str | None = None

    def with_severity(self, severity: Severity) -> Issue:
        return replace(self, severity=severity)

    def as_dict(self) -> dict[str, str | None]:
        return {
            "code": self.code,
            "severity": self.severity.value,
            "pointer": self.pointer,
            "entry": self.entry,
            "message": self.message,
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """What `docs/issue-codes.md` says about a code; `policy` is its key in validation_policy."""

    meaning: str
    severity: Severity
    policy: str | None = None


def state_of(issues: Iterable[Issue], *, active: bool = True) -> EntryState:
    """The gravest state that applies (inactive beats excluded beats blocked, and so on)."""
    if not active:
        return EntryState.INACTIVE
    found = {issue.severity for issue in issues}
    if Severity.EXCLUDE in found:
        return EntryState.EXCLUDED
    if Severity.BLOCK in found:
        return EntryState.BLOCKED
    if Severity.REVIEW in found:
        return EntryState.NEEDS_REVIEW
    if Severity.WARN in found:
        return EntryState.WARNING
    return EntryState.READY
