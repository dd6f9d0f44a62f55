"""Send one message that is no job of a campaign: a test letter, a report."""

from __future__ import annotations

from collections.abc import Iterable

from app.mailer.domain.delivery.replies import Outcome, classify
from app.mailer.ports import Envelope, MailTransport, Reply, Stage, TransportFailure


class NotSent(Exception):
    """The mail server did not take the message; `reason` has its words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def send_one(
    transport: MailTransport, envelope: Envelope, size: int, chunks: Iterable[bytes]
) -> Reply:
    """The reply that accepted the message, the connection closed again.

    Raises `NotSent`, or a `TransportFailure` of `Stage.DOT` where the answer is lost and the
    message may have arrived.
    """
    try:
        transport.stage(envelope, size, chunks)
        reply = transport.finish()
    except TransportFailure as failure:
        if classify(failure).outcome is Outcome.UNKNOWN:
            raise
        raise NotSent(_reason(failure)) from failure
    finally:
        transport.close()
    if (outcome := classify(reply).outcome) is Outcome.UNKNOWN:
        raise TransportFailure(Stage.DOT, f"The server said {reply.code} {reply.text}.", reply)
    if outcome is not Outcome.ACCEPTED:
        raise NotSent(f"{reply.code} {reply.text}")
    return reply


def _reason(failure: TransportFailure) -> str:
    replies = [
        f"{each.address}: {each.reply.code} {each.reply.text}"
        for each in failure.recipients
        if each.reply.code // 100 != 2
    ]
    return " ".join([failure.message, *replies])
