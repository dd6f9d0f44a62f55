"""The unprivileged account that servers run as, since Postgres and Dovecot refuse root."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this system. `dropped` is True where root hands its rights over to it."""

    user: str
    group: str
    uid: int
    gid: int
    dropped: bool

    def folder(self, prefix: str) -> Path:
        """A new private folder of the account, with a path short enough for a Unix socket."""
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
        if self.dropped:
            os.chown(folder, self.uid, self.gid)
        return folder

    def own(self, folder: Path) -> None:
        """Gives the account a folder and all that is in it."""
        if self.dropped:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def start(self, command: Sequence[str | Path], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Starts a server as the account, in a session of its own, with a bare environment."""
        drop = self.dropped
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
            user=self.uid if drop else None,
            group=self.gid if drop else None,
            extra_groups=[] if drop else None,
        )


def unprivileged() -> Account:
    """Whoever runs this, or `nobody` where that is root."""
    dropped = os.geteuid() == 0
    entry = pwd.getpwnam("nobody") if dropped else pwd.getpwuid(os.geteuid())
    group = grp.getgrgid(entry.pw_gid)
    return Account(entry.pw_name, group.gr_name, entry.pw_uid, entry.pw_gid, dropped)


def stop_process(process: subprocess.Popen[bytes], signal: int, seconds: float = 10.0) -> None:
    """Asks a process to end, and kills it where it does not."""
    if process.poll() is None:
        process.send_signal(signal)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
