"""`validation_policy`: what each finding does to an entry."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from app.mailer.domain.campaign.block import Block, key
from app.mailer.domain.codes import CODES, POLICY_DEFAULTS
from app.mailer.domain.issues import Severity

Effect: TypeAlias = Annotated[Severity, Field(strict=False)]

_MEANINGS = {info.policy: info.meaning for info in CODES.values() if info.policy}


def _finding(name: str, title: str) -> Any:
    default = POLICY_DEFAULTS[name]
    return key(title, f"{_MEANINGS[name]} Default: `{default.value}`.", default.value)


class ValidationPolicy(Block):
    """`block`, `review`, `warn`, `ignore` or `exclude` for each finding."""

    missing_value: Annotated[Effect, _finding("missing_value", "Missing value")] = Severity.BLOCK
    stray_placeholder: Annotated[Effect, _finding("stray_placeholder", "Stray placeholder")] = (
        Severity.BLOCK
    )
    # A line break in a header is never let pass, so the milder effects are not offered.
    header_injection: Annotated[
        Literal["block", "review", "exclude"],
        _finding("header_injection", "Line break in a header"),
    ] = "block"
    invalid_recipient: Annotated[Effect, _finding("invalid_recipient", "Invalid recipient")] = (
        Severity.BLOCK
    )
    missing_recipient: Annotated[Effect, _finding("missing_recipient", "No recipient")] = (
        Severity.BLOCK
    )
    smtputf8_needed: Annotated[Effect, _finding("smtputf8_needed", "SMTPUTF8 needed")] = (
        Severity.WARN
    )
    shared_copy: Annotated[Effect, _finding("shared_copy", "Shared copy")] = Severity.WARN
    duplicate_recipient: Annotated[
        Effect, _finding("duplicate_recipient", "Duplicate recipient")
    ] = Severity.REVIEW
    missing_required_attachment: Annotated[
        Effect, _finding("missing_required_attachment", "Missing required attachment")
    ] = Severity.BLOCK
    missing_optional_attachment: Annotated[
        Effect, _finding("missing_optional_attachment", "Missing optional attachment")
    ] = Severity.WARN
    ambiguous_attachment: Annotated[
        Effect, _finding("ambiguous_attachment", "Ambiguous attachment")
    ] = Severity.REVIEW
    unclaimed_file: Annotated[Effect, _finding("unclaimed_file", "Unclaimed file")] = Severity.WARN
    shared_file: Annotated[Effect, _finding("shared_file", "Shared file")] = Severity.REVIEW
    already_sent: Annotated[Effect, _finding("already_sent", "Already sent")] = Severity.REVIEW
    unexpected_content: Annotated[Effect, _finding("unexpected_content", "Unexpected content")] = (
        Severity.BLOCK
    )
    empty_file: Annotated[Effect, _finding("empty_file", "Empty file")] = Severity.REVIEW
    too_large: Annotated[Effect, _finding("too_large", "Too large")] = Severity.BLOCK

    def severity_for(self, policy_key: str) -> Severity:
        """What a finding does; `policy_key` is one of `POLICY_DEFAULTS` (else KeyError)."""
        if policy_key not in POLICY_DEFAULTS:
            raise KeyError(policy_key)
        return Severity(getattr(self, policy_key))
