"""`recipients`: the mailboxes of the whole campaign, and how an entry's own join them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.mailer.domain.campaign.block import Block, key
from app.mailer.domain.campaign.values import MailboxList, MailboxSpec


class Combine(Block):
    """For each list: yes adds an entry's own to the global one, no puts it in its place."""

    to: Annotated[bool, key("To", "Add own and global `to`. Default: no.", False)] = False
    cc: Annotated[bool, key("Cc", "Add own and global `cc`. Default: yes.", True)] = True
    bcc: Annotated[bool, key("Bcc", "Add own and global `bcc`. Default: yes.", True)] = True
    reply_to: Annotated[
        bool, key("Reply to", "Add own and global `reply_to`. Default: yes.", True)
    ] = True
    attachments: Annotated[
        bool, key("Attachments", "Add own and global attachment rules. Default: yes.", True)
    ] = True


class Recipients(Block):
    """Global mailboxes."""

    from_: Annotated[
        MailboxSpec | None,
        key(
            "From",
            "The sender, where an entry has none of its own. Default: none.",
            "Office <office@example.org>",
            alias="from",
        ),
    ] = None
    reply_to: Annotated[
        MailboxList,
        key("Reply to", "Where answers go. Default: to the sender.", ["help@example.org"]),
    ] = Field(default_factory=list)
    to: Annotated[
        MailboxList,
        key(
            "To",
            "Recipients of every message, or of those without their own (see `combine`). "
            "Default: none.",
            ["Board <board@example.org>"],
        ),
    ] = Field(default_factory=list)
    cc: Annotated[
        MailboxList,
        key("Cc", "Copies that everybody sees. Default: none.", ["records@example.org"]),
    ] = Field(default_factory=list)
    bcc: Annotated[
        MailboxList,
        key("Bcc", "Copies that nobody sees. Default: none.", ["archive@example.org"]),
    ] = Field(default_factory=list)
    combine: Annotated[
        Combine,
        key(
            "Own and shared lists",
            "Whether an entry's own lists are added to the global ones or replace them.",
            {"to": False, "cc": True},
        ),
    ] = Field(default_factory=Combine)
