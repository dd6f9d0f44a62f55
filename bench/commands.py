"""Runs the program's commands on a made campaign, each in a process of its own, and measures them.

Light on purpose: a process's peak memory as the system tells it starts at its parent's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_SERVER = Path(__file__).resolve().parent.parent / "server"
_SCANS = Path(__file__).resolve().parent / "scans.py"
_KEY = "dev-multimailer-api-key"


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds on the clock and of the processors, and megabytes at most."""

    wall: float
    cpu: float
    peak_mb: float


class Machine:
    """Runs commands against a database and a blob folder below `work`, and against no others."""

    def __init__(self, work: Path, database_url: str | None = None) -> None:
        self._work = work
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "MULTIMAILER_"))
        } | {
            "APP_ENV": "dev",
            "DEV_API_KEY": _KEY,
            "MULTIMAILER_API_KEY": _KEY,
            "MASTER_KEY_B64": "",
            "DATABASE_URL": database_url or f"sqlite:///{work / 'multimailer.db'}",
            "BLOB_DIR": str(work / "blobs"),
            "JOURNAL_DIR": str(work / "journal"),
            # Compiled once, as an installed program is.
            "PYTHONPYCACHEPREFIX": str(work / "pycache"),
            "PYTHONUTF8": "1",
        }

    def run(self, command: str, *arguments: str) -> Cost:
        """Raises `RuntimeError` with what the command said, where it did not do its work."""
        return self._run([sys.executable, "-m", f"app.mailer.commands.{command}", *arguments])

    def scans(self, command: str, *arguments: str) -> dict[str, int]:
        """How often a command lists each folder, by real path."""
        target = self._work / "scans.json"
        module = f"app.mailer.commands.{command}"
        self._run([sys.executable, str(_SCANS), str(target), module, *arguments])
        counts: dict[str, int] = json.loads(target.read_text())
        return counts

    def _run(self, command: list[str]) -> Cost:
        said = self._work / "said"
        begun = time.perf_counter()
        with (self._work / "printed").open("wb") as out, said.open("wb") as err:
            process = subprocess.Popen(  # noqa: S603 - the program's own commands
                command, cwd=_SERVER, env=self._environment, stdout=out, stderr=err
            )
            _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:  # the made campaign gives no findings
            end = said.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(command)} exits with {process.returncode}: {end}")
        return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def commands(campaign: Path, eml: Path) -> dict[str, list[str]]:
    """The commands that are measured, by name; `eml` is a folder to be made, for letters."""
    chosen = ["--campaign", str(campaign)]
    return {
        "validate": ["validate_campaign", *chosen],
        "validate, with files": ["validate_campaign", *chosen, "--check-files"],
        "resolve": ["resolve_attachments", *chosen, "--json"],
        "build": ["build_messages", *chosen, "--json"],
        "build, .eml files": ["build_messages", *chosen, "--output-dir", str(eml)],
        "import and build": ["import_campaign", *chosen, "--validate", "--build"],
    }
