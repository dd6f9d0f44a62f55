"""The program in a scratch folder, run as its users run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER = Path(__file__).resolve().parents[2]
EXAMPLE = Path("app/mailer/examples/campaign.json")
KEY = "dev-multimailer-api-key"


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is one JSON document and nothing else."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


def copy_server(folder: Path) -> Path:
    """A copy of the program whose defaults (`var`, `.env`, the example) are its own."""
    scratch = folder / "server"
    # With the compiled files, which are good as long as the times of the sources stay.
    shutil.copytree(SERVER / "app", scratch / "app")
    shutil.copytree(SERVER / "alembic", scratch / "alembic")
    shutil.copy(SERVER / "alembic.ini", scratch)
    return scratch


def environment(**more: str) -> dict[str, str]:
    """What a command sees: nobody's settings, and `python` is the one that runs the tests."""
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ}
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    return {**kept, "PATH": path, "PYTHONPATH": "", **more}


def shell(line: str, cwd: Path, **env: str) -> Done:
    """A command line as a person would type it."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=100,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def point_example_at(folder: Path, *, smtp: int, imap: int, user: str, password: str) -> None:
    """Has the example in `folder` use these ports of this machine."""
    path = folder / EXAMPLE
    campaign = json.loads(path.read_text("utf-8"))
    campaign["server"]["smtp"]["port"] = smtp
    campaign["server"]["imap"] |= {"port": imap, "username": user, "password": password}
    path.write_text(json.dumps(campaign, ensure_ascii=False, indent=2), "utf-8")
