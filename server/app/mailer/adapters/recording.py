"""The dry run: everything is checked and noted, and nothing reaches a network.

The same two stand in for real servers in tests, and pass the same contract tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.mailer.adapters.smtp_text import UnsafeText, checked, refuse_unsafe
from app.mailer.domain.delivery.replies import gravest
from app.mailer.ports import (
    AppendOutcome,
    Envelope,
    RecipientReply,
    Reply,
    SentFolderFailure,
    Stage,
    Staged,
    TransportFailure,
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message that would have been sent; `content` only where the recorder keeps it."""

    envelope: Envelope
    size: int
    sha256: str
    content: bytes | None = field(default=None, repr=False)


class RecordingTransport:
    """`ports.MailTransport` that accepts everybody but those in `refuse` (address to reply).

    `keep_content` keeps whole messages: for tests, not for a campaign of 100,000.
    """

    def __init__(
        self, *, keep_content: bool = False, refuse: Mapping[str, Reply] | None = None
    ) -> None:
        self.sent: list[Recorded] = []
        self._keep_content = keep_content
        self._refuse = dict(refuse or {})
        self._staged: Recorded | None = None

    def stage(self, envelope: Envelope, size: int, chunks: Iterable[bytes]) -> Staged:
        refuse_unsafe(envelope)
        self._staged = None
        accepted = Reply(250, "2.1.5 not sent, only recorded")
        recipients = tuple(
            RecipientReply(address, self._refuse.get(address, accepted))
            for address in envelope.recipients
        )
        refused = [each.reply for each in recipients if each.reply is not accepted]
        if refused:
            raise TransportFailure(
                Stage.RCPT,
                f"{len(refused)} of {len(recipients)} recipients refused.",
                gravest(refused),
                recipients,
            )
        digest = hashlib.sha256()
        kept = bytearray()
        try:
            for chunk in checked(chunks, size):
                digest.update(chunk)
                if self._keep_content:
                    kept += chunk
        except UnsafeText as error:
            raise TransportFailure(Stage.DATA, str(error), permanent_here=True) from None
        content = bytes(kept) if self._keep_content else None
        self._staged = Recorded(envelope, size, digest.hexdigest(), content)
        return Staged(recipients)

    def finish(self) -> Reply:
        if self._staged is None:
            raise RuntimeError("nothing is staged")
        self.sent.append(self._staged)
        self._staged = None
        return Reply(250, "2.0.0 not sent, only recorded")

    def abort(self) -> None:
        self._staged = None

    def close(self) -> None:
        self._staged = None


class RecordingSentFolder:
    """`ports.SentFolder` that notes Message-ID, size and time, and files nothing anywhere."""

    def __init__(self, name: str = "Sent", *, keep_content: bool = False) -> None:
        self.appended: dict[str, tuple[int, datetime]] = {}
        self.content: dict[str, bytes] = {}
        self._name = name
        self._keep_content = keep_content

    def folder(self) -> str:
        return self._name

    def contains(self, message_id: str) -> bool:
        return message_id in self.appended

    def append(
        self,
        message: bytes,
        message_id: str,
        sent_at: datetime,
        *,
        may_append: Callable[[], bool] = lambda: True,
    ) -> AppendOutcome:
        if message_id in self.appended:
            return AppendOutcome.ALREADY_THERE
        if not may_append():
            raise SentFolderFailure("Looking for the copy took too long to file it now.")
        self.appended[message_id] = (len(message), sent_at)
        if self._keep_content:
            self.content[message_id] = message
        return AppendOutcome.APPENDED

    def close(self) -> None:
        pass
