"""Whether the mail account lets its letters come from their senders."""

from __future__ import annotations

from collections.abc import Iterable

from app.mailer.domain.codes import CODES
from app.mailer.domain.issues import Issue
from app.mailer.domain.letters.letter import Letter
from app.mailer.domain.mail_account import AccountTerms
from app.mailer.domain.mailbox import Mailbox

_CODE = "sender-not-allowed"


def check_senders(
    terms: AccountTerms, usual: Mailbox | None, letters: Iterable[Letter]
) -> list[Issue]:
    """`sender-not-allowed` for the campaign's `usual` sender, once, and for letters of others."""
    found: list[Issue] = []
    if usual is not None and not terms.lets_send(usual):
        found.append(_issue(terms, usual, "/recipients/from", None))
    for letter in letters:
        sender = letter.sender
        if sender is None or sender == usual or terms.lets_send(sender):
            continue
        own = letter.entry.from_ is not None
        pointer = f"{letter.entry.pointer}/from" if own else "/recipients/from"
        letter.issues.append(_issue(terms, sender, pointer, letter.id))
    return found


def _issue(terms: AccountTerms, sender: Mailbox, pointer: str, entry: str | None) -> Issue:
    allowed = ", ".join(terms.from_addresses[:3]) + ("…" if len(terms.from_addresses) > 3 else "")
    return Issue(
        _CODE,
        CODES[_CODE].severity,
        pointer,
        f"The mail account “{terms.name}” is not for letters from {sender.address}.",
        f"It allows {allowed}. Use such a sender or another account, or add this one to it.",
        entry,
    )
