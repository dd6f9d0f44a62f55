"""A real IMAP server: Debian's Dovecot 2.3 with a private configuration, without root rights."""

from __future__ import annotations

import imaplib
import itertools
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.servers.accounts import remove, stop_process, unprivileged
from tests.servers.certificates import Certificate
from tests.servers.network import free_ports

PASSWORD = "secret"
_TEMPLATE = Path(__file__).with_name("dovecot.conf.template")
_PROGRAM = shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def why_not() -> str:
    """Why no Dovecot can be started here; empty where one can."""
    if _PROGRAM is None:
        return "Dovecot is not installed (apt-get install dovecot-imapd)"
    version = subprocess.run([_PROGRAM, "--version"], capture_output=True, text=True, check=False)
    if not version.stdout.startswith("2.3."):
        return f"Dovecot 2.3 is needed, this is {version.stdout.strip() or 'unknown'}"
    return ""


class DovecotServer:
    """IMAP with STARTTLS on `port` and over TLS on `tls_port`, both of 127.0.0.1.

    Any user name works, with the password `PASSWORD`; `new_user()` gives one with empty folders.
    `folders` maps names, without the prefix, to a special use (RFC 6154) or None. `prefix` and
    `separator` are those of the namespace (`INBOX.` and `.` look like Courier).
    """

    host = "127.0.0.1"

    def __init__(
        self,
        certificate: Certificate,
        *,
        folders: Mapping[str, str | None] | None = None,
        separator: str = "/",
        prefix: str = "",
    ) -> None:
        self._certificate = certificate
        if folders is None:
            folders = {"Gesendet": "\\Sent", "Drafts": "\\Drafts"}
        self._folders = dict(folders)
        self._separator = separator
        self._prefix = prefix
        self._account = unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.folder = Path()
        self.port = 0
        self.tls_port = 0

    def start(self) -> Self:
        self.folder = self._account.folder("mm-imap-")
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        shutil.copy(self._certificate.cert, cert)
        shutil.copy(self._certificate.key, key)
        (self.folder / "mail").mkdir()
        self.port, self.tls_port = free_ports(2)
        config = self.folder / "dovecot.conf"
        config.write_text(self._config(cert, key), "utf-8")
        self._account.own(self.folder)
        assert _PROGRAM is not None, why_not()
        with (self.folder / "output").open("wb") as output:
            self._process = self._account.start([_PROGRAM, "-F", "-c", config], output)
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        if self._process is not None:
            stop_process(self._process, signal.SIGTERM)
        remove(self.folder)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def new_user(self) -> str:
        return f"user{next(self._numbers)}@example.org"

    def messages(self, user: str, folder: str) -> list[bytes]:
        """The bytes of every message in a folder, as IMAP gives them, oldest first."""
        with imaplib.IMAP4(self.host, self.port) as client:
            client.login(user, PASSWORD)
            client.select(f'"{folder}"', readonly=True)
            _, numbers = client.search(None, "ALL")
            found = []
            for number in numbers[0].split():
                _, parts = client.fetch(number.decode(), "(BODY.PEEK[])")
                assert isinstance(parts[0], tuple)
                found.append(parts[0][1])
            return found

    def _config(self, cert: Path, key: Path) -> str:
        folders = "".join(
            f'  mailbox "{name}" {{\n    auto = subscribe\n'
            + (f"    special_use = {use}\n" if use else "")
            + "  }\n"
            for name, use in self._folders.items()
        )
        values = {
            "DIR": str(self.folder),
            "CERT": str(cert),
            "KEY": str(key),
            "USER": self._account.user,
            "GROUP": self._account.group,
            "PASSWORD": PASSWORD,
            "SEPARATOR": self._separator,
            "PREFIX": self._prefix,
            "FOLDERS": folders,
            "IMAP_PORT": str(self.port),
            "IMAPS_PORT": str(self.tls_port),
        }
        text = _TEMPLATE.read_text("utf-8")
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        return text

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + 15
        while True:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Dovecot did not start: {self._logs()}")
            try:
                with imaplib.IMAP4(self.host, self.port, timeout=5) as client:
                    client.noop()
                return
            except (OSError, imaplib.IMAP4.error):
                time.sleep(0.02)

    def _logs(self) -> str:
        paths = [self.folder / "output", self.folder / "log"]
        return "\n".join(p.read_text("utf-8", "replace")[-2000:] for p in paths if p.exists())
