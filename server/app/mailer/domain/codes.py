"""The one list of issue codes. `docs/issue-codes.md` and the policy defaults come from it."""

from __future__ import annotations

from app.mailer.domain.issues import CodeInfo, Severity

_B, _R, _W = Severity.BLOCK, Severity.REVIEW, Severity.WARN

CODES: dict[str, CodeInfo] = {
    # The file itself
    "invalid-json": CodeInfo("The file is not JSON; the message gives line and column.", _B),
    "duplicate-key": CodeInfo("The same key stands twice in one JSON object.", _B),
    "unknown-key": CodeInfo(
        "A key that the format does not have; the nearest right one is named.", _B
    ),
    "missing-key": CodeInfo("A key that must be there is absent.", _B),
    "wrong-type": CodeInfo("A value is of another type than the format asks for.", _B),
    "invalid-value": CodeInfo("A value is of the right type, but not one that is allowed.", _B),
    # What the file refers to
    "missing-file": CodeInfo("A source, template or image file is not there.", _B),
    "missing-folder": CodeInfo("A folder for attachments is not there.", _B),
    "unreadable-file": CodeInfo("A file is there but cannot be read.", _B),
    "wrong-encoding": CodeInfo("A text file is not in the encoding that was said or found.", _B),
    "bad-source": CodeInfo("A table of recipients cannot be read as what it should be.", _B),
    "unseen-rows": CodeInfo(
        "A workbook hides rows that count, or has further sheets that are not read.", _W
    ),
    "missing-column": CodeInfo(
        "A column that the mapping or a field needs is absent; a warning, where rows can do "
        "without.",
        _B,
    ),
    # Entries and their values
    "no-entries": CodeInfo("The campaign has no entries.", _W),
    "duplicate-id": CodeInfo("Two entries have the same id.", _B),
    "bad-cell": CodeInfo("A value cannot be read as its field's type.", _B),
    "unknown-field": CodeInfo("An entry has a value for a field that is not declared.", _W),
    "group-conflict": CodeInfo("Rows of one group differ where they must agree.", _B),
    # Placeholders and templates
    "unknown-placeholder": CodeInfo("A placeholder names a field that is not declared.", _B),
    "stray-placeholder": CodeInfo(
        "A text has a placeholder of another engine or program, which would be sent as it stands.",
        _B,
        "stray_placeholder",
    ),
    "bad-template": CodeInfo(
        "A template has a syntax error, fails while rendering, comes out empty, or grows too "
        "large.",
        _B,
    ),
    "jinja-not-allowed": CodeInfo(
        "The letter is a Jinja2 template, and the tenant's administrator has not allowed those.", _B
    ),
    "broken-image": CodeInfo(
        "The HTML shows an image that does not come with it, or does not show one that does.", _W
    ),
    "missing-value": CodeInfo(
        "A placeholder or a required field has no value.", _B, "missing_value"
    ),
    "header-injection": CodeInfo(
        "A value used in a header has a line break or a control character.", _B, "header_injection"
    ),
    "reserved-header": CodeInfo("A custom header is one that the program sets itself.", _B),
    # People
    "invalid-recipient": CodeInfo("A recipient is not a mail address.", _B, "invalid_recipient"),
    "invalid-sender": CodeInfo("A sender or reply-to is not a mail address, or is missing.", _B),
    "no-recipient": CodeInfo(
        "Nobody is left to send the message to, but for copies that everybody's letter goes to.",
        _B,
        "missing_recipient",
    ),
    "smtputf8-needed": CodeInfo(
        "An address has a local part outside ASCII; only servers with SMTPUTF8 take it.",
        _W,
        "smtputf8_needed",
    ),
    "shared-copy": CodeInfo(
        "A global copy outside the sender's domain, or a visible To with several people, shows "
        "everybody's letter to others.",
        _W,
        "shared_copy",
    ),
    "duplicate-recipient": CodeInfo(
        "Two entries go to the same address.", _R, "duplicate_recipient"
    ),
    # Files
    "missing-attachment": CodeInfo(
        "A required rule matches no file.", _B, "missing_required_attachment"
    ),
    "missing-optional-attachment": CodeInfo(
        "An optional rule matches no file.", _W, "missing_optional_attachment"
    ),
    "ambiguous-attachment": CodeInfo(
        "A rule for one file matches several.", _R, "ambiguous_attachment"
    ),
    "unclaimed-file": CodeInfo("No entry takes this file.", _W, "unclaimed_file"),
    "shared-file": CodeInfo("Two entries take the same personal file.", _R, "shared_file"),
    "already-sent": CodeInfo(
        "A personal file went to one of the addresses before, in another campaign.",
        _R,
        "already_sent",
    ),
    "same-files": CodeInfo(
        "A rule without personal values gives everybody the same several files.", _W
    ),
    "unexpected-content": CodeInfo(
        "A PDF does not hold the text that it must hold.", _B, "unexpected_content"
    ),
    "empty-file": CodeInfo("An attached file has 0 bytes.", _R, "empty_file"),
    "too-large": CodeInfo("The message is over `delivery.max_message_bytes`.", _B, "too_large"),
    "path-outside-base": CodeInfo("A path leaves the base folder.", _B),
    "path-outside-roots": CodeInfo(
        "A path of a campaign that came by the API leads outside the uploads and the folders in "
        "FILE_ROOTS.",
        _B,
    ),
    "unsafe-file": CodeInfo("A matched file is a symlink, a pipe or another special file.", _B),
    "changed-file": CodeInfo("A file changed between the check and the reading.", _B),
    # The server
    "unknown-account": CodeInfo(
        "The campaign names a mail account that is not there, or is another campaign's.", _B
    ),
    "sender-not-allowed": CodeInfo(
        "The sender is none of those that the mail account may be used for.", _B
    ),
    "private-host": CodeInfo(
        "A server of a campaign that came by the API is in a private network.", _B
    ),
    "plain-password": CodeInfo("A password would go to another machine without encryption.", _W),
}

#: `validation_policy` keys and what holds where the campaign is silent.
POLICY_DEFAULTS: dict[str, Severity] = {
    info.policy: info.severity for info in CODES.values() if info.policy
}
