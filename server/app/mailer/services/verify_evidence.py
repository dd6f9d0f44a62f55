"""Verify a file of evidence by itself: no database, no network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import ValidationError

from app.mailer.domain.evidence import form
from app.mailer.domain.evidence.check import (
    Approvals,
    Damaged,
    Finding,
    Line,
    Messages,
    check_audit,
    check_version,
)
from app.mailer.domain.evidence.form import Manifest
from app.mailer.ports import Progress


class Evidence(Protocol):
    """An opened file of evidence; every method raises `Damaged` where its bytes are wrong."""

    @property
    def names(self) -> Sequence[str]: ...
    def check_form(self) -> None: ...
    def chunks(self, name: str) -> Iterator[bytes]: ...
    def document(self, name: str) -> Any: ...
    def lines(self, name: str) -> Iterator[Any]: ...


@dataclass(slots=True)
class EvidenceReport:
    """What a file of evidence holds, and everything that is wrong with it.

    A file that somebody made anew from beginning to end can be free of findings: then its
    `manifest_sha256` is none that the audit log of the installation has (`evidence.completed`).
    """

    manifest: Manifest | None = None
    manifest_sha256: str | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_proved(self) -> bool:
        return not self.findings


def verify_evidence(
    evidence: Evidence, progress: Progress, *, manifest_sha256: str | None = None
) -> EvidenceReport:
    """Everything that can be found out about a file of evidence from the file alone.

    `manifest_sha256` is what the installation's log has of the file that was exported; only with it
    can be told whether this is that file.
    """
    report = EvidenceReport()
    try:
        evidence.check_form()
    except Damaged as error:
        report.findings.append(Finding("", None, str(error)))
    try:
        report.manifest_sha256 = _hash(evidence, form.MANIFEST)[1]
        if manifest_sha256 not in (None, report.manifest_sha256):
            what = "Its hash is another than that given: this is not the file that was exported."
            report.findings.append(Finding(form.MANIFEST, None, what))
        report.manifest = Manifest.model_validate(evidence.document(form.MANIFEST))
    except (Damaged, ValidationError) as error:
        report.findings.append(Finding(form.MANIFEST, None, f"It is no manifest: {error}"))
        return report
    _Verifier(evidence, report.manifest, report.findings, progress).run()
    return report


class _Verifier:
    def __init__(
        self,
        evidence: Evidence,
        manifest: Manifest,
        findings: list[Finding],
        progress: Progress,
    ) -> None:
        self._evidence = evidence
        self._manifest = manifest
        self._findings = findings
        self._progress = progress

    def run(self) -> None:
        self._check_members()
        messages = Messages()
        approvals = Approvals(self._manifest.version_id)
        for name, read in (
            (form.MESSAGES, messages.read),
            (form.ATTACHMENTS, messages.read_attachments),
            (form.ISSUES, messages.read_issues),
            (form.ATTEMPTS, messages.read_attempts),
            (form.APPEND_ATTEMPTS, messages.read_append_attempts),
        ):
            self._collect(name, read(self._lines(name)))
        listed = approvals.listed(self._lines(form.APPROVALS))
        self._collect(form.APPROVALS, messages.read_approvals(listed))
        self._findings += messages.settle()
        logged = approvals.logged(self._lines(form.AUDIT))
        self._collect(form.AUDIT, check_audit(logged, self._manifest))
        self._findings += approvals.settle()
        self._collect(form.VERSION, self._check_version())
        self._check_messages(messages)

    def _check_members(self) -> None:
        """What the manifest lists is there, with the size and the hash that it lists."""
        manifest = self._manifest
        expected = form.expected_members(with_messages=manifest.with_messages)
        if tuple(each.name for each in manifest.members) != expected:
            self._find(form.MANIFEST, "It does not list the members that it has to.")
        if form.set_hash(manifest.members) != manifest.set_sha256:
            self._find(form.MANIFEST, "Its hash of all members is not that of those it lists.")
        for member in manifest.members:
            self._compare(member.name, member.size, member.sha256)

    def _check_version(self) -> Iterator[Finding]:
        campaign_sha256 = _hash(self._evidence, form.CAMPAIGN)[1]
        version = self._evidence.document(form.VERSION)
        yield from check_version(version, self._manifest, campaign_sha256)

    def _check_messages(self, messages: Messages) -> None:
        """The messages' bytes, where they are there; and that nothing else is."""
        unreadable: set[object] = set()
        built: list[tuple[str, int, str]] = []
        if self._manifest.with_messages:
            self._collect(form.UNREADABLE, self._unreadable(unreadable))
            built = [each for each in messages.built() if each[0] not in unreadable]
        for number, (name, size, sha256) in enumerate(built, 1):
            self._compare(name, size, sha256)
            self._progress("messages", number, len(built))
        tables = (form.CAMPAIGN, form.VERSION, *form.TABLES)
        last = (form.UNREADABLE,) if self._manifest.with_messages else ()
        expected = [*tables, *(name for name, _, _ in built), *last, form.MANIFEST]
        present = list(self._evidence.names)
        if present != expected:
            for name in sorted(set(present) - set(expected)):
                self._find(name, "It does not belong there.")
            if set(expected) == set(present):
                self._find("", "The members are out of order, or one is there twice.")

    def _unreadable(self, names: set[object]) -> Iterator[Finding]:
        for number, line in enumerate(self._lines(form.UNREADABLE), 1):
            position = line.get("position")
            if isinstance(position, int):
                names.add(form.message_name(position))
            what = f"The message of {line.get('entry_id')} is not here: {line.get('reason')}"
            yield Finding(form.UNREADABLE, number, what)

    def _compare(self, name: str, size: int, sha256: str) -> None:
        try:
            if _hash(self._evidence, name) != (size, sha256):
                self._find(name, "Its content is not what was exported.")
        except Damaged as error:
            self._find(name, str(error))

    def _lines(self, name: str) -> Iterator[Line]:
        """The lines of a table; there have to be as many as the manifest says."""
        count = 0
        for count, line in enumerate(self._evidence.lines(name), 1):
            if not isinstance(line, Mapping):
                raise Damaged(f"Line {count} of {name} is no object.")
            yield line
            if count % 1_000 == 0:
                self._progress(name, count, self._manifest.counts.get(name))
        if count != self._manifest.counts.get(name):
            self._find(name, "It has not as many lines as the manifest says.")

    def _collect(self, member: str, findings: Iterable[Finding]) -> None:
        try:
            for finding in findings:
                self._findings.append(finding)
        except Damaged as error:
            self._find(member, str(error))

    def _find(self, member: str, message: str) -> None:
        finding = Finding(member, None, message)
        if finding not in self._findings:
            self._findings.append(finding)


def _hash(evidence: Evidence, name: str) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    for chunk in evidence.chunks(name):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()
