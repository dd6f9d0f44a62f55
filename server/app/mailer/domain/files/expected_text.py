"""Whether a PDF holds the text that it must hold: the check of what is inside the envelope."""

from __future__ import annotations

import re
import unicodedata

from app.mailer.domain.files.attachments import PolicyFor, RenderedRule
from app.mailer.domain.issues import Issue

#: Soft hyphens, joiners and other marks of width nought that programs put inside words.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
#: What PDFium gives for a hyphen at the end of a line: the word's own, or the typesetter's.
_LINE_HYPHENS = re.compile("[\x02\ufffe]")
_SPACE = re.compile(r"\s+")


def is_pdf(path: str) -> bool:
    """Whether `expect_text` applies to the file."""
    return path.casefold().endswith(".pdf")


def contains_text(text: str, expected: str) -> bool:
    """Whether a page's text holds `expected`, however it is broken into lines.

    Blanks and line breaks do not count, ligatures equal their letters (NFKC), case matters. Where
    `expected` begins or ends with a digit it must not be a part of a longer number: 471 is not in
    4711. An `expected` of nothing but blanks is never found.
    """
    wanted = _SPACE.sub("", _plain(expected))
    if not wanted:
        return False
    return any(_found(_plain(_LINE_HYPHENS.sub(hyphen, text)), wanted) for hyphen in ("", "-"))


def check_text(
    rule: RenderedRule, path: str, text: str | ValueError, policy_for: PolicyFor
) -> tuple[Issue, ...]:
    """An issue where a file lacks some of `rule.expect_text`, or has no text that can be read."""
    if isinstance(text, ValueError):
        reason = f"cannot be read as text: {text}"
    else:
        absent = [wanted for wanted in rule.expect_text if not contains_text(text, wanted)]
        if not absent:
            return ()
        shown = ", ".join(f'"{wanted}"' for wanted in absent)
        reason = "lacks its expected text" + ("" if rule.confidential else f" {shown}")
    name = "a matched file" if rule.confidential else f'"{path}"'
    return (
        Issue(
            "unexpected-content",
            policy_for("unexpected-content"),
            rule.pointer,
            f'Rule "{rule.label}": {name} {reason}.',
            "Open it: it may be another person's. Correct the file, the value or expect_text.",
        ),
    )


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text.translate(_INVISIBLE))


def _found(text: str, wanted: str) -> bool:
    solid = _SPACE.sub("", text)
    at = solid.find(wanted)
    if at < 0:
        return False
    head, tail = wanted[0].isdecimal(), wanted[-1].isdecimal()
    if not head and not tail:
        return True
    # Which characters touch in the page itself, not just after its blanks are gone.
    places = [place for place, char in enumerate(text) if not char.isspace()]
    while at >= 0:
        end = at + len(wanted)
        if not (head and at and _number_goes_on(text, places[at - 1], places[at])) and not (
            tail and end < len(places) and _number_goes_on(text, places[end - 1], places[end])
        ):
            return True
        at = solid.find(wanted, at + 1)
    return False


def _number_goes_on(text: str, left: int, right: int) -> bool:
    return right - left == 1 and text[left].isdecimal() and text[right].isdecimal()
