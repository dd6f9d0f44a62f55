"""SMTP by hand, so that the closing dot leaves when `finish` says so and never before (RFC 5321).

Used where the server offers them: PIPELINING (RFC 2920), SIZE (1870), SMTPUTF8 (6531).
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from app.mailer.adapters.smtp_session import SmtpSession
from app.mailer.adapters.smtp_text import UnsafeText, checked, refuse_unsafe, stuffed
from app.mailer.adapters.smtp_wire import WireError
from app.mailer.domain.delivery.replies import gravest, said
from app.mailer.domain.hosts import HostRules
from app.mailer.ports import (
    Envelope,
    RecipientReply,
    Reply,
    ServerAccess,
    Stage,
    Staged,
    TransportFailure,
)

#: RFC 5321, 4.5.3.2 gives a server ten minutes to answer the closing dot, since a client that
#: hangs up earlier causes duplicates. 30 seconds for a command make ten minutes for the dot.
DOT_PATIENCE = 20
#: More recipients than this go one by one: a longer pipeline could fill both sides' buffers and
#: stop for ever (RFC 2920, 3.1).
_PIPELINE_RECIPIENTS = 100


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server offers after login; `size_limit` in octets, None where it states none."""

    extensions: tuple[str, ...]
    size_limit: int | None
    tls_version: str | None
    #: SASL names, those of AUTH in EHLO.
    mechanisms: tuple[str, ...] = ()


class SmtpTransport:
    """`ports.MailTransport` over one socket, connected when it is first needed.

    A connection that the server gave up while it was idle is made anew, once, before anything of
    a message was accepted. After `messages_per_connection` messages it is renewed, since some
    providers count. Certificates are always verified; `ssl_context` adds authorities. An access
    that is confined leads into private networks only where `hosts` allow it.
    """

    def __init__(
        self,
        access: ServerAccess,
        *,
        hosts: HostRules | None = None,
        helo_name: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        messages_per_connection: int = 500,
    ) -> None:
        self._access = access
        self._hosts = hosts or HostRules()
        self._helo_name = helo_name
        self._context = ssl_context
        self._limit = messages_per_connection
        self._session: SmtpSession | None = None
        self._staged = False
        self._carried = 0
        self._ever_reached = False

    # -- ports.MailTransport

    def stage(self, envelope: Envelope, size: int, chunks: Iterable[bytes]) -> Staged:
        refuse_unsafe(envelope)
        if self._staged:
            self.abort()
        try:
            session, recipients = self._begin(envelope, size)
            _send_text(session, chunks, size)
        except TransportFailure:
            raise
        except BaseException:
            # A reader of attachments failed, or Ctrl-C: the server waits for text it must not get.
            self.abort()
            raise
        self._staged = True
        return Staged(recipients)

    def finish(self) -> Reply:
        session = self._session
        if session is None or not self._staged:
            raise RuntimeError("nothing is staged")
        self._staged = False
        self._carried += 1
        try:
            session.wire.send(b".\r\n")
            reply = session.wire.read_reply(self._access.timeout_seconds * DOT_PATIENCE)
        except WireError as error:
            self.abort()
            raise session.failure(Stage.DOT, f"{error}, after the end of the message") from None
        except BaseException:
            self.abort()
            raise
        if reply.code == 421 or reply.code // 100 == 3:
            self.abort()
        if reply.code // 100 == 3:
            what = f"the answer to the end of the message makes no sense: {said(reply)}"
            raise session.failure(Stage.DOT, what, reply)
        return reply

    def abort(self) -> None:
        self._staged = False
        if self._session is not None:
            self._session.close()
            self._session = None

    def close(self) -> None:
        if self._session is not None and self._session.alive and not self._staged:
            self._session.quit()
        self.abort()

    def check(self) -> ServerFacts:
        """Connects and logs in, no more. Raises `TransportFailure` where that does not work."""
        session, _ = self._ready()
        return ServerFacts(
            tuple(sorted(session.offers)),
            _size_limit(session),
            session.wire.tls_version,
            tuple(sorted(set(session.offers.get("AUTH", "").split()))),
        )

    # -- the connection and the envelope

    def _ready(self) -> tuple[SmtpSession, bool]:
        """A connection, and whether it is an old one."""
        session = self._session
        if session is not None and session.alive and session.wire.quiet():
            if self._carried < self._limit:
                return session, True
            session.quit()
        return self._connect(), False

    def _connect(self) -> SmtpSession:
        self.abort()
        try:
            self._session = SmtpSession(
                self._access,
                hosts=self._hosts,
                helo_name=self._helo_name,
                ssl_context=self._context,
            )
        except TransportFailure as failure:
            if self._ever_reached and failure.stage is Stage.CONNECT and failure.reply is None:
                # Host and port were right before: the server is away, and waiting does help.
                failure.permanent_here = False
            raise
        self._carried = 0
        self._ever_reached = True
        return self._session

    def _begin(
        self, envelope: Envelope, size: int
    ) -> tuple[SmtpSession, tuple[RecipientReply, ...]]:
        session, reused = self._ready()
        _refuse_unsupported(session, envelope, size)
        try:
            return session, _transact(session, envelope, size)
        except TransportFailure as failure:
            gone = failure.reply is None or failure.reply.code == 421
            if not (reused and gone and failure.stage is Stage.MAIL):
                raise
        session = self._connect()
        _refuse_unsupported(session, envelope, size)
        return session, _transact(session, envelope, size)


def _refuse_unsupported(session: SmtpSession, envelope: Envelope, size: int) -> None:
    limit = _size_limit(session)
    if limit is not None and size > limit:
        raise session.failure(
            Stage.MAIL,
            f"the message has {size} octets and the server takes {limit} at most",
            permanent_here=True,
        )
    if envelope.needs_smtputf8 and "SMTPUTF8" not in session.offers:
        raise session.failure(
            Stage.MAIL,
            "an address of this message has letters outside ASCII before the @, and the server "
            "does not offer SMTPUTF8",
            permanent_here=True,
        )


def _size_limit(session: SmtpSession) -> int | None:
    """RFC 1870, 4: SIZE without a number, or 0, states no limit."""
    value = session.offers.get("SIZE", "")
    return int(value) or None if value.isascii() and value.isdecimal() else None


def _transact(session: SmtpSession, envelope: Envelope, size: int) -> tuple[RecipientReply, ...]:
    """MAIL, RCPT and DATA; after this the server waits for the text."""
    mail = f"MAIL FROM:<{envelope.sender}>"
    mail += f" SIZE={size}" if "SIZE" in session.offers else ""
    mail += " SMTPUTF8" if envelope.needs_smtputf8 else ""
    wanted = [f"RCPT TO:<{address}>" for address in envelope.recipients]
    pipelined = "PIPELINING" in session.offers and len(wanted) <= _PIPELINE_RECIPIENTS

    session.say(Stage.MAIL, *([mail, *wanted, "DATA"] if pipelined else [mail]))
    reply = session.reply(Stage.MAIL)
    if not _accepted(reply):
        _end_transaction(session, hang_up=pipelined or reply.code == 421)
        what = f"the sender {envelope.sender} was refused: {said(reply)}"
        raise session.failure(Stage.MAIL, what, reply)

    recipients: list[RecipientReply] = []
    for address, command in zip(envelope.recipients, wanted, strict=True):
        if not pipelined:
            session.say(Stage.RCPT, command)
        recipients.append(RecipientReply(address, session.reply(Stage.RCPT)))
        if recipients[-1].reply.code == 421:
            break
    if not all(_accepted(each.reply) for each in recipients):
        _refuse_recipients(session, recipients, data_was_said=pipelined)

    if not pipelined:
        session.say(Stage.DATA, "DATA")
    reply = session.reply(Stage.DATA)
    if reply.code != 354:
        # What is neither yes nor no comes from a server out of step with us.
        _end_transaction(session, hang_up=reply.code // 100 not in (4, 5) or reply.code == 421)
        raise session.failure(Stage.DATA, f"the message was refused: {said(reply)}", reply)
    return tuple(recipients)


def _refuse_recipients(
    session: SmtpSession, recipients: list[RecipientReply], *, data_was_said: bool
) -> NoReturn:
    hang_up = recipients[-1].reply.code == 421
    if data_was_said and not hang_up:
        # 354 here: the server waits for text, and a lone dot would be an empty letter to those
        # whom it did accept (RFC 2920, 3.1). Hanging up delivers nothing.
        try:
            hang_up = session.reply(Stage.DATA).code // 100 not in (4, 5)
        except TransportFailure:
            hang_up = True
    _end_transaction(session, hang_up=hang_up)
    refused = [each for each in recipients if not _accepted(each.reply)]
    details = "; ".join(f"{each.address}: {said(each.reply)}" for each in refused[:3])
    raise session.failure(
        Stage.RCPT,
        f"{len(refused)} of {len(recipients)} recipients refused ({details})",
        gravest([each.reply for each in refused]),
        recipients,
    )


def _send_text(session: SmtpSession, chunks: Iterable[bytes], size: int) -> None:
    wire = session.wire
    try:
        for piece in stuffed(checked(chunks, size)):
            wire.send(piece)
        if wire.quiet():
            return
        fault = "the server spoke or hung up before the end of the message"
    except UnsafeText as error:
        session.close()
        raise TransportFailure(Stage.DATA, str(error), permanent_here=True) from None
    except WireError as error:
        fault = str(error)
    # A server that hangs up in the middle often says why.
    last_words: Reply | None = None
    with contextlib.suppress(WireError):
        last_words = wire.read_reply(1.0)
    session.close()
    if last_words is not None:
        fault = f"{fault}: {said(last_words)}"
    raise session.failure(Stage.DATA, fault, last_words)


def _end_transaction(session: SmtpSession, *, hang_up: bool) -> None:
    """Leaves no transaction open: by RSET, or by hanging up."""
    with contextlib.suppress(TransportFailure):
        if not hang_up and session.command(Stage.MAIL, "RSET").code == 250:
            return
    session.close()


def _accepted(reply: Reply) -> bool:
    return reply.code // 100 == 2
