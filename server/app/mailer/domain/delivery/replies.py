"""What an SMTP reply, or the lack of one, means for a message, its account and the pace.

A reply's code decides (RFC 5321, 4.2.1); the enhanced code (RFC 3463) and the words decide where
providers use a permanent code for "not so fast", which must never cost a recipient the letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar, runtime_checkable


class SomeReply(Protocol):
    """A reply as `ports.Reply` has it."""

    @property
    def code(self) -> int: ...
    @property
    def text(self) -> str: ...


@runtime_checkable
class SomeFailure(Protocol):
    """A failed conversation as `ports.TransportFailure` has it; `stage` is a `ports.Stage`."""

    @property
    def stage(self) -> str: ...
    @property
    def reply(self) -> SomeReply | None: ...
    @property
    def permanent_here(self) -> bool: ...


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"  # for good, and only this message
    DEFERRED = "deferred"  # not now; nothing was accepted
    UNKNOWN = "unknown"  # the closing dot may have left and no reply came
    ACCOUNT = "account"  # no message of this account can go before a person has mended something


@dataclass(frozen=True, slots=True)
class EnhancedCode:
    """An enhanced status code, class.subject.detail (RFC 3463)."""

    kind: int
    subject: int
    detail: int

    def __str__(self) -> str:
        return f"{self.kind}.{self.subject}.{self.detail}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`slow_down`: the server complains about the pace of the account, not about this message."""

    outcome: Outcome
    slow_down: bool = False
    enhanced: EnhancedCode | None = None


_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?!\S)")

#: RFC 4954, 6: authentication required, too weak, refused, or to be encrypted first.
_ACCOUNT_CODES = frozenset({530, 534, 535, 538})
_ACCOUNT_DETAILS = frozenset({(7, 8), (7, 9), (7, 11)})
_ACCOUNT_STAGES = frozenset({"connect", "tls", "auth"})

#: Enhanced codes that Google (4.5, 7.28) and Exchange Online (1.90, 7.232, 7.233, 7.705) use for
#: an exhausted allowance.
_PACE_DETAILS = frozenset({(4, 5), (7, 28), (1, 90), (7, 232), (7, 233), (7, 705)})
#: A full mailbox, too large a message, too many recipients in one message.
_NOT_PACE_DETAILS = frozenset({(2, 2), (3, 4), (5, 3)})
_PACE_WORDS = re.compile(
    r"""
      \brate\b | rate-?limit | throttl | server \s busy | slow \s (it \s)? down
    | \btoo \s (many|fast|quickly|frequent|often|much \s mail)
    | (daily|hourly|sending|submission|outgoing|relay(ing)?) \W+ (\w+ \W+){0,4} (limit|quota)
    | exceed(ed|s|ing)? \W+ (\w+ \W+){0,4} (limit|quota | allow(ed|ance))
    | (limit|quota) \W* (\w+ \W+){0,2} (exceeded|reached)
    | \bper \s (second|minute|hour|day)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
#: Characters of a reply that an error message repeats.
_LONGEST_SAID = 500
#: Characters of a reply that are looked at: no server that means well says more.
_LONGEST_READ = 2_000
#: In a refusal for good it means an allowance; any 4yz may say it, of a greylisted letter as well.
_LATER = re.compile(r"try \s again \s later", re.IGNORECASE | re.VERBOSE)
_NOT_PACE_WORDS = re.compile(
    r"mailbox|inbox|storage|\bsize\b|too (large|big)|\bhops\b|\bloop|lookups", re.IGNORECASE
)


def enhanced_code(reply: SomeReply) -> EnhancedCode | None:
    """The enhanced code at the start of the text, where it agrees with the reply's own code."""
    found = _ENHANCED.match(reply.text.lstrip())
    if found is None or int(found[1]) != reply.code // 100:
        return None
    return EnhancedCode(int(found[1]), int(found[2]), int(found[3]))


def classify(happened: SomeReply | SomeFailure) -> Verdict:
    """The verdict on a reply to the closing dot, or on a failure at any stage."""
    if not isinstance(happened, SomeFailure):
        return _verdict(happened, at_login=False)
    stage, reply = happened.stage, happened.reply
    if stage == "dot" and (reply is None or reply.code // 100 not in (4, 5)):
        return Verdict(Outcome.UNKNOWN)
    at_login = stage in _ACCOUNT_STAGES
    if reply is not None and reply.code // 100 in (4, 5):
        return _verdict(reply, at_login=at_login)
    if not happened.permanent_here:
        return Verdict(Outcome.DEFERRED)
    return Verdict(Outcome.ACCOUNT if at_login else Outcome.REJECTED)


def said(reply: SomeReply) -> str:
    """A reply on one line for people, without a full stop at its end; a long one is cut."""
    words = f"{reply.code} {reply.text}".replace("\n", " ").rstrip(". ")
    return words if len(words) <= _LONGEST_SAID else f"{words[:_LONGEST_SAID]}…"


R = TypeVar("R", bound=SomeReply)


def gravest(replies: Iterable[R]) -> R:
    """The refusal that decides over a message with several recipients: one for good, if any."""
    grade = {Outcome.ACCOUNT: 0, Outcome.REJECTED: 1, Outcome.DEFERRED: 2}
    return min(replies, key=lambda reply: grade.get(classify(reply).outcome, 3))


def _verdict(reply: SomeReply, *, at_login: bool) -> Verdict:
    enhanced = enhanced_code(reply)
    detail = (enhanced.subject, enhanced.detail) if enhanced else None
    kind = reply.code // 100
    if kind == 2:
        return Verdict(Outcome.ACCEPTED, enhanced=enhanced)
    if kind not in (4, 5):
        return Verdict(Outcome.UNKNOWN)
    if kind == 5 and (reply.code in _ACCOUNT_CODES or detail in _ACCOUNT_DETAILS):
        return Verdict(Outcome.ACCOUNT, enhanced=enhanced)
    if reply.code in (421, 432) or _is_about_pace(kind, reply.text, detail):
        return Verdict(Outcome.DEFERRED, slow_down=True, enhanced=enhanced)
    if kind == 4:
        return Verdict(Outcome.DEFERRED, enhanced=enhanced)
    return Verdict(Outcome.ACCOUNT if at_login else Outcome.REJECTED, enhanced=enhanced)


def _is_about_pace(kind: int, text: str, detail: tuple[int, int] | None) -> bool:
    text = text[:_LONGEST_READ]
    if detail in _PACE_DETAILS:
        return True
    if detail in _NOT_PACE_DETAILS or _NOT_PACE_WORDS.search(text):
        return False
    return bool(_PACE_WORDS.search(text) or (kind == 5 and _LATER.search(text)))
