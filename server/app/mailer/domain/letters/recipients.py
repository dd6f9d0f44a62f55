"""Who gets a message: the campaign's lists and an entry's own, combined by the flags."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.mailer.domain.mailbox import Mailbox

Mailboxes = tuple[Mailbox, ...]


@dataclass(frozen=True, slots=True)
class Lists:
    """The mailboxes of one message, or the campaign's own for all of them."""

    reply_to: Mailboxes = ()
    to: Mailboxes = ()
    cc: Mailboxes = ()
    bcc: Mailboxes = ()


@dataclass(frozen=True, slots=True)
class OwnLists:
    """An entry's own lists; None where the entry has no such key."""

    reply_to: Mailboxes | None = None
    to: Mailboxes | None = None
    cc: Mailboxes | None = None
    bcc: Mailboxes | None = None


@dataclass(frozen=True, slots=True)
class CombineFlags:
    """True: an entry's own list is added to the global one. False: it replaces it."""

    reply_to: bool = True
    to: bool = False
    cc: bool = True
    bcc: bool = True


def combine(flags: CombineFlags, global_: Lists, own: OwnLists) -> Lists:
    """The lists of one message; global mailboxes first, each address once.

    A missing key means the global list, an empty own list with flag False means none. `to` beats
    `cc` beats `bcc`; the name of an address is the one of its first occurrence in the list that
    keeps it. `reply_to` is apart: who gets an answer may also get the message.
    """
    return _each_once(
        Lists(
            reply_to=_merged(flags.reply_to, global_.reply_to, own.reply_to),
            to=_merged(flags.to, global_.to, own.to),
            cc=_merged(flags.cc, global_.cc, own.cc),
            bcc=_merged(flags.bcc, global_.bcc, own.bcc),
        )
    )


def only_test_recipients(lists: Lists, test: Mailboxes) -> Lists:
    """What mode `test` makes of a message: it goes to the test recipients alone."""
    return replace(lists, to=_unseen(test, set()), cc=(), bcc=())


def envelope_recipients(lists: Lists) -> tuple[str, ...]:
    """The addresses for RCPT TO, each once: `to`, `cc`, `bcc`."""
    everyone = _unseen((*lists.to, *lists.cc, *lists.bcc), set())
    return tuple(mailbox.address for mailbox in everyone)


@dataclass(frozen=True, slots=True)
class SharedCopies:
    """What the warning `shared-copy` is about."""

    outside: Mailboxes  # global copies that would get everybody's letter, outside the domain
    visible_to: Mailboxes  # a To with several people, who all see one another

    def __bool__(self) -> bool:
        return bool(self.outside or self.visible_to)


def shared_copies(sender: Mailbox, global_: Lists, lists: Lists) -> SharedCopies:
    """Who else sees the letter of one entry.

    `outside` has the message's `cc` and `bcc` mailboxes that come from the global lists and are
    not in the sender's domain; a list that the entry replaced is no concern.
    """
    shared = {mailbox.key for mailbox in (*global_.cc, *global_.bcc)}
    outside = tuple(
        mailbox
        for mailbox in (*lists.cc, *lists.bcc)
        if mailbox.key in shared and mailbox.domain != sender.domain
    )
    return SharedCopies(outside, lists.to if len(lists.to) > 1 else ())


def _merged(add: bool, global_: Mailboxes, own: Mailboxes | None) -> Mailboxes:
    if own is None:
        return global_
    return global_ + own if add else own


def _each_once(lists: Lists) -> Lists:
    seen: set[str] = set()
    return Lists(
        reply_to=_unseen(lists.reply_to, set()),
        to=_unseen(lists.to, seen),
        cc=_unseen(lists.cc, seen),
        bcc=_unseen(lists.bcc, seen),
    )


def _unseen(mailboxes: Iterable[Mailbox], seen: set[str]) -> Mailboxes:
    """The mailboxes whose address is not in `seen`, which then holds them too."""
    kept = []
    for mailbox in mailboxes:
        key = mailbox.key
        if key not in seen:
            seen.add(key)
            kept.append(mailbox)
    return tuple(kept)
