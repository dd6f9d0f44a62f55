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

_SERVER = Path(__file__).resolve().parent.parent / "server"


def main() -> None:
    counts: Counter[str] = Counter()

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("os.scandir", "os.listdir"):
            (folder,) = arguments
            if isinstance(folder, int):
                counts[os.readlink(f"/proc/self/fd/{folder}")] += 1
            else:
                counts[os.path.realpath(os.fsdecode(folder or "."))] += 1  # type: ignore[arg-type]

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
