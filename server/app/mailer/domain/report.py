"""What a report says: cards, counts, the time that is left, a safe table, and a summary in words.

Plain values in and out, ready for JSON; the numbers come from the database.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from app.mailer.domain.delivery.job import OPEN, Decision, ImapStatus, SendStatus, queueable
from app.mailer.domain.issues import EntryState

IN_DOUBT_EXPLANATION = (
    "The connection broke, or the program stopped, after the end of the message may have left and "
    "before the server's answer was known. The recipient may or may not have the message. Nothing "
    "is sent again by itself. Where the account has an IMAP server, its Sent folder is searched "
    "for the Message-ID, four times within some hours: what is there was sent. That it is not "
    "there proves nothing: ask the mail provider or the recipient, then decide for each: "
    "assume_sent, or resend (it may then arrive twice)."
)


class Card(StrEnum):
    """Where a job counts on the dashboard: each job in exactly one card."""

    READY_TO_SEND = "ready_to_send"
    NEEDS_REVIEW = "needs_review"
    BLOCKED = "blocked"
    LEFT_OUT = "left_out"
    SENT_BEFORE = "sent_before"
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    CANCELLED = "cancelled"


#: Cards whose jobs wait for a person.
NEEDS_ATTENTION = frozenset({Card.NEEDS_REVIEW, Card.BLOCKED, Card.FAILED, Card.IN_DOUBT})


@dataclass(frozen=True, slots=True)
class JobGroup:
    """How many jobs of a version are alike on every axis, and when the next of them is due.

    `sent_before`: another version of the campaign sent these entries, or is sending them, and
    queueing leaves them out.
    """

    build: EntryState
    decision: Decision | None
    send: SendStatus
    imap: ImapStatus
    sent_before: bool
    count: int
    next_due_at: datetime | None = None


def card_of(group: JobGroup) -> Card:
    """The card of a group; what was not queued yet counts by the reason why it is not sent."""
    if group.send in OPEN:
        return Card.WAITING
    if group.send is not SendStatus.UNQUEUED:
        return Card(group.send.value)
    if group.decision is Decision.EXCLUDE or group.build in (
        EntryState.EXCLUDED,
        EntryState.INACTIVE,
    ):
        return Card.LEFT_OUT
    if group.build is EntryState.BLOCKED:
        return Card.BLOCKED
    if not queueable(group.build, group.decision):
        return Card.NEEDS_REVIEW
    return Card.SENT_BEFORE if group.sent_before else Card.READY_TO_SEND


def cards(groups: Iterable[JobGroup]) -> dict[str, int]:
    """`total`, `needs_attention` (what waits for a person), and each card, which add up to it."""
    counted: Counter[Card] = Counter()
    for group in groups:
        counted[card_of(group)] += group.count
    return {
        "total": counted.total(),
        "needs_attention": sum(counted[card] for card in NEEDS_ATTENTION),
        **every(Card, counted),
    }


def every(kind: type[StrEnum], counted: Mapping[Any, int]) -> dict[str, int]:
    """The count of every member of `kind`, also where it is 0, in the order of `kind`."""
    return {member.value: counted.get(member, 0) for member in kind}


def time_left(
    *,
    per_minute: float | None,
    concurrency: int,
    waiting: int,
    ready: int,
    next_due_at: datetime | None,
    now: datetime,
) -> dict[str, Any]:
    """The rate limit, and how long it makes what is left take, in seconds and as the time (UTC).

    `estimated_seconds_with_ready` is for the case that everything ready is queued now, too. Without
    a limit nothing can be said: None. The send window and the server's own speed are not in it.
    """
    seconds = _seconds(waiting, per_minute)
    finish = None
    if seconds is not None and waiting:
        start = max(now, next_due_at) if next_due_at is not None else now
        finish = (start + timedelta(seconds=seconds)).isoformat()
    return {
        "messages_per_minute": per_minute,
        "concurrency": concurrency,
        "remaining": waiting,
        "estimated_seconds": seconds,
        "estimated_finish_at": finish,
        "estimated_seconds_with_ready": _seconds(waiting + ready, per_minute),
    }


#: A hundred years; a campaign that says 1e-300 messages a minute takes longer than dates go.
_LONGEST_SECONDS = 100 * 365 * 24 * 3600


def _seconds(messages: int, per_minute: float | None) -> int | None:
    # The first leaves at once.
    if per_minute is None:
        return None
    return round(min(max(0, messages - 1) * 60 / per_minute, _LONGEST_SECONDS))


# ---------------------------------------------------------------- the table of jobs

#: What `job_rows` gives of each job, and the columns of the CSV file.
JOB_COLUMNS = (
    "entry_id",
    "pointer",
    "to",
    "subject",
    "build_status",
    "decision",
    "decided_by",
    "decided_at",
    "decision_reason",
    "send_status",
    "imap_status",
    "attempts",
    "last_code",
    "last_reply",
    "last_error",
    "queued_at",
    "sent_at",
    "message_id",
    "size",
    "sha256",
    "attachments",
    "issues",
)

# What stands in front of a character that makes a spreadsheet take a cell for a formula.
_BEFORE_FORMULA = re.compile(r"""(?<![;\s"'])[;\s"']*+(?=[=+\-@＝＋－＠])""")
# A spreadsheet set to another separator than the comma sees cells begin in the middle of ours.
_SEPARATOR = re.compile(r"[;\t\r\n]")


class Writable(Protocol):
    def write(self, text: str, /) -> object: ...


def write_jobs_csv(rows: Iterable[Mapping[str, Any]], file: Writable, *, bom: bool = False) -> int:
    """Write job rows as CSV, as `jobs_csv` makes it; how many rows they were.

    `file` takes text and has to be open with `newline=""`.
    """
    count = -1  # the header
    for line in jobs_csv(rows, bom=bom):
        file.write(line)
        count += 1
    return count


def jobs_csv(rows: Iterable[Mapping[str, Any]], *, bom: bool = False) -> Iterator[str]:
    """Job rows as the lines of a CSV file, the header first."""
    return csv_lines(JOB_COLUMNS, ([row[name] for name in JOB_COLUMNS] for row in rows), bom=bom)


def csv_lines(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    bom: bool = False,
    guarded: bool = True,
) -> Iterator[str]:
    """The lines of a CSV file (RFC 4180: commas, CRLF), the header first.

    Where it is `guarded`, no cell can be taken for a formula by a spreadsheet: it gets an
    apostrophe in front. Lists are joined by `; `. `bom` is for Excel, which else reads UTF-8 as
    something else.
    """
    writer = csv.writer(_Lines(), lineterminator="\r\n")
    text_of = cell if guarded else _plain
    # `writerow` gives what the file's `write` gave.
    line: str = writer.writerow([text_of(each) for each in header])
    yield f"\ufeff{line}" if bom else line
    for row in rows:
        yield writer.writerow([text_of(each) for each in row])


class _Lines:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def cell(value: object) -> str:
    """`value` as the text of a cell that no spreadsheet runs; None is an empty one."""
    text = _plain(value)
    guarded = _BEFORE_FORMULA.sub(_guard, text)
    return f"'{guarded}" if text.startswith(("\t", "\r", "\n")) else guarded


def _plain(value: object) -> str:
    if value is None:
        return ""
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _guard(found: re.Match[str]) -> str:
    between = _SEPARATOR.sub(r"\g<0>'", found.group())
    return between if found.start() else f"'{between}"


# ---------------------------------------------------------------- in words


def summary_text(report: Mapping[str, Any]) -> str:
    """A report as plain text for a mail: what was sent, what was not, and what needs a person."""
    campaign, counts = report["campaign"], report["cards"]
    lines = [
        f"Campaign:  {campaign['name']} ({campaign['external_id']})",
        f"Version:   {campaign['version_number']}, mode {campaign['mode']}",
        f"As of:     {_moment(report['generated_at'])}",
        "",
        f"{counts['sent']:,} of {_messages(counts['total'])} sent.",
        "",
        *[f"  {label:<16}{counts[card]:>9,}" for card, label in _LABELS.items()],
    ]
    copies = report["imap"]
    if copies["pending"] or copies["failed"]:
        lines += [
            "",
            f"Copies in the Sent folder: {copies['appended']:,} filed, {copies['pending']:,} "
            f"pending, {copies['failed']:,} failed. (The letters themselves were sent.)",
        ]
    if (held := report["copies_held"]) is not None:
        lines += [f"They are held back: {held['reason']} Tried again at {_moment(held['until'])}."]
    if counts["in_doubt"]:
        lines += ["", f"In doubt: {_messages(counts['in_doubt'])}.", IN_DOUBT_EXPLANATION]
    lines += _failure_lines(report["recent_failures"])
    if (finish := report["rate_limit"]["estimated_finish_at"]) is not None:
        lines += ["", f"At the allowed pace the rest is sent by {_moment(finish)}."]
    return "\n".join(lines) + "\n"


_LABELS = {
    Card.SENT: "sent",
    Card.WAITING: "waiting",
    Card.READY_TO_SEND: "ready to send",
    Card.NEEDS_REVIEW: "need a review",
    Card.BLOCKED: "blocked",
    Card.FAILED: "failed",
    Card.IN_DOUBT: "in doubt",
    Card.CANCELLED: "cancelled",
    Card.LEFT_OUT: "left out",
    Card.SENT_BEFORE: "sent before",
}


def _failure_lines(failures: Sequence[Mapping[str, Any]]) -> list[str]:
    if not failures:
        return []
    lines = ["", "Last failures:"]
    for each in failures:
        why = each["reply"] or each["error"] or "no reason is known"
        code = f"{each['code']} " if each["code"] is not None else ""
        status = each["send_status"].replace("_", " ")
        lines.append(f"  {each['entry']} ({each['to']}), {status}: {code}{' '.join(why.split())}")
    return lines


def _messages(count: int) -> str:
    return f"{count:,} message{'' if count == 1 else 's'}"


def _moment(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M} UTC"
