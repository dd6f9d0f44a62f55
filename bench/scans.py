"""Runs a command of the program and counts how often it lists each folder.

    python bench/scans.py COUNTS.json app.mailer.commands.validate_campaign --campaign …

The counts, by the folder's real path, go to the file; what the command prints goes where it would.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import Any

_SERVER = Path(__file__).resolve().parent.parent / "server"


def main() -> None:
    counts: Counter[str] = Counter()

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.scandir", "os.listdir"):
            (folder,) = arguments
            named = f"/proc/self/fd/{folder}" if isinstance(folder, int) else folder or "."
            counts[os.path.realpath(os.fsdecode(named))] += 1

    _, target, module, *arguments = sys.argv
    sys.argv = [module, *arguments]
    sys.path[0] = str(_SERVER)
    sys.addaudithook(note)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        Path(target).write_text(json.dumps(counts, indent=1))


if __name__ == "__main__":
    main()
