"""Verifies a file of evidence by itself: without a database, a key or a network."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.mailer.adapters.evidence_file import EvidenceFile
from app.mailer.commands.terminal import (
    FINDINGS,
    OK,
    AsJson,
    Bar,
    coloured,
    print_json,
    print_table,
    run,
    say,
)
from app.mailer.domain.errors import MailerError
from app.mailer.domain.evidence.check import Damaged, Finding
from app.mailer.services.verify_evidence import EvidenceReport, verify_evidence

_MOST = 200


def main(
    file: Annotated[str, typer.Argument(metavar="FILE", help="As export_evidence wrote it.")],
    manifest_sha256: Annotated[
        str | None,
        typer.Option(
            "--manifest-sha256",
            metavar="HASH",
            help="What the installation's audit log has under evidence.completed: is it that file?",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Prove that a file of evidence is whole and agrees with itself; name all that does not."""
    expected = _expected(manifest_sha256)
    try:
        with EvidenceFile(Path(file)) as evidence, Bar() as bar:
            report = verify_evidence(evidence, bar, manifest_sha256=expected)
    except Damaged as error:
        report = EvidenceReport(findings=[Finding("", None, str(error))])
    if as_json:
        manifest = report.manifest
        print_json(
            {
                "proved": report.is_proved,
                "manifest": manifest.model_dump() if manifest is not None else None,
                "manifest_sha256": report.manifest_sha256,
                "findings": [asdict(each) for each in report.findings],
            }
        )
    else:
        _show(report, is_compared=expected is not None)
    return OK if report.is_proved else FINDINGS


def _expected(text: str | None) -> str | None:
    if text is None:
        return None
    expected = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        raise MailerError(
            f"--manifest-sha256: “{text}” is no SHA-256.",
            "Take manifest_sha256 of the entry: audit_log --action evidence.completed --json.",
        )
    return expected


def _show(report: EvidenceReport, *, is_compared: bool) -> None:
    manifest = report.manifest
    if manifest is not None:
        made_by = manifest.made_by.get("name", "")
        say(f"Version {manifest.version_id} of campaign {manifest.campaign_id},")
        say(f"exported {coloured(manifest.made_at)} by {coloured(made_by)}.")
    if report.findings:
        print_table(
            "Not proved",
            ["Member", "Line", "What"],
            [(each.member, each.line, each.message) for each in report.findings[:_MOST]],
            right=["Line"],
        )
        if len(report.findings) > _MOST:
            say(f"… and {len(report.findings) - _MOST} more; --json shows all.")
        return
    assert manifest is not None
    say("[green]Proved:[/] the file is whole, and everything in it agrees.")
    for name, count in manifest.counts.items():
        say(f"  {count:>9,} {name.removesuffix('.ndjson').replace('_', ' ')}")
    if is_compared:
        say("Its manifest has the hash that was given: it is the file that was exported.")
        return
    say("[yellow]Not checked here:[/] whether it is the file that was exported. Compare")
    say(f"manifest_sha256 {report.manifest_sha256}")
    say("with the entry evidence.completed of the installation's audit log (--manifest-sha256).")


if __name__ == "__main__":
    run(main)
