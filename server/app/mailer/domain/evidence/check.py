"""What must be true of the evidence of a version, table by table and between them.

Lines come parsed, in the order in which they stand. What is wrong is named where it was found; a
line that has not the members that it must have is one finding, and the check goes on behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from app.mailer.domain.audit_chain import FIELDS, Head, Link, Walk, content_hash, link
from app.mailer.domain.delivery.approval import messages_digest
from app.mailer.domain.delivery.job import Decision, SendStatus, queueable
from app.mailer.domain.evidence import form
from app.mailer.domain.issues import EntryState
from app.mailer.domain.storable import clean_text

Line = Mapping[str, Any]


class Damaged(Exception):
    """The file, or a member of it, cannot be what was exported; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be; `line` counts from 1, None: the member as a whole."""

    member: str
    line: int | None
    message: str


@dataclass(slots=True)
class _Message:
    """What the other tables need to know of a message."""

    position: int
    entry_id: str
    size: int | None
    sha256: str | None
    status: SendStatus
    attempts: int = 0
    appends: int = 0
    accepted: int = 0
    unknown: int = 0
    attached: int = 0

    @classmethod
    def of(cls, line: Line) -> _Message:
        """`KeyError`, `TypeError` or `ValueError` where the line is none."""
        position, size, sha256 = line["position"], line["size"], line["sha256"]
        if not _is_count(position) or (size is None) != (sha256 is None):
            raise ValueError("position, size or sha256")
        return cls(position, str(line["entry_id"]), size, sha256, SendStatus(line["send_status"]))


class Messages:
    """The messages of the evidence, and what the tables about them say; feed it table by table."""

    def __init__(self) -> None:
        self._by_job: dict[str, _Message] = {}
        self._to_approve: list[tuple[str, str]] = []

    def __len__(self) -> int:
        return len(self._by_job)

    def built(self) -> Iterator[tuple[str, int, str]]:
        """Member name, size and hash of every message that was built, in order."""
        for each in self._by_job.values():
            if each.sha256 is not None and each.size is not None:
                yield form.message_name(each.position), each.size, each.sha256

    def read(self, lines: Iterable[Line]) -> Iterator[Finding]:
        """`messages.ndjson`."""
        last = -1
        for number, line in enumerate(lines, 1):
            try:
                message = _Message.of(line)
                passes = message.sha256 is not None and queueable(
                    EntryState(line["build_status"]),
                    None if line["decision"] is None else Decision(line["decision"]),
                )
                job = str(line["id"])
            except (KeyError, TypeError, ValueError) as error:
                yield _unreadable(form.MESSAGES, number, error)
                continue
            if message.position <= last:
                yield Finding(form.MESSAGES, number, "It is out of order, or stands there twice.")
            last = max(last, message.position)
            if job in self._by_job:
                yield Finding(form.MESSAGES, number, "Its id stands there twice.")
            if message.sha256 is None and message.status is not SendStatus.UNQUEUED:
                yield Finding(form.MESSAGES, number, "It was queued, and has no message.")
            if (message.status is SendStatus.SENT) != (line.get("sent_at") is not None):
                yield Finding(form.MESSAGES, number, "Its state and its time of sending differ.")
            self._by_job[job] = message
            if passes:
                self._to_approve.append((message.entry_id, str(message.sha256)))

    def read_attempts(self, lines: Iterable[Line]) -> Iterator[Finding]:
        """`attempts.ndjson`: numbered without gaps, and at most one was accepted."""
        for number, line in enumerate(lines, 1):
            message = self._by_job.get(str(line.get("job_id")))
            if message is None:
                yield Finding(form.ATTEMPTS, number, "It is about no message that is listed.")
                continue
            message.attempts += 1
            if line.get("number") != message.attempts:
                yield Finding(form.ATTEMPTS, number, "The attempt before it is missing.")
                message.attempts = line["number"] if _is_count(line.get("number")) else 0
            outcome = line.get("outcome")
            message.unknown += outcome == "unknown"
            if outcome != "accepted":
                continue
            message.accepted += 1
            if message.accepted > 1:
                yield Finding(form.ATTEMPTS, number, "The message was accepted before: sent twice.")
            if message.status is not SendStatus.SENT:
                yield Finding(form.ATTEMPTS, number, "It was accepted; the message is not sent.")
            code = line.get("code")
            if not _is_count(code) or not 200 <= code < 300:
                yield Finding(
                    form.ATTEMPTS, number, "It was accepted without a reply that says so."
                )

    def read_append_attempts(self, lines: Iterable[Line]) -> Iterator[Finding]:
        """`append_attempts.ndjson`."""
        for number, line in enumerate(lines, 1):
            message = self._by_job.get(str(line.get("job_id")))
            if message is None:
                yield Finding(
                    form.APPEND_ATTEMPTS, number, "It is about no message that is listed."
                )
                continue
            message.appends += 1
            if line.get("number") != message.appends:
                yield Finding(form.APPEND_ATTEMPTS, number, "The attempt before it is missing.")
                message.appends = line["number"] if _is_count(line.get("number")) else 0

    def read_attachments(self, lines: Iterable[Line]) -> Iterator[Finding]:
        """`attachments.ndjson`."""
        for number, line in enumerate(lines, 1):
            message = self._by_job.get(str(line.get("job_id")))
            if message is None:
                yield Finding(form.ATTACHMENTS, number, "It is about no message that is listed.")
                continue
            if line.get("position") != message.attached:
                yield Finding(form.ATTACHMENTS, number, "The attachment before it is missing.")
            message.attached += 1

    def read_issues(self, lines: Iterable[Line]) -> Iterator[Finding]:
        """`issues.ndjson`."""
        for number, line in enumerate(lines, 1):
            job = line.get("job_id")
            if job is not None and str(job) not in self._by_job:
                yield Finding(form.ISSUES, number, "It is about no message that is listed.")

    def read_approvals(self, lines: Iterable[Line]) -> Iterator[Finding]:
        """`approvals.ndjson`: who said yes said it to exactly these messages."""
        digest, count = messages_digest(self._to_approve)
        for number, line in enumerate(lines, 1):
            if line.get("voided_at") is not None:
                continue
            if (line.get("messages_sha256"), line.get("message_count")) != (digest, count):
                yield Finding(form.APPROVALS, number, "It was given to other messages than these.")

    def settle(self) -> Iterator[Finding]:
        """What only shows once all tables were read."""
        for number, message in enumerate(self._by_job.values(), 1):
            if message.status is SendStatus.SENT and not message.accepted and not message.unknown:
                yield Finding(
                    form.MESSAGES, number, "It is said to be sent, but no attempt was accepted."
                )


class Approvals:
    """What the table of approvals says, against the entries of the log that made and voided them.

    Pass the lines of both through it; the table alone could be written anew.
    """

    def __init__(self, version_id: str) -> None:
        self._version_id = version_id
        self._listed: list[tuple[Any, ...]] = []
        self._live: list[tuple[Any, ...]] = []
        self._void: list[tuple[Any, ...]] = []

    def listed(self, lines: Iterable[Line]) -> Iterator[Line]:
        """`approvals.ndjson`."""
        for line in lines:
            self._listed.append(
                (
                    *(_text(line.get(name)) for name in ("approved_by", "approved_at")),
                    *(_text(line.get(name)) for name in _APPROVED),
                    *(_text(line.get(name)) for name in ("voided_at", "void_reason")),
                )
            )
            yield line

    def logged(self, lines: Iterable[Line]) -> Iterator[Line]:
        """`audit.ndjson`."""
        for line in lines:
            details = _of(line, "details")
            if details.get("version_id") == self._version_id:
                at = _text(line.get("at"))
                if line.get("action") == "campaign.approved":
                    said = (_text(details.get(name)) for name in _APPROVED)
                    self._live.append((_text(line.get("actor_name")), at, *said))
                elif line.get("action") in _VOIDED:
                    why = _text(details.get("reason"))
                    self._void += [(*each, at, why) for each in self._live]
                    self._live.clear()
            yield line

    def settle(self) -> Iterator[Finding]:
        """What only shows once both were read."""
        logged = Counter(self._void + [(*each, None, None) for each in self._live])
        for number, each in enumerate(self._listed, 1):
            if logged[each] < 1:
                yield Finding(form.APPROVALS, number, "The audit log in this file says otherwise.")
            logged[each] -= 1
        if any(count > 0 for count in logged.values()):
            yield Finding(form.APPROVALS, None, "One is missing that the audit log has.")


#: What an approval and its entry in the log both say, and what makes it void.
_APPROVED = ("messages_sha256", "message_count", "reason")
_VOIDED = ("campaign.approval_withdrawn", "campaign.approval_void")


def _text(value: object) -> str | None:
    """A value to compare; the log has it as `clean_text` leaves it."""
    return None if value is None else clean_text(str(value))


def check_audit(lines: Iterable[Line], manifest: form.Manifest) -> Iterator[Finding]:
    """`audit.ndjson`: one chain to the head that the manifest names."""
    walk: Walk | None = None
    tenant = manifest.tenant_id
    for number, line in enumerate(lines, 1):
        try:
            if walk is None:
                walk = Walk(tenant, Head(line["sequence"] - 1, line["previous_hash"]))
            broken = walk.step(_link(line, walk.head.hash))
        except (KeyError, TypeError, ValueError) as error:
            yield _unreadable(form.AUDIT, number, error)
            return
        if broken is not None:
            yield Finding(
                form.AUDIT, number, f"Entry {broken.sequence} breaks it: {broken.reason}."
            )
            return
        if "hash" in line and line["tenant_id"] != tenant:
            yield Finding(form.AUDIT, number, "It is another tenant's.")
    if walk is None:
        yield Finding(form.AUDIT, None, "Not even this export is recorded in it.")
    elif str(walk.head) != manifest.audit_head:
        yield Finding(form.AUDIT, None, "It does not lead to the end that the manifest names.")


def check_version(version: Any, manifest: form.Manifest, campaign_sha256: str) -> Iterator[Finding]:
    """`version.json`, which says what all of it is about."""
    parts = version if isinstance(version, Mapping) else {}
    for part, own in (
        ("tenant", manifest.tenant_id),
        ("campaign", manifest.campaign_id),
        ("version", manifest.version_id),
    ):
        if _of(parts, part).get("id") != own:
            yield Finding(form.VERSION, None, f"The manifest is about another {part}.")
    if _of(parts, "version").get("config_sha256") != campaign_sha256:
        yield Finding(form.CAMPAIGN, None, "It is not the file whose hash the version has.")


def _of(parts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = parts.get(name)
    return part if isinstance(part, Mapping) else {}


def _link(line: Line, previous: str) -> Link:
    if "hash" not in line:
        content = line["content_hash"]
        return Link(line["sequence"], previous, content, link(previous, content))
    content = content_hash({name: line[name] for name in FIELDS})
    return Link(line["sequence"], line["previous_hash"], content, line["hash"])


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _unreadable(member: str, number: int, error: Exception) -> Finding:
    return Finding(member, number, f"It is not what such a line has to be: {error!r}.")
