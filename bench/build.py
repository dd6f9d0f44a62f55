"""How fast letters become bytes: ours against the standard library's EmailMessage, in one run.

    python bench/build.py

Prints messages a second (the medians of interleaved rounds) and the ratio, whose goal is 8. Each
letter has texts, a name and a subject of its own, and in two cases a 50 KB PDF. One that all
letters share is encoded once by ours.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from app.mailer.domain.mailbox import Mailbox
from app.mailer.domain.mime.blob import BlobRef
from app.mailer.domain.mime.frame import Base64Cache
from app.mailer.domain.mime.message import Attached, Draft, build_frame, message_id_for

GOAL = 8
DATE = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
BUILD = UUID(int=1)
PDF = b"%PDF-1.7\n" + os.urandom(50_000)
REF = BlobRef(hashlib.sha256(PDF).hexdigest(), len(PDF))
FILE = (Attached("Beitragsrechnung für 2026.pdf", "application/pdf", REF),)
#: The files of each letter, and whether all letters share them (then ours encodes them once).
CASES: dict[str, tuple[tuple[Attached, ...], bool]] = {
    "2 KB": ((), True),
    "2 KB and a shared 50 KB PDF": (FILE, True),
    "2 KB and a 50 KB PDF of its own": (FILE, False),
}
PARAGRAPH = "Wir laden Sie herzlich zur Jahreshauptversammlung in unser Vereinsheim ein.\n"

Build = Callable[[int, tuple[Attached, ...], Base64Cache], bytes]


def texts(number: int) -> tuple[str, str, str, str]:
    name = f"Jürgen Müller {number}"
    text = f"Liebe/r {name},\n\n" + PARAGRAPH * 9
    html = f"<p>Liebe/r {name},</p>\n" + f"<p>{PARAGRAPH}</p>\n" * 10
    return name, f"Einladung für {name}", text, html


def ours(number: int, files: tuple[Attached, ...], cache: Base64Cache) -> bytes:
    name, subject, text, html = texts(number)
    draft = Draft(
        sender=Mailbox("verein", "example.org", "Verein für Ähren"),
        subject=subject,
        date=DATE,
        message_id=message_id_for(UUID(int=number), BUILD, "example.org"),
        to=(Mailbox(f"member{number}", "example.org", name),),
        text=text,
        html=html,
        attachments=files,
    )
    return b"".join(build_frame(draft).chunks(lambda _: PDF, cache))


def theirs(number: int, files: tuple[Attached, ...], _: Base64Cache) -> bytes:
    name, subject, text, html = texts(number)
    message = EmailMessage(policy=SMTP)
    message["Date"] = DATE
    message["From"] = Address("Verein für Ähren", "verein", "example.org")
    message["To"] = Address(name, f"member{number}", "example.org")
    message["Subject"] = subject
    message["Message-ID"] = message_id_for(UUID(int=number), BUILD, "example.org")
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    for file in files:
        message.add_attachment(PDF, "application", "pdf", filename=file.filename)
    return message.as_bytes()


def measure(rounds: int, letters: int = 200) -> dict[str, tuple[float, float]]:
    """Messages a second of ours and of EmailMessage, for each kind of letter."""
    found = {}
    for title, (files, shared) in CASES.items():
        rates: dict[Build, list[float]] = {ours: [], theirs: []}
        for turn in range(rounds):
            for build, each in rates.items():
                each.append(
                    _rate(build, files, shared, range(turn * letters, (turn + 1) * letters))
                )
        found[title] = statistics.median(rates[ours]), statistics.median(rates[theirs])
    return found


def _rate(build: Build, files: tuple[Attached, ...], shared: bool, numbers: Sequence[int]) -> float:
    cache = Base64Cache()
    started = time.perf_counter()
    for number in numbers:
        build(number, files, cache if shared else Base64Cache())
    return len(numbers) / (time.perf_counter() - started)


def main() -> int:
    failed = False
    for title, (mine, other) in measure(rounds=5).items():
        sizes = [len(build(1, CASES[title][0], Base64Cache())) for build in (ours, theirs)]
        failed |= mine / other < GOAL
        sys.stdout.write(
            f"{title:>31}: ours {mine:7,.0f}/s ({sizes[0]:,} bytes)   "
            f"EmailMessage {other:5,.0f}/s ({sizes[1]:,} bytes)   "
            f"ratio {mine / other:5.1f} (goal {GOAL})\n"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
