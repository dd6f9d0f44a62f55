"""Checks at the end of `scripts/demo.sh` what the mail servers hold, without asking the program.

    python scripts/demo_check.py var/demo [--imap-port PORT]

Compares the SMTP server's messages and envelopes and the account's Sent folder with the report of
the campaign's jobs. Exit code 1 where something differs.
"""

# ruff: noqa: T201 - it speaks to whoever runs the demo

from __future__ import annotations

import argparse
import csv
import email
import hashlib
import imaplib
import io
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pyzipper

ARCHIVE = "archiv@example.org"
USER, PASSWORD, SENT = "kasse@example.org", "secret", "Gesendet"


@dataclass(frozen=True)
class Arrived:
    """One message at the SMTP server: its bytes, the same read, and the envelope's recipients."""

    data: bytes
    message: EmailMessage
    recipients: list[str]

    @property
    def id(self) -> str:
        return str(self.message["Message-ID"])


class Checks:
    """Says each finding as it is made, and remembers whether all were good."""

    failed = False

    def __call__(self, good: bool, what: str) -> None:
        print(f"{'  ok    ' if good else '  WRONG '}{what}")
        self.failed |= not good


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("demo", type=Path)
    parser.add_argument("--imap-port", type=int)
    arguments = parser.parse_args()
    demo: Path = arguments.demo

    check = Checks()
    arrived = [read(path) for path in sorted((demo / "mail").glob("*.eml"))]
    jobs = table(demo / "build/campaign-jobs.csv", "utf-8-sig", ",")
    members = {
        row["Mitgliedsnr."]: row for row in table(demo / "example/members.csv", "cp1252", ";")
    }
    sent = {job["message_id"]: job for job in jobs if job["send_status"] == "sent"}
    letters = [each for each in arrived if each.id in sent]
    others = [each for each in arrived if each.id not in sent]

    print(f"The SMTP server has {len(arrived)} messages, {len(letters)} of them letters to:")
    addresses = Counter(to for each in letters for to in each.recipients if to != ARCHIVE)
    for address, count in addresses.items():
        print(f"    {address}{f' ({count} letters)' if count > 1 else ''}")
    print("and, of no member:")
    for each in others:
        print(f"    {', '.join(each.recipients)}: {each.message['Subject']}")
    print()
    check(len(jobs) == len(members) == 12 and len(sent) == 8, "8 of 12 letters count as sent")
    check(
        Counter(each.id for each in letters) == Counter(list(sent)),
        "each of them is at the server exactly once, and no other letter is",
    )
    check(
        all(sha256(each.data) == sent[each.id]["sha256"] for each in letters),
        "byte for byte as it was built and approved",
    )
    check(
        all(right_envelope(each, members[sent[each.id]["entry_id"]]) for each in letters),
        "each went to its member's addresses and the archive alone, and shows no Bcc",
    )
    members_mail = {
        on_the_wire(to) for member in members.values() for to in member["E-Mail"].split(";")
    }
    check(
        len(others) == 2 and not any(members_mail & set(each.recipients) for each in others),
        "the test letter and the report reached no member",
    )
    archives = [each for each in letters if zip_of(each) is not None]
    wanted = {number for number, member in members.items() if member["Verschlüsselt"] == "ja"}
    check(
        {sent[each.id]["entry_id"] for each in archives} == wanted
        and all(opens(each, members[sent[each.id]["entry_id"]]) for each in archives),
        f"{len(archives)} archives open with their member's password and with no other",
    )
    if arguments.imap_port is not None:
        copies = [email.message_from_bytes(data) for data in sent_folder(arguments.imap_port)]
        check(
            Counter(str(copy["Message-ID"]) for copy in copies) == Counter(list(sent)),
            f"the folder {SENT} has {len(copies)} copies, one of each letter",
        )
        check(
            all(ARCHIVE in str(copy["Bcc"]) for copy in copies),
            "and they alone show the Bcc",
        )
    return 1 if check.failed else 0


def read(path: Path) -> Arrived:
    data = path.read_bytes()
    message = email.message_from_bytes(data, policy=default)
    assert isinstance(message, EmailMessage)
    return Arrived(data, message, path.with_suffix(".rcpt").read_text("utf-8").splitlines())


def table(path: Path, encoding: str, delimiter: str) -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def right_envelope(letter: Arrived, member: dict[str, str]) -> bool:
    own = [on_the_wire(to) for to in member["E-Mail"].split(";")]
    return letter.message["Bcc"] is None and letter.recipients == [*own, ARCHIVE]


def on_the_wire(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.encode('idna').decode()}"


def zip_of(letter: Arrived) -> bytes | None:
    for part in letter.message.iter_attachments():
        if part.get_content_type() == "application/zip":
            return bytes(part.get_content())
    return None


def opens(letter: Arrived, member: dict[str, str]) -> bool:
    """Whether the archive opens with the member's password, and with nothing and another not."""
    data = zip_of(letter)
    assert data is not None
    with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        for wrong in (None, b"wrong"):
            archive.setpassword(wrong)
            try:
                archive.read(names[0])
            except RuntimeError:
                continue
            return False
        archive.setpassword(member["Kennwort"].encode())
        return len(names) == 2 and all(archive.read(name).startswith(b"%PDF") for name in names)


def sent_folder(port: int) -> Iterator[bytes]:
    with imaplib.IMAP4("127.0.0.1", port) as client:
        client.login(USER, PASSWORD)
        client.select(SENT, readonly=True)
        _, numbers = client.search(None, "ALL")
        for number in numbers[0].split():
            _, parts = client.fetch(number.decode(), "(BODY.PEEK[])")
            assert isinstance(parts[0], tuple)
            yield parts[0][1]


if __name__ == "__main__":
    sys.exit(main())
